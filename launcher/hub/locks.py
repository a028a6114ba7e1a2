"""Several processes, one download: locks on the files that ``huggingface_hub`` locks, too.

Invariant: what is right never depends on a lock (digest and rename see to that), only how often a file is fetched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: huggingface_hub's mode: others of the same group may wait for the lock, too.
_MODE = 0o664
_POLL_S = 0.1
_SAY_AFTER_S = 1.0


def lock_path(cache: Path, repo: str, name: str) -> Path:
    """The lock file for an etag, or for a whole repository's fetch."""
    return cache / ".locks" / f"models--{repo.replace('/', '--')}" / f"{name}.lock"


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Holds the lock if nobody else does; yields whether it does."""
    from filelock import Timeout

    lock = _make(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextlib.contextmanager
def wait_for_lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the lock, however long it takes to get it.

    Args:
        path: of the lock file.
        waiting: called once when somebody else holds it for longer than a moment.
    """
    from filelock import Timeout

    lock = _make(path)
    try:
        lock.acquire(timeout=_SAY_AFTER_S, poll_interval=_POLL_S)
    except Timeout:
        waiting()
        lock.acquire(poll_interval=_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _make(path: Path) -> BaseFileLock:
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, mode=_MODE)
