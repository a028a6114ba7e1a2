"""Locks of a Hugging Face cache, seen by whoever tidies it up: is somebody working there, and may nobody begin.

The library locks one file of ``.locks`` for each content that it fetches, and so do we; on file systems that several
machines share a lease (a small file that its holder touches every few seconds) stands beside the lock.

Invariant: a lock file that is not there is free, and looking at it does not make it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: The library's mode: others of the same group may wait for the lock, too.
_MODE = 0o664
_POLL_S = 0.1
_SAY_AFTER_S = 1.0
#: A lease that nobody has touched for so long, by the clock of its own disk, belongs to nobody.
_LEASE_S = 60.0


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Holds the lock if nobody else does; yields whether it does."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=_MODE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield not _is_leased(path)
    finally:
        lock.release()


@contextlib.contextmanager
def wait_for_lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the lock, however long it takes to get it.

    Args:
        path: of the lock file.
        waiting: called once when somebody else holds it for longer than a moment.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=_MODE)
    try:
        lock.acquire(timeout=_SAY_AFTER_S, poll_interval=_POLL_S)
    except Timeout:
        waiting()
        lock.acquire(poll_interval=_POLL_S)
    try:
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    if not path.exists():
        return not _is_leased(path)
    try:
        with try_lock(path) as held:
            return held
    except OSError:  # not ours to open: somebody else's, who may well hold it
        return False


def _is_leased(path: Path) -> bool:
    lease = path.with_suffix(".lease")
    try:
        touched_at = lease.stat().st_mtime
        return _now_on_disk(lease.parent) - touched_at < _LEASE_S
    except OSError:
        return False


def _now_on_disk(folder: Path) -> float:
    """The time that a file gets there now: the disk is another machine's, whose clock may differ from ours."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:  # not ours to write
        return time.time()
