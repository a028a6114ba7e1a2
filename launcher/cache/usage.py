"""What a Hugging Face cache holds: repositories, revisions, files, sizes, last use, and what was left behind.

Works on any cache, also one that other tools wrote, with or without symbolic links. Written for speed: a name costs
one ``readlink``, a content one ``stat`` however many revisions share it.

Invariants: nothing is written and no file is opened but refs; a content that several names share is counted once;
what is wrong inside a repository is a `Flaw` of it, and never an error; links to folders are not followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from launcher.cache.folders import storage_error
from launcher.errors import StorageError

#: Folder prefix to kind of repository.
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space", "kernels": "kernel"}
COMMIT = re.compile(r"[0-9a-f]{40}")
#: Beside the repositories: locks, the library's shared contents, and what systems leave in folders.
_NO_REPOS = frozenset((".locks", "blobs", "CACHEDIR.TAG", "version.txt", ".DS_Store", "Thumbs.db", "desktop.ini"))
_SYSTEM_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))
#: What a removal that was cut short has left, inside a repository or among the locks.
REMOVED = ".removed-"


@dataclass(frozen=True)
class Content:
    """The bytes behind one or many names.

    Attributes:
        path: the file; a blob, or the name itself where there are no links.
        name: of the blob, which is its digest; empty for a file without a blob.
        size: in bytes.
        identity: the same for all names of the same bytes on the disk.
        used_at, written_at: seconds since the epoch.
        is_lent: whether the blob is a link to bytes that lie elsewhere (a base below this cache, the library's shared
            contents), so that removing it frees nothing.
    """

    path: str
    name: str
    size: int
    identity: tuple[int, int]
    used_at: float
    written_at: float
    is_lent: bool = False

    @property
    def own_size(self) -> int:
        """Bytes that are gone from the disk with it."""
        return 0 if self.is_lent else self.size


@dataclass(frozen=True)
class Entry:
    """One name in a revision.

    Attributes:
        path: inside the repository, with ``/``.
        place: the name itself, on the disk.
        content: ``None`` when its bytes are not there.
        target: where it leads; empty when it is no link.
    """

    path: str
    place: str
    content: Content | None
    target: str = ""


@dataclass(frozen=True)
class Flaw:
    """Something in a repository that is not as it should be.

    Attributes:
        kind: a stable word.
        path: the file or folder.
        reason: a clause about it.
    """

    kind: str
    path: str
    reason: str


@dataclass(frozen=True)
class Revision:
    """One commit of a repository."""

    commit: str
    folder: Path
    refs: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def contents(self) -> dict[tuple[int, int], Content]:
        """What it consists of, each once."""
        return {entry.content.identity: entry.content for entry in self.entries if entry.content is not None}

    @property
    def size(self) -> int:
        """Bytes, shared ones once."""
        return sum(content.size for content in self.contents.values())

    @property
    def used_at(self) -> float:
        """When one of its files was last read or written, seconds since the epoch; 0 without any."""
        return max((max(one.used_at, one.written_at) for one in self.contents.values()), default=0.0)


@dataclass(frozen=True)
class Repo:
    """One repository in the cache.

    Attributes:
        kind: ``model``, ``dataset``, ``space`` or ``kernel``.
        name: ``org/name``.
        folder: its folder.
        revisions: sorted by commit.
        refs: branch or tag to commit.
        unused: blobs that no revision names.
        flaws: what is wrong with its layout.
    """

    kind: str
    name: str
    folder: Path
    revisions: tuple[Revision, ...]
    refs: dict[str, str] = field(default_factory=dict)
    unused: tuple[Content, ...] = ()
    flaws: tuple[Flaw, ...] = ()

    @property
    def full_name(self) -> str:
        """``org/name``, with ``datasets/`` or the like before it for what is no model."""
        return self.name if self.kind == "model" else f"{self.kind}s/{self.name}"

    @property
    def contents(self) -> dict[tuple[int, int], Content]:
        """All that its revisions consist of, each once."""
        return {identity: one for revision in self.revisions for identity, one in revision.contents.items()}

    @property
    def size(self) -> int:
        """Bytes of its revisions, shared ones once."""
        return sum(content.size for content in self.contents.values())

    @property
    def used_at(self) -> float:
        """When one of its files was last read or written; 0 without any."""
        return max((revision.used_at for revision in self.revisions), default=0.0)


@dataclass(frozen=True)
class Usage:
    """A whole cache."""

    cache: Path
    repos: tuple[Repo, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all revisions and of blobs that nothing names, each once; what is lent lies elsewhere."""
        sizes = {identity: one.own_size for repo in self.repos for identity, one in repo.contents.items()}
        sizes.update({one.identity: one.own_size for repo in self.repos for one in repo.unused})
        return sum(sizes.values())


def hub_folder(path: Path) -> Path:
    """The folder of repositories that a person means by ``path``: itself, or the ``hub`` inside an ``HF_HOME``."""
    inner = path / "hub"
    return inner if inner.is_dir() and not _has_repos(path) else path


def scan(cache: Path, setting: str = "HF_HUB_CACHE", *, must_exist: bool = False) -> Usage:
    """What the cache holds.

    Args:
        cache: the folder with ``models--org--name`` folders.
        setting: that decides about it, for the sentence when something is wrong.
        must_exist: whether a cache that is not there, or a folder that is none, is an error; else it is empty.

    Raises:
        StorageError: when it cannot be read, or is no cache.
    """
    try:
        with os.scandir(cache) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError as error:
        if must_exist or cache.is_symlink():
            raise storage_error(error, setting, cache) from None
        return Usage(cache, ())
    except OSError as error:
        raise storage_error(error, setting, cache) from None
    repos, flaws = [], []
    for entry in entries:
        kind, separator, name = entry.name.partition("--")
        if separator and kind in KINDS and name:
            try:
                repos.append(_scan_repo(Path(entry.path), KINDS[kind], name.replace("--", "/")))
            except OSError as error:
                flaws.append(Flaw("unreadable", entry.path, f"cannot be read ({error.strerror or error})"))
        elif entry.name not in _NO_REPOS and not is_leftover_name(entry.name):
            flaws.append(Flaw("stranger", entry.path, "does not belong into a Hugging Face cache"))
    if flaws and not repos and must_exist and not any(flaw.kind == "unreadable" for flaw in flaws):
        raise StorageError(
            f"{setting}: {cache} is no Hugging Face cache: it holds no folder such as models--org--name.",
            fix="Name the folder that HF_HUB_CACHE would name, which usually is called hub.",
        )
    return Usage(cache, tuple(repos), tuple(flaws))


def is_leftover_name(name: str) -> bool:
    """Whether a file beside the repositories is what very old libraries left while they fetched."""
    return name.startswith("tmp") and "." not in name


def _has_repos(path: Path) -> bool:
    try:
        return any(entry.name.partition("--")[0] in KINDS for entry in os.scandir(path) if "--" in entry.name)
    except OSError:
        return False


def _scan_repo(folder: Path, kind: str, name: str) -> Repo:
    flaws: list[Flaw] = []
    contents: dict[str, Content | None] = {}
    refs = dict(_refs(folder / "refs", flaws))
    by_commit: dict[str, list[str]] = {}
    for ref, commit in refs.items():
        by_commit.setdefault(commit, []).append(ref)
    revisions = []
    for place in _listing(folder / "snapshots", flaws):
        if not place.is_dir(follow_symlinks=False):
            flaws.append(Flaw("stranger", place.path, "is no folder of a revision"))
            continue
        entries = tuple(_entries(place.path, "", contents, flaws))
        revisions.append(Revision(place.name, Path(place.path), tuple(sorted(by_commit.get(place.name, ()))), entries))
    known = {revision.commit for revision in revisions}
    for ref, commit in refs.items():
        if commit not in known:
            flaws.append(
                Flaw("ref", str(folder / "refs" / ref), f"names the commit {commit[:12]!r}, which is not here")
            )
    named = {one.identity for one in contents.values() if one is not None}
    unused = tuple(_unused_blobs(folder, named, set(contents)))
    return Repo(kind, name, folder, tuple(revisions), refs, unused, tuple(flaws))


def _refs(folder: Path, flaws: list[Flaw], below: str = "") -> Iterator[tuple[str, str]]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        flaws.append(Flaw("ref", str(folder), f"cannot be read ({error.strerror or error})"))
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _refs(Path(entry.path), flaws, f"{below}{entry.name}/")
        elif entry.name not in _SYSTEM_FILES and not entry.name.endswith(".tmp"):
            try:
                with Path(entry.path).open(encoding="ascii", errors="replace") as file:
                    yield f"{below}{entry.name}", file.read(128).strip()
            except OSError as error:
                flaws.append(Flaw("ref", entry.path, f"cannot be read ({error.strerror or error})"))


def _listing(folder: Path, flaws: list[Flaw]) -> Iterable[os.DirEntry[str]]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        flaws.append(Flaw("snapshots", str(folder), f"cannot be read ({error.strerror or error})"))
        return ()
    return [entry for entry in found if entry.name not in _SYSTEM_FILES]


def _entries(folder: str, below: str, contents: dict[str, Content | None], flaws: list[Flaw]) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            listed = list(found)
    except OSError as error:
        flaws.append(Flaw("unreadable", folder, f"cannot be read ({error.strerror or error})"))
        return
    for one in listed:
        path = f"{below}{one.name}"
        if one.is_symlink():
            # No Path here: this runs for every name of every revision, and Path costs ten times as much.
            target = os.readlink(one.path)  # noqa: PTH115
            blob = target if target.startswith("/") else os.path.normpath(f"{folder}/{target}")
            if blob not in contents:
                contents[blob] = _content(blob, blob.rpartition("/")[2], may_be_lent=True)
            yield Entry(path, one.path, contents[blob], target)
        elif one.is_dir(follow_symlinks=False):
            yield from _entries(one.path, f"{path}/", contents, flaws)
        elif not (one.name.startswith(".") and one.name.endswith(".tmp")):
            yield Entry(path, one.path, _content(one.path, ""))


def _content(path: str, name: str, *, may_be_lent: bool = False) -> Content | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    is_lent = may_be_lent and os.path.islink(path)  # noqa: PTH114
    return Content(path, name, found.st_size, (found.st_dev, found.st_ino), found.st_atime, found.st_mtime, is_lent)


def _unused_blobs(folder: Path, named: set[tuple[int, int]], paths: set[str]) -> Iterator[Content]:
    try:
        with os.scandir(folder / "blobs") as found:
            listed = [one for one in found if one.path not in paths and "." not in one.name]
    except OSError:
        return
    for one in listed:
        content = _content(one.path, one.name, may_be_lent=True)
        if content is not None and content.identity not in named:
            yield content
