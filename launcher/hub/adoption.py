"""Files that somebody downloaded into a plain folder (``checkpoints/``) become a part of the Hub cache.

A file is recognised by its name and size in the catalog, and believed by its digest: the catalog's, or that of the
repository's list of files. Large ones get a second name in the cache, and a link takes their old one; small ones,
which people edit, are copied and stay.

Invariants: nothing is believed for its name; each file is complete in one of its two places at every moment, so that
whoever is interrupted just starts again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.cache import content
from launcher.hub.catalog import Part
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, Received, sha256_of, write_receipt
from launcher.hub.remote_files import COMMIT, RemoteFile, RepoTree
from launcher.hub.wanted import Wanted
from launcher.progress import Progress

#: Smaller files may be edited by people (a config), and git may keep them under another digest than sha256.
LARGE_FROM_BYTES = 1 << 20

Trees = Callable[[Wanted], "RepoTree | None"]


@dataclass(frozen=True)
class Adoption:
    """One file and what it is.

    Attributes:
        source: where it lies.
        wanted: the repository and revision.
        commit: 40 hex digits.
        file: its path there, size and digest.
    """

    source: Path
    wanted: Wanted
    commit: str
    file: RemoteFile


@dataclass(frozen=True)
class Matched:
    """What of a folder is known.

    Attributes:
        adoptions: files that have the name and size of a known one; their digest is not compared yet.
        trees: the lists of files of their repositories, by repository.
        unknown: large files that are no known one.
    """

    adoptions: tuple[Adoption, ...]
    trees: dict[str, RepoTree]
    unknown: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all that is known."""
        return sum(adoption.file.size for adoption in self.adoptions)


def match(files: Sequence[Path], parts: Iterable[Part], trees: Trees) -> Matched:
    """Recognises files.

    Args:
        files: as `launcher.cache.migrate_find.loose_files` lists them.
        parts: of the catalog.
        trees: the list of files of a repository; ``None`` when neither this disk nor a mirror knows it.
    """
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.name, []).append(path)
    found: dict[Path, Adoption] = {}
    known: dict[str, RepoTree] = {}
    for part in parts:
        wanted = part.wanted
        bases = {base for path, size in part.sizes.items() for base in _bases(by_name, path, size)}
        if not bases:
            continue
        tree = known.get(part.repo) or trees(wanted)
        if tree is not None:
            known[part.repo] = tree
        listed = tree.files if tree is not None else _pinned(part)
        commit = tree.commit if tree is not None else part.revision
        for base in sorted(bases):
            for file in listed:
                for place in (base / file.path, base / file.path.rpartition("/")[2]):
                    if place not in found and place in by_name.get(place.name, ()) and _has_size(place, file.size):
                        found[place] = Adoption(place, wanted, commit, file)
    unknown = [path for path in files if path not in found and _is_large(path)]
    return Matched(tuple(found.values()), known, tuple(unknown))


def _bases(by_name: dict[str, list[Path]], path: str, size: int) -> Iterable[Path]:
    """Folders in which ``path`` lies, as in its repository or without its folders, with that size."""
    if size < LARGE_FROM_BYTES:
        return  # a name and a few bytes say too little
    name = path.rpartition("/")[2]
    for place in by_name.get(name, ()):
        if _has_size(place, size):
            whole = place.as_posix().endswith(f"/{path}")
            yield place.parents[path.count("/")] if whole else place.parent


def _pinned(part: Part) -> list[RemoteFile]:
    """Large files whose digest the catalog knows; without a list of files nobody knows how git names small ones."""
    pins = part.wanted.pinned
    if not COMMIT.fullmatch(part.revision):
        return []
    return [
        RemoteFile(path, size, "", pins[path])
        for path, size in part.sizes.items()
        if path in pins and size >= LARGE_FROM_BYTES
    ]


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= LARGE_FROM_BYTES
    except OSError:
        return False


@dataclass(frozen=True)
class Adopted:
    """What became of the files.

    Attributes:
        placed: paths that are in the cache now.
        copied_bytes: that were written.
        linked: of those, how many of the old names are links now.
        damaged: files that have a known one's name and size, and other bytes.
    """

    placed: tuple[Path, ...]
    copied_bytes: int
    linked: int
    damaged: tuple[Path, ...]


def adopt(
    cache: Path, matched: Matched, tell: Callable[[Progress], None] = lambda _progress: None, *, links: bool = True
) -> Adopted:
    """Puts recognised files into the cache.

    Args:
        cache: the Hub cache, ``HF_HUB_CACHE``.
        matched: from `match`.
        tell: gets the bytes done.
        links: whether large files become links to the cache.

    Raises:
        StorageError: when the disk cannot take it; the old folder is as before then, and the cache, too.
    """
    adopter = _Adopter(cache, matched.size, tell)
    try:
        for adoption in matched.adoptions:
            adopter.place(adoption)
    except BaseException:
        adopter.undo()
        raise
    finally:
        content.clear_staging(cache)
    adopter.conclude(matched.trees)
    linked = sum(adopter.leave_link(adoption) for adoption in adopter.placed) if links else 0
    placed = tuple(adoption.source for adoption in adopter.placed)
    return Adopted(placed, adopter.copied_bytes, linked, tuple(adopter.damaged))


class _Adopter:
    def __init__(self, cache: Path, total: int, tell: Callable[[Progress], None]) -> None:
        self._cache, self._staging = cache, content.staging_folder(cache)
        self._total, self._done, self._tell = total, 0, tell
        self._made: list[Path] = []
        self.placed: list[Adoption] = []
        self.damaged: list[Path] = []
        self.copied_bytes = 0

    def place(self, adoption: Adoption) -> None:
        file, folder = adoption.file, RepoFolder(self._cache, adoption.wanted.repo)
        blob = folder.blob(file)
        with folder.storage_errors(file.path):
            if not (blob.exists() and content.holds(blob, file.etag)):
                # A link shows the very bytes that are compared here; a copy is compared while it is made.
                if content.digest_of(adoption.source, file.etag, self._count) != file.etag:
                    self.damaged.append(adoption.source)
                    return
                content.make_repo(self._cache, folder.root.name)
                fresh, large = not blob.exists(), file.size >= LARGE_FROM_BYTES
                how = content.bring(adoption.source, blob, self._staging, file.etag, link=large)
                self._made += [blob] * fresh
                self.copied_bytes += file.size if how == "copy" else 0
            pointer = folder.snapshot(adoption.commit) / file.path
            self._made += [] if pointer.exists() else [pointer]
            if not folder.adopt(adoption.commit, file):
                self.damaged.append(adoption.source)
                return
        self.placed.append(adoption)

    def _count(self, size: int) -> None:
        self._done += size
        self._tell(Progress("verify", self._done, self._total, "bytes"))

    def undo(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                path.unlink()

    def conclude(self, trees: dict[str, RepoTree]) -> None:
        """Notes what is there now: the library's list of files, the revision, the receipt."""
        for repo, tree in trees.items():
            folder = RepoFolder(self._cache, repo)
            mine = [adoption for adoption in self.placed if adoption.wanted.repo == repo]
            if not mine:
                continue
            received = {
                one.file.path: Received(one.file.sha256 or sha256_of(one.source), one.file.size, {}) for one in mine
            }
            if all(folder.holds(tree.commit, file.path, file.size) for file in tree.files):
                folder.write_tree(tree)
            folder.write_ref(tree.revision, tree.commit)
            write_receipt(folder, Receipt(repo, tree.revision, tree.commit, received, tree.files, tree.vouchers))

    def leave_link(self, adoption: Adoption) -> bool:
        """Makes the old name of a large file a link; False when it stays."""
        pointer = RepoFolder(self._cache, adoption.wanted.repo).snapshot(adoption.commit) / adoption.file.path
        if adoption.file.size < LARGE_FROM_BYTES or not pointer.exists():
            return False
        try:
            fresh = adoption.source.with_name(f".{adoption.source.name}.tts-launcher.tmp")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(pointer)
            fresh.replace(adoption.source)
        except OSError:
            return False
        return True
