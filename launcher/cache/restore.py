"""Brings contents back from an archive or a backup, each verified before it has its name.

Invariants: what is in the cache and right stays; a content that the store has damaged is named and the rest comes; at
every moment the cache is sound, so that an interrupted restore is just run again.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.cache import content
from launcher.cache.archive import read_pointers
from launcher.cache.folder_store import open_store
from launcher.cache.folders import make_folder, storage_error
from launcher.cache.journal import alone
from launcher.cache.layout import archived_dir, hub_cache, journal_dir
from launcher.cache.store import Entry, Manifest, Store
from launcher.config import Config
from launcher.errors import StorageError
from launcher.progress import Progress

#: Left free for everybody else's logs and temporary files.
SPARE_BYTES = 64 << 20
_READ_BYTES = 1 << 20
#: Notes of the cache itself: what is there is newer.
_NOTES = frozenset({"refs", "trees", ".receipts"})


@dataclass
class Restored:
    """What a restore did.

    Attributes:
        files, size: contents that came back, and their bytes.
        present: contents that were there.
        problems: paths whose content the store has not, or has damaged.
    """

    files: int = 0
    size: int = 0
    present: int = 0
    problems: list[str] = field(default_factory=list)


def chosen(manifest: Manifest, repos: Iterable[str]) -> dict[str, tuple[Entry, ...]]:
    """The entries of some repositories; of everything when ``repos`` is empty."""
    names = set(repos)
    if not names:
        return dict(manifest.roots)
    hub = manifest.roots.get("hub", ())
    return {"hub": tuple(entry for entry in hub if entry.path.split("/")[0] in names)}


def restore(
    store: Store,
    roots: Mapping[str, tuple[Entry, ...]],
    targets: Mapping[str, Path],
    tell: Callable[[Progress], None] = lambda _progress: None,
) -> Restored:
    """Brings entries back.

    Args:
        store: that has the contents.
        roots: ``hub`` or ``torch`` to entries, in their order.
        targets: ``hub`` or ``torch`` to its folder.
        tell: gets the bytes done.

    Raises:
        StorageError: when the disk cannot take them.
    """
    done = Restored()
    for kind, entries in roots.items():
        target = targets[kind]
        make_folder(target, "LAUNCHER_DATA_DIR")
        restorer = _Restorer(store, target, kind == "hub", done)
        try:
            missing = [entry for entry in entries if not restorer.is_there(entry)]
            _check_space(target, sum(entry.size for entry in missing))
            restorer.run(entries, missing, tell)
        except OSError as error:
            raise storage_error(error, "LAUNCHER_DATA_DIR", target) from None
        finally:
            content.clear_staging(target)
    return done


def _check_space(target: Path, size: int) -> None:
    free = shutil.disk_usage(target).free
    if size + SPARE_BYTES > free:
        raise StorageError(
            f"{target} needs {(size + SPARE_BYTES) / 1e6:,.0f} MB of free space and has {free / 1e6:,.0f} MB.",
            fix="Free some space, or set LAUNCHER_DATA_DIR or HF_HOME to a larger disk.",
        )


def bring_back(
    config: Config, repo: str, tell: Callable[[Progress], None], note: Callable[[str], None]
) -> Restored | None:
    """Restores one repository that was archived, before anybody downloads it again.

    Args:
        config: the settings.
        repo: the name of its folder in the Hub cache.
        tell: gets the bytes done.
        note: gets a sentence when there is something to say.

    Returns:
        What came back; ``None`` when it is not archived, or its archive cannot be used now.
    """
    pointer = read_pointers(archived_dir(config)).get(repo)
    if pointer is None:
        return None
    hub = hub_cache(config)
    note(f"{repo} is archived in {pointer.store}; it comes back from there.")
    try:
        with alone(journal_dir(config)):
            store = open_store(pointer.store)
            done = restore(store, store.read(repo).roots, {"hub": hub}, tell)
    except StorageError as error:
        note(f"The archive cannot be used now: {error.message}")
        return None
    if not done.problems:
        (archived_dir(config) / f"{repo}.json").unlink(missing_ok=True)
    return done


class _Restorer:
    def __init__(self, store: Store, root: Path, is_hub: bool, done: Restored) -> None:
        self._store, self._root, self._is_hub, self._done = store, root, is_hub, done
        self._staging = content.staging_folder(root)

    def run(self, entries: Iterable[Entry], missing: Iterable[Entry], tell: Callable[[Progress], None]) -> None:
        wanted = {entry.path for entry in missing}
        total = sum(entry.size for entry in missing)
        for entry in entries:
            if self._is_hub:
                content.make_repo(self._root, entry.path.split("/")[0])
            if entry.link:
                self._link(entry)
            elif entry.path not in wanted:
                self._done.present += 1
            elif not self._is_homeless_ref(entry):
                self._bring(entry)
                tell(Progress("restore", self._done.size, total, "bytes"))

    def is_there(self, entry: Entry) -> bool:
        """Whether the cache has it, and right."""
        target = self._root / entry.path
        if entry.link or not target.exists():
            return bool(entry.link)
        if self._is_hub and _NOTES.intersection(entry.path.split("/")[1:2]):
            return True
        return target.stat().st_size == entry.size and content.holds(target, entry.digest)

    def _link(self, entry: Entry) -> None:
        target = self._root / entry.path
        goal = Path(os.path.normpath(target.parent / entry.link))
        is_inside = goal.is_relative_to(self._root)  # a manifest comes from elsewhere
        if not is_inside or not goal.exists():
            self._done.problems.append(entry.path)
        elif not target.exists():
            content.point(target, entry.link, self._staging, goal)

    def _is_homeless_ref(self, entry: Entry) -> bool:
        """Whether it is a ref whose snapshot has not come; tools take it for damage."""
        parts = entry.path.split("/")
        if not self._is_hub or parts[1] != "refs":
            return False
        try:
            with self._store.open(entry) as stream:
                commit = stream.read(_READ_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return True
        return not (self._root / parts[0] / "snapshots" / commit).is_dir()

    def _bring(self, entry: Entry) -> None:
        target = self._root / entry.path
        self._staging.mkdir(parents=True, exist_ok=True)
        fresh = self._staging / f"{uuid.uuid4().hex}.tmp"
        try:
            with self._store.open(entry) as reader, fresh.open("wb") as writer:
                shutil.copyfileobj(reader, writer, _READ_BYTES)
                writer.flush()
                os.fsync(writer.fileno())
        except FileNotFoundError:
            self._done.problems.append(entry.path)
            return
        except OSError as error:
            if error.errno != 5:  # EIO is the store's word for a damaged object
                raise
            self._done.problems.append(entry.path)
            return
        if not content.holds(fresh, entry.digest):
            self._done.problems.append(entry.path)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(target)
        self._done.files += 1
        self._done.size += entry.size
