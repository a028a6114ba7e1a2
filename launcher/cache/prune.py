"""Removing revisions: a plan that names everything first, and a removal that may be cut short at any moment.

A revision goes in this order: its refs, then the folder of its names by one rename (into ``.removed-COMMIT.*`` of the
repository, which libraries do not look into), then those blobs that no other revision names, then what is known about
it. Where the last revision goes, the whole repository is renamed into ``.locks`` first.

Invariants: a name never leads to a blob that is gone; what a needed revision consists of stays unless it was named;
whatever a removal that was cut short has left is found and finished by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.folders import storage_error
from launcher.cache.leftovers import Leftover
from launcher.cache.locking import is_free, try_lock
from launcher.cache.repair import check_changeable
from launcher.cache.usage import REMOVED, Repo, Revision, Usage
from launcher.errors import FULL_ERRNOS

Identity = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """What may go.

    Attributes:
        unused_for_s: revisions that nobody has read or written for so long; ``None`` for no such rule.
        old_revisions: those that no branch or tag names any more, where another one is named.
        keep_below_bytes: the least recently used ones until the cache is smaller; ``None`` for no such rule.
        everything: all that is chosen, without any other rule.
    """

    unused_for_s: float | None = None
    old_revisions: bool = False
    keep_below_bytes: int | None = None
    everything: bool = False


@dataclass(frozen=True)
class Removal:
    """One revision that is to go; ``size`` is what becomes free when all removals of the plan are done in order."""

    repo: Repo
    revision: Revision
    reason: str
    size: int


@dataclass(frozen=True)
class Plan:
    """What would go.

    Attributes:
        removals: revisions.
        leftovers: files and folders that nothing needs.
        kept: what the rules fit but something needs: ``org/name@commit`` to the reason.
        size_before, size_after: of all revisions and blobs in the cache, in bytes.
    """

    removals: tuple[Removal, ...]
    leftovers: tuple[Leftover, ...]
    kept: Mapping[str, str]
    size_before: int
    size_after: int

    @property
    def freed_bytes(self) -> int:
        """What becomes free."""
        return sum(one.size for one in self.removals) + sum(one.size for one in self.leftovers)


def plan(
    usage: Usage,
    chosen: Sequence[tuple[Repo, Revision]],
    rules: Rules,
    needed: Callable[[Repo, Revision], str],
    *,
    now: float,
    leftovers: Sequence[Leftover] = (),
) -> Plan:
    """What would go by the rules; changes nothing.

    Args:
        usage: the whole cache.
        chosen: revisions that may go at all.
        rules: which of them do.
        needed: why a revision must stay; empty when it need not.
        now: seconds since the epoch.
        leftovers: what goes in any case.
    """
    account = _Account(usage, needed)
    account.left -= sum(one.size for one in leftovers if one.kind == "unused")
    rest = sorted(chosen, key=lambda one: (one[1].used_at, one[0].name, one[1].commit))
    for repo, revision in list(rest):
        reason = _reason(repo, revision, rules, now)
        if reason:
            rest.remove((repo, revision))
            account.take(repo, revision, reason)
    if rules.keep_below_bytes is not None:
        for repo, revision in rest:
            if account.left < rules.keep_below_bytes:
                break
            account.take(repo, revision, "is the least recently used")
    return Plan(tuple(account.removals), tuple(leftovers), account.kept, usage.size, account.left)


class _Account:
    """What goes so far, and what that leaves.

    Attributes:
        removals: what goes.
        kept: what would, and is needed.
        left: bytes that stay in the cache.
    """

    def __init__(self, usage: Usage, needed: Callable[[Repo, Revision], str]) -> None:
        self._needed = needed
        self._owners: Counter[Identity] = Counter(
            identity for repo in usage.repos for one in repo.revisions for identity in one.contents
        )
        self.removals: list[Removal] = []
        self.kept: dict[str, str] = {}
        self.left = usage.size

    def take(self, repo: Repo, revision: Revision, reason: str) -> None:
        """One more revision goes, unless it is needed; frees what no other revision has that stays."""
        why = self._needed(repo, revision)
        if why:
            self.kept[f"{repo.full_name}@{revision.commit[:12]}"] = why
            return
        size = 0
        for identity, content in revision.contents.items():
            self._owners[identity] -= 1
            size += 0 if self._owners[identity] else content.own_size
        self.removals.append(Removal(repo, revision, reason, size))
        self.left -= size


def _reason(repo: Repo, revision: Revision, rules: Rules, now: float) -> str:
    if rules.everything:
        return "was named"
    if rules.old_revisions and not revision.refs and any(other.refs for other in repo.revisions):
        return "is an old revision"
    if rules.unused_for_s is not None and now - revision.used_at > rules.unused_for_s:
        return f"was not used for {(now - revision.used_at) / 86_400:.0f} days"
    return ""


def carry_out(plan: Plan, cache: Path, setting: str) -> tuple[tuple[Removal, ...], dict[str, str]]:
    """Removes what the plan names.

    Args:
        plan: of this cache.
        cache: its folder.
        setting: that decides about the cache, for the sentence when something is wrong.

    Returns:
        What was removed, and the repositories that were left alone with the reason.

    Raises:
        StorageError: when the cache cannot be changed; nothing has changed then.
    """
    by_repo: dict[Path, list[Removal]] = {}
    for removal in plan.removals:
        by_repo.setdefault(removal.repo.folder, []).append(removal)
    for folder in (*by_repo, *{one.path.parent for one in plan.leftovers}):
        check_changeable(folder, setting)
    if by_repo:
        check_changeable(cache, setting)
    done: list[Removal] = []
    busy: dict[str, str] = {}
    try:
        for folder, removals in by_repo.items():
            with _alone(cache / ".locks" / folder.name) as is_alone:
                if is_alone:
                    _remove(cache, folder, removals)
                    done += removals
                else:
                    busy[removals[0].repo.full_name] = "is being fetched by another program"
        for leftover in plan.leftovers:
            _remove_leftover(leftover)
    except OSError as error:
        raise storage_error(error, setting, cache) from None
    return tuple(done), busy


@contextlib.contextmanager
def _alone(locks: Path) -> Iterator[bool]:
    """Holds a repository's fetch lock; yields whether nobody fetches, neither all of it nor one of its files."""
    with contextlib.ExitStack() as held:
        is_first = True
        try:
            is_first = held.enter_context(try_lock(locks / "tts-launcher-fetch.lock"))
        except OSError as error:
            if error.errno not in FULL_ERRNOS:  # a disk that cannot take a lock has to be cleared all the same
                raise
        yield is_first and all(
            is_free(path) for path in locks.glob("*.lock") if not path.name.startswith("tts-launcher-")
        )


def _remove(cache: Path, folder: Path, removals: Sequence[Removal]) -> None:
    commits = {removal.revision.commit for removal in removals}
    now_there = {path.name for path in (folder / "snapshots").iterdir()} if (folder / "snapshots").is_dir() else set()
    if now_there <= commits and (locks := _made(cache / ".locks")) is not None:
        trash = locks / f"{REMOVED}{folder.name}.{uuid.uuid4().hex[:8]}"
        folder.rename(trash)
        _sync(cache)
        shutil.rmtree(trash)
        return
    for removal in removals:
        for ref in removal.revision.refs:
            (folder / "refs" / ref).unlink(missing_ok=True)
        trash = folder / f"{REMOVED}{removal.revision.commit}.{uuid.uuid4().hex[:8]}"
        removal.revision.folder.rename(trash)
    _sync(folder / "snapshots")
    finish(folder)


def _made(folder: Path) -> Path | None:
    """The folder, made when it is not there; ``None`` on a disk that is too full for it."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno not in FULL_ERRNOS:
            raise
        return None
    return folder


def finish(folder: Path) -> None:
    """Finishes the removals of revisions in a repository's folder, also those that an earlier run began.

    Raises:
        OSError: what the system said.
    """
    trashes = [path for path in folder.iterdir() if path.name.startswith(REMOVED)]
    # Read again: a revision that came after the plan was made may share the blobs.
    used = {os.path.normpath(target) for target in _targets(folder / "snapshots")}
    for trash in trashes:
        commit = trash.name.removeprefix(REMOVED).partition(".")[0]
        for target in _targets(trash):
            blob = folder / "blobs" / Path(target).name
            if os.fspath(blob) not in used:
                blob.unlink(missing_ok=True)
        if not (folder / "snapshots" / commit).exists():
            for record in (folder / "trees" / f"{commit}.json", folder / ".receipts" / f"{commit}.json"):
                record.unlink(missing_ok=True)
            shutil.rmtree(folder / ".no_exist" / commit, ignore_errors=True)
        shutil.rmtree(trash)


def _targets(folder: Path) -> Iterator[str]:
    """Where the links below a folder lead, as absolute paths; the folder's place decides about relative ones."""
    for place, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(place, name)
            if path.is_symlink():
                yield os.fspath(Path(place) / path.readlink())


def _remove_leftover(leftover: Leftover) -> None:
    path = leftover.path
    if leftover.kind == "removed" and path.parent.name != ".locks":
        finish(path.parent)
    elif leftover.kind == "empty":
        trash = path.parent / ".locks" / f"{REMOVED}{path.name}.{uuid.uuid4().hex[:8]}"
        trash.parent.mkdir(exist_ok=True)
        path.rename(trash)
        shutil.rmtree(trash)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=not path.exists())
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
