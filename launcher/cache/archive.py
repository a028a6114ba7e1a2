"""Moves models that nobody needs now to another disk, compressed, and leaves a pointer; see `launcher.cache.restore`.

Invariants: a repository leaves the cache by one rename, after every content of it was read back from the archive and
was right, and the pointer was written; an interrupted archive is taken up where it was; what changed meanwhile stays.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.cache import content
from launcher.cache.entries import entries_of, keep
from launcher.cache.folder_store import FolderStore
from launcher.cache.folders import storage_error
from launcher.cache.leftovers import ARCHIVED, GONE
from launcher.cache.migrate_plan import Item, repo_items
from launcher.cache.store import Entry, Manifest, is_right
from launcher.errors import StorageError
from launcher.progress import Progress

#: Left free on the archive's disk.
SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Pointer:
    """Where an archived repository is.

    Attributes:
        repo: the name of its folder in the Hub cache.
        store: the archive's folder.
        size: bytes that it had here.
    """

    repo: str
    store: str
    size: int


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Keeps a pointer in ``folder``, in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{pointer.repo}.{uuid.uuid4().hex}.tmp"
    fresh.write_text(json.dumps(vars(pointer)), encoding="utf-8")
    fresh.replace(folder / f"{pointer.repo}.json")


def read_pointers(folder: Path) -> dict[str, Pointer]:
    """Every pointer in ``folder``, by repository folder."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = Pointer(str(data["repo"]), str(data["store"]), int(data["size"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def repo_size(hub: Path, repo: str) -> int:
    """Bytes of a repository's contents."""
    return sum(item.size for item in repo_items(hub, hub / repo, []))


def archive(
    hub: Path, repo: str, store: FolderStore, pointers: Path, tell: Callable[[Progress], None] = lambda _progress: None
) -> Pointer:
    """Moves one repository into an archive.

    Args:
        hub: the Hub cache.
        repo: the name of its folder.
        store: a compressing store on another disk.
        pointers: the folder for the pointer.
        tell: gets the bytes done.

    Raises:
        StorageError: when the archive cannot take it, or the repository is damaged or being fetched; it stays then.
    """
    root = hub / repo
    try:
        if any(any((root / name).glob("*")) for name in (".partial", ".repair")):
            raise StorageError(f"{root} is not fetched completely.", fix="Fetch it, or remove what is left with prune.")
        items = list(repo_items(hub, root, []))
        total, done = sum(item.size for item in items), 0
        _check_space(store, total)

        def count(size: int) -> None:
            nonlocal done
            done += size
            tell(Progress("archive", done, total, "bytes"))

        entries = tuple(entries_of(hub, items, {}))
        _set_rot_aside(store, entries)
        _, damaged = keep(hub, entries, store, count)
        if damaged:
            raise StorageError(f"{hub / damaged[0]} is damaged; nothing was removed.", fix="Mend it: cache repair")
        store.write(repo, Manifest("archive", time.time(), {"hub": entries}))
        pointer = Pointer(repo, store.where, total)
        write_pointer(pointers, pointer)
        _remove(hub, repo, items)
    except OSError as error:
        raise storage_error(error, "The archive", store.root) from None
    return pointer


def _set_rot_aside(store: FolderStore, entries: tuple[Entry, ...]) -> None:
    """What an earlier archive left is read again: the cache is about to lose its own copy."""
    for entry in {one.digest: one for one in entries if one.digest}.values():
        if store.has(entry) and not is_right(store, entry):
            store.set_aside(entry)


def _check_space(store: FolderStore, size: int) -> None:
    # What compresses badly takes as much as it is; what is in the archive already was counted, too.
    free = shutil.disk_usage(store.root).free
    if size + SPARE_BYTES > free:
        raise StorageError(
            f"{store.root} needs up to {(size + SPARE_BYTES) / 1e6:,.0f} MB of free space and has "
            f"{free / 1e6:,.0f} MB.",
            fix="Free some space, or name another folder.",
        )


def _leaving(hub: Path) -> Path:
    """Where repositories lie that are about to go: a place in the cache that its tools skip."""
    return hub / ".locks" / ARCHIVED


def _remove(hub: Path, repo: str, items: list[Item]) -> None:
    """Takes the repository out of the cache by one rename, looks once more, and removes it."""
    away = _leaving(hub) / f"leaving-{uuid.uuid4().hex}"
    away.mkdir(parents=True)
    (hub / repo).rename(away / repo)
    if list(repo_items(away, away / repo, [])) != items:
        (away / repo).rename(hub / repo)
        away.rmdir()
        raise StorageError(f"{hub / repo} changed meanwhile; it stays.", fix="Run the same command again.")
    gone = away.with_name(away.name.replace("leaving-", GONE))
    away.rename(gone)
    content.remove_tree(gone)


def recover(hub: Path) -> None:
    """Ends what an interrupted archive began: what it had not looked at yet comes back, the rest goes."""
    for folder in sorted(_leaving(hub).glob("*-*")):
        if folder.name.startswith(GONE):
            content.remove_tree(folder)
            continue
        for repo in folder.iterdir():
            if not (hub / repo.name).exists():
                repo.rename(hub / repo.name)
        with contextlib.suppress(OSError):  # what was fetched again meanwhile leaves the older one here
            folder.rmdir()
