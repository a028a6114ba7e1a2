"""Brings an old cache into the pinned place and leaves a link behind, so that whoever used the old one finds it there.

Contents get a second name in the pinned cache (a hard link), or a verified copy where the disks differ. When all is in
place the old folder steps aside, a link takes its name, and only then the old names go, each after one more look at
its new one.

Invariants: at every moment each content has a name in one of the two places; a failure before the link undoes what
was made, one after it leaves a journal from which the next run finishes; what differs on both sides, or is damaged,
stays beside the link and is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.cache import content
from launcher.cache.folders import check_writable, make_folder, storage_error
from launcher.cache.journal import Journal
from launcher.cache.migrate_find import REPO_PREFIXES, OldCache, size_of
from launcher.cache.migrate_plan import JUNK, Item, Plan
from launcher.errors import StorageError
from launcher.progress import Progress

#: Left free for everybody else's logs and temporary files.
SPARE_BYTES = 64 << 20
_SETTING = "LAUNCHER_DATA_DIR"
_IN_PLACE = ("link", "copy", "there")

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    Attributes:
        root, target: from where to where.
        counts: how many names were linked, copied, found there, in conflict, damaged.
        copied_bytes: that were written.
        left_behind: the folder that holds what could not move; ``None`` when nothing is left.
        left_bytes: its size.
        is_link: whether the old place leads to the new one now.
        problems: paths in conflict or damaged.
    """

    root: Path
    target: Path
    counts: dict[str, int] = field(default_factory=dict)
    copied_bytes: int = 0
    left_behind: Path | None = None
    left_bytes: int = 0
    is_link: bool = False
    problems: tuple[str, ...] = ()


def journal_of(folder: Path, root: Path) -> Journal:
    """The journal of the migration of ``root``; ``folder`` holds all of them."""
    return Journal(folder / f"migrate-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.jsonl")


def migrate(plan: Plan, journal: Journal, tell: Tell = lambda _progress: None) -> Migrated:
    """Does what a plan says.

    Args:
        plan: from `make_plan`, made just now.
        journal: from `journal_of`; what an interrupted run wrote there is taken up.
        tell: gets the bytes done.

    Raises:
        StorageError: when it cannot be done; everything is as before then.
    """
    old = plan.old
    _check(plan)
    journal.write(step="start", kind=old.kind, root=str(old.root), target=str(old.target))
    mover = _Mover(plan, journal, tell)
    try:
        outcomes = {item.path: mover.place(item) for item in plan.items}
    except OSError as error:
        undo(journal)
        raise _failure(error, old) from None
    finally:
        content.clear_staging(old.target)
    problems = tuple(path for path, how in outcomes.items() if how not in _IN_PLACE)
    counts = dict(Counter(outcomes.values()))
    if not plan.movable:
        journal.forget()
        return Migrated(old.root, old.target, counts, mover.copied_bytes, problems=problems)
    _swap(journal, old)
    left = finish(journal)
    size = size_of(left) if left is not None else 0
    return Migrated(old.root, old.target, counts, mover.copied_bytes, left, size, True, problems)


def _failure(error: OSError, old: OldCache) -> StorageError:
    if error.filename and Path(os.fsdecode(error.filename)).is_relative_to(old.root):
        return StorageError(
            f"{os.fsdecode(error.filename)} cannot be read ({error.strerror}). Nothing of {old.root} was changed.",
            fix="Make it readable for you, or run this as its owner.",
        )
    found = storage_error(error, _SETTING, old.target)
    return StorageError(f"{found.message} Nothing of {old.root} was changed.", fix=found.fix)


def _check(plan: Plan) -> None:
    old = plan.old
    make_folder(old.target, _SETTING)
    check_writable(old.target, _SETTING)
    free = shutil.disk_usage(old.target).free
    if plan.bytes_to_copy and plan.bytes_to_copy + SPARE_BYTES > free:
        raise StorageError(
            f"{old.target} needs {(plan.bytes_to_copy + SPARE_BYTES) / 1e6:,.0f} MB of free space and has "
            f"{free / 1e6:,.0f} MB.",
            fix="Free some space, or set LAUNCHER_DATA_DIR or HF_HOME to a larger disk.",
        )
    for path in _in_use(old.root):
        raise StorageError(
            f"Another program is downloading {path}.", fix="Wait until it has ended, then run this again."
        )


def _in_use(root: Path) -> Iterator[Path]:
    """Downloads under way: their program holds the lock that bears the content's name."""
    from filelock import FileLock, Timeout

    for part in root.glob("*/blobs/*.incomplete"):
        lock = root / ".locks" / part.parent.parent.name / f"{part.name.split('.')[0]}.lock"
        if not lock.is_file() or not os.access(lock, os.W_OK):
            continue
        try:
            with FileLock(lock, timeout=0):
                continue
        except Timeout:
            yield part


class _Mover:
    """Gives items their new names, one after the other."""

    def __init__(self, plan: Plan, journal: Journal, tell: Tell) -> None:
        self._old = plan.old
        self._journal = journal
        self._staging = content.staging_folder(plan.old.target)
        self._total, self._done = plan.size, 0
        self._tell = tell
        self.copied_bytes = 0

    def place(self, item: Item) -> str:
        """Brings one item; returns ``link``, ``copy``, ``there``, ``conflict`` or ``damaged``."""
        source, target = self._old.root / item.path, self._old.target / item.path
        is_ref = item.path.startswith(REPO_PREFIXES) and item.path.split("/")[1] == "refs"
        # Tools take a ref without its snapshot for damage.
        how = "damaged" if is_ref and not self._has_commit(item, source) else self._found(item, source, target)
        if not how:
            self._journal.write(step="placing", path=item.path, fresh=not os.path.lexists(target))
            before = self._done
            how = self._bring(item, source, target)
            self._done = before
        self._count(item.size)
        self._journal.write(step="placed", path=item.path, how=how)
        return how

    def _count(self, size: int) -> None:
        self._done += size
        self._tell(Progress("migrate", self._done, self._total, "bytes"))

    def _found(self, item: Item, source: Path, target: Path) -> str:
        """How it stands when there is nothing to bring; empty when there is."""
        if not os.path.lexists(target) or not target.exists():  # nothing, or a link to nowhere
            return ""
        is_same_link = item.link and target.is_symlink() and str(target.readlink()) == item.link
        if item.keep or is_same_link or target.samefile(source):
            return "there"
        if item.digest:
            if content.holds(target, item.digest):
                return "there"
            return "" if content.holds(source, item.digest) else "conflict"
        return "there" if target.is_file() and source.is_file() and content.equal(source, target) else "conflict"

    def _has_commit(self, item: Item, source: Path) -> bool:
        repo = item.path.split("/")[0]
        commit = source.read_text(encoding="utf-8", errors="replace").strip()
        return bool(commit) and (self._old.target / repo / "snapshots" / commit).is_dir()

    def _bring(self, item: Item, source: Path, target: Path) -> str:
        if item.path.startswith(REPO_PREFIXES):
            content.make_repo(self._old.target, item.path.split("/")[0])
        if item.link:
            goal = Path(os.path.normpath(target.parent / item.link))  # its folder need not be there yet
            if self._old.kind == "hub" and not goal.exists():
                return "damaged"  # its content was, and stays behind
            content.point(target, item.link, self._staging, goal)
            return "link"
        real = Path(os.path.realpath(source))
        how = content.bring(real, target, self._staging, item.digest, self._count)
        if how == "copy":
            self.copied_bytes += item.size
        return how


def undo(journal: Journal) -> None:
    """Removes what an unfinished migration made, as long as the old place still has it."""
    start = journal.last("start")
    if start is None or journal.last("swap") is not None:
        return
    root, target = Path(start["root"]), Path(start["target"])
    touched = set()
    for entry in reversed(journal.entries):
        if entry.get("step") == "placing" and entry["fresh"] and os.path.lexists(root / entry["path"]):
            touched.add(entry["path"].split("/")[0])
            with contextlib.suppress(OSError):
                (target / entry["path"]).unlink()
    for name in touched:
        folder = target / name
        if not any(files for _parent, _names, files in os.walk(folder)):
            shutil.rmtree(folder, ignore_errors=True)
    journal.forget()


def _swap(journal: Journal, old: OldCache) -> None:
    """Puts the old folder aside and a link in its place."""
    aside = old.root.with_name(f"{old.root.name}.before-migration")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = old.root.with_name(f"{old.root.name}.before-migration-{number}")
    journal.write(step="swap", aside=str(aside), sync=True)
    try:
        old.root.rename(aside)
    except OSError as error:
        journal.forget()
        raise StorageError(
            f"{old.root} cannot be renamed ({error.strerror}); its content is in {old.target} as well.",
            fix="Remove the old folder yourself when nothing uses it any more.",
        ) from None


def finish(journal: Journal) -> Path | None:
    """Takes up a migration whose old folder has stepped aside: link, removal of the old names.

    Returns:
        The folder that holds what could not move; ``None`` when nothing is left, or the swap had not begun.

    Raises:
        StorageError: when the link cannot be made; the old folder has its name again then.
    """
    start, swap = journal.last("start"), journal.last("swap")
    if start is None or swap is None:
        return None
    root, target, aside = Path(start["root"]), Path(start["target"]), Path(swap["aside"])
    if not aside.is_dir():
        if root.is_dir() and not root.is_symlink():
            return None  # cut off before it stepped aside: the whole is done again
        journal.forget()
        return None
    if not os.path.lexists(root):
        try:
            root.symlink_to(target, target_is_directory=True)
        except OSError as error:
            aside.rename(root)
            raise StorageError(
                f"{root} cannot become a link ({error.strerror}); it stays, and its content is in {target} as well.",
                fix="Remove the old folder yourself when nothing uses it any more.",
            ) from None
    placed = {entry["path"]: entry["how"] for entry in journal.entries if entry.get("step") == "placed"}
    for path, how in placed.items():
        if how in _IN_PLACE:
            _drop(aside / path, target / path)
    _remove_junk(aside)
    journal.forget()
    return aside if aside.exists() else None


def _drop(old: Path, new: Path) -> None:
    """Removes an old name when the new one leads to something of its kind and size."""
    try:
        if old.is_symlink():
            if new.exists():
                old.unlink()
        elif old.samefile(new) or old.stat().st_size == new.stat().st_size or _is_note(new):
            old.unlink()
    except OSError:
        return  # it is gone already, or it stays and is named


def _is_note(path: Path) -> bool:
    """Refs, lists of files and receipts: the pinned place's own count."""
    return bool({"refs", "trees", ".receipts"}.intersection(path.parts))


def _remove_junk(folder: Path) -> None:
    for parent, names, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(parent) / name
            is_junk = JUNK.intersection(path.relative_to(folder).parts) or (path.is_symlink() and not path.exists())
            if is_junk:
                with contextlib.suppress(OSError):
                    path.unlink()
        for name in (*names, ""):
            with contextlib.suppress(OSError):
                (Path(parent) / name).rmdir()


def unfinished(folder: Path) -> list[Journal]:
    """Journals of migrations that were interrupted."""
    found = [Journal(path) for path in sorted(folder.glob("migrate-*.jsonl"))]
    return [journal for journal in found if journal.last("start") is not None]


def start_of(journal: Journal) -> dict[str, Any]:
    """From where to where an unfinished migration goes: ``kind``, ``root``, ``target``."""
    return dict(journal.last("start") or {})
