"""Keeps a second copy of the caches, incremental by content: what a store has already is not sent again.

Invariants: the cache is never changed; a manifest is written when all that it names is kept, so that an interrupted
backup is one that does not exist yet, and the next one sends only the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.entries import entries_of, items_of, keep
from launcher.cache.folder_store import FolderStore
from launcher.cache.folders import storage_error
from launcher.cache.store import Entry, Manifest, Store, is_right
from launcher.errors import StorageError
from launcher.progress import Progress

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class BackedUp:
    """What a backup did.

    Attributes:
        name: of its manifest.
        files, size: that it holds, and their bytes.
        sent_bytes: that were new.
        damaged: paths whose content is not what its name says; they are not in it.
    """

    name: str
    files: int
    size: int
    sent_bytes: int
    damaged: tuple[str, ...]


def backup(store: Store, sources: Mapping[str, Path], tell: Tell = lambda _progress: None) -> BackedUp:
    """Backs up caches.

    Args:
        store: where to.
        sources: ``hub`` and ``torch`` to their folders.
        tell: gets the bytes done.

    Raises:
        StorageError: when the store cannot take it, or there is nothing to back up.
    """
    try:
        store.prepare()
        names = [name for name in store.manifests() if name.startswith("backup-")]
        earlier = store.read(names[-1]) if names else None
        items = {kind: items_of(kind, root) for kind, root in sources.items()}
        total, done = sum(item.size for found in items.values() for item in found), 0
        if not any(items.values()):
            raise StorageError("There is nothing to back up.", fix="Fetch a model first.")

        def count(size: int) -> None:
            nonlocal done
            done += size
            tell(Progress("backup", done, total, "bytes"))

        roots, sent, damaged = {}, 0, []
        for kind, root in sources.items():
            known = {entry.path: entry for entry in (earlier.roots.get(kind, ()) if earlier else ())}
            entries = tuple(entries_of(root, items[kind], known))
            fresh, bad = keep(root, entries, store, count)
            sent += fresh
            damaged += bad
            roots[kind] = tuple(entry for entry in entries if entry.path not in bad)
        name = (
            names[-1] if earlier and earlier.roots == roots else time.strftime("backup-%Y%m%dT%H%M%SZ", time.gmtime())
        )
        if earlier is None or earlier.roots != roots:
            store.write(name, Manifest("backup", time.time(), roots))
    except OSError as error:
        where = store.root if isinstance(store, FolderStore) else Path(store.where)
        raise storage_error(error, "The backup", where) from None
    files = [entry for entries in roots.values() for entry in entries if not entry.link]
    return BackedUp(name, len(files), sum(entry.size for entry in files), sent, tuple(damaged))


@dataclass(frozen=True)
class Checked:
    """What a look into a store found.

    Attributes:
        manifests, objects, size: how many there are, and the contents' bytes.
        problems: digests that are missing or damaged, each with a path that needs it.
    """

    manifests: int
    objects: int
    size: int
    problems: tuple[tuple[str, str], ...]


def verify(store: Store, tell: Tell = lambda _progress: None) -> Checked:
    """Reads every content that a manifest names; damaged ones are set aside, so that the next backup sends them again.

    Raises:
        StorageError: when there is no manifest, or it cannot be read.
    """
    names = store.manifests()
    if not names:
        raise StorageError(f"{store.where} holds no backup.", fix="Is it the right place, and is its disk there?")
    wanted: dict[str, Entry] = {}
    for name in names:
        for entries in store.read(name).roots.values():
            wanted.update({entry.digest: entry for entry in entries if entry.digest})
    total, done, problems = sum(entry.size for entry in wanted.values()), 0, []

    def count(size: int) -> None:
        nonlocal done
        done += size
        tell(Progress("verify", done, total, "bytes"))

    for digest, entry in sorted(wanted.items()):
        if not is_right(store, entry, count):
            store.set_aside(entry)
            problems.append((digest, entry.path))
    return Checked(len(names), len(wanted), total, tuple(problems))
