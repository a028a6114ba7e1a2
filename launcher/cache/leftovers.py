"""What interrupted programs have left in a cache: cut-off downloads, temporary files, blobs that nothing names, locks.

Invariants: nothing is changed here; what somebody may still be working on (its lock is held, or it is young) is no
leftover.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.locking import is_free
from launcher.cache.repair import STAGING
from launcher.cache.usage import REMOVED, Repo, Usage, is_leftover_name

#: Younger ones may belong to a program that is running: between a blob's rename and its link lie milliseconds, and a
#: download that moves writes every few seconds.
LEAST_AGE_S = 3600.0
#: A fetch that can be resumed is worth keeping for a while.
RESUMABLE_S = 7 * 86_400.0
#: Where `launcher.cache.archive` puts a repository aside, and what its folder is called once it may go.
ARCHIVED = "tts-launcher-archived"
GONE = "gone-"
#: By this file the library knows its own store of contents that repositories share.
_SHARED_MARKER = ".huggingface-shared-blobs"


@dataclass(frozen=True)
class Leftover:
    """Something that nothing needs.

    Attributes:
        kind: ``incomplete``, ``unused``, ``temporary``, ``partial``, ``removed``, ``empty`` or ``lock``.
        path: a file or folder.
        size: in bytes.
        reason: what it is.
    """

    kind: str
    path: Path
    size: int
    reason: str


def find_leftovers(usage: Usage, now: float) -> tuple[Leftover, ...]:
    """Everything that can go without anybody missing it.

    Args:
        usage: the cache.
        now: seconds since the epoch.
    """
    found: list[Leftover] = []
    for repo in usage.repos:
        found += _of_repo(usage.cache, repo, now)
    found += _of_cache(usage, now)
    return tuple(sorted(found, key=lambda one: str(one.path)))


def _of_repo(cache: Path, repo: Repo, now: float) -> Iterator[Leftover]:
    locks = cache / ".locks" / repo.folder.name
    if (
        not repo.revisions
        and not repo.unused
        and not _has_files(repo.folder)
        and _age_s(repo.folder, now) > LEAST_AGE_S
    ):
        yield Leftover("empty", repo.folder, 0, "a repository without a single file")
        return
    for path in _children(repo.folder / "blobs"):
        if path.name.endswith(".incomplete"):
            lock = locks / f"{path.name.partition('.')[0]}.lock"
            if _age_s(path, now) > LEAST_AGE_S and is_free(lock):
                yield Leftover("incomplete", path, tree_size(path), "a download that was cut off")
    for content in repo.unused:
        blob = Path(content.path)
        if _age_s(blob, now) > LEAST_AGE_S and is_free(locks / f"{blob.name}.lock"):
            yield Leftover("unused", blob, content.own_size, "a blob that no revision names")
    for name, what in (
        (".partial", "a fetch that nobody went on with"),
        (STAGING, "a repair that nobody went on with"),
    ):
        folder = repo.folder / name
        if folder.is_dir() and _youngest_age_s(folder, now) > RESUMABLE_S:
            yield Leftover("partial", folder, tree_size(folder), what)
    for path in _children(repo.folder):
        if path.name.startswith(REMOVED):
            yield Leftover("removed", path, 0, "what a removal that was cut short has left")
    yield from _temporary(repo.folder, now)


def _temporary(folder: Path, now: float) -> Iterator[Leftover]:
    for top in ("blobs", "refs", "snapshots", "trees", ".receipts"):
        for place, _, names in os.walk(folder / top):
            for name in names:
                path = Path(place, name)
                if name.startswith(".") and name.endswith(".tmp") and _age_s(path, now) > LEAST_AGE_S:
                    yield Leftover("temporary", path, tree_size(path), "a temporary file")


def _of_cache(usage: Usage, now: float) -> Iterator[Leftover]:
    known = {repo.folder.name for repo in usage.repos}
    for path in _children(usage.cache / ".locks"):
        if path.name.startswith(REMOVED):
            yield Leftover("removed", path, tree_size(path), "a repository whose removal was cut short")
        elif path.name == ARCHIVED:  # what lies there under another name comes back: see `launcher.cache.archive`
            for gone in path.glob(f"{GONE}*"):
                yield Leftover("temporary", gone, tree_size(gone), "what an archive that was cut short has left")
        elif path.is_dir() and path.name not in known:
            locks = list(path.rglob("*.lock"))
            if _youngest_age_s(path, now) > LEAST_AGE_S and all(is_free(lock) for lock in locks):
                yield Leftover("lock", path, tree_size(path), "locks of a repository that is not here")
    yield from _shared_contents(usage, now)
    for path in _children(usage.cache):
        if is_leftover_name(path.name) and path.is_file() and _age_s(path, now) > LEAST_AGE_S:
            yield Leftover("temporary", path, tree_size(path), "a temporary file")


def _shared_contents(usage: Usage, now: float) -> Iterator[Leftover]:
    """Contents of the library's shared store that no repository links to any more."""
    store = usage.cache / "blobs"
    if not (store / _SHARED_MARKER).is_file():
        return
    linked = {one.identity for repo in usage.repos for one in (*repo.contents.values(), *repo.unused)}
    for folder in _children(store):
        for path in _children(folder) if folder.is_dir() else ():
            if "." not in path.name and path.is_file() and _age_s(path, now) > LEAST_AGE_S:
                found = path.stat()
                if (found.st_dev, found.st_ino) not in linked:
                    yield Leftover("unused", path, found.st_size, "a shared content that no repository names")


def tree_size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count nothing."""
    try:
        if path.is_symlink():
            return 0
        if not path.is_dir():
            return path.stat().st_size
        files = (Path(place, name) for place, _, names in os.walk(path) for name in names)
        return sum(file.stat().st_size for file in files if not file.is_symlink())
    except OSError:
        return 0


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _has_files(folder: Path) -> bool:
    return any(
        names and not Path(place).is_relative_to(folder / ".no_exist") and Path(place) != folder / "refs"
        for place, _, names in os.walk(folder)
    )


def _age_s(path: Path, now: float) -> float:
    """Since it was written, renamed or linked last; 0 when it cannot be told."""
    try:
        found = path.lstat()
    except OSError:
        return 0.0
    return now - max(found.st_mtime, found.st_ctime)


def _youngest_age_s(folder: Path, now: float) -> float:
    ages = [_age_s(Path(place, name), now) for place, _, names in os.walk(folder) for name in names]
    return min(ages, default=_age_s(folder, now))
