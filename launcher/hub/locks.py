"""Several processes, one download: locks on the files that ``huggingface_hub`` locks, too.

On a file system that several machines share, ``flock`` may hold on one of them alone. There a lease comes first: a
small file beside the lock which its holder touches every few seconds, and which whoever waits takes over when nobody
has touched it for long, by the clock of whoever waits.

Invariant: what is right never depends on a lock (digest and rename see to that), only how often a file is fetched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cache.folders import storage_error
from launcher.cache.locking import try_lock
from launcher.hub.remote_files import folder_name

__all__ = ["Locks", "lock_path", "try_lock"]

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: huggingface_hub's mode: others of the same group may wait for the lock, too.
_MODE = 0o664
_SETTING = "HF_HUB_CACHE"
_POLL_S = 0.1
_SAY_AFTER_S = 1.0
#: Longer than a busy server lets a machine wait for a small file, shorter than a person's patience.
LEASE_S = 20.0


def lock_path(cache: Path, repo: str, name: str) -> Path:
    """The lock file for an etag, or for a whole repository's fetch."""
    return cache / ".locks" / folder_name(repo) / f"{name}.lock"


@dataclass(frozen=True)
class Locks:
    """The locks of one repository.

    Attributes:
        cache: the Hub cache.
        repo: ``org/name``.
        shared: whether other machines may use the same cache.
        lease_s: after this long without a sign of life a lease is taken over; the same for everybody.
    """

    cache: Path
    repo: str
    shared: bool = False
    lease_s: float = LEASE_S

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[bool]:
        """Holds the lock if nobody else does; yields whether it does.

        Raises:
            StorageError: when there can be no lock, because the disk is full or the file is somebody else's.
        """
        from filelock import Timeout

        with contextlib.ExitStack() as held:
            try:
                for lock in self._locks(name):
                    _acquire(lock, 0)
                    held.callback(lock.release)
            except Timeout:
                held.close()
                yield False
                return
            yield True

    @contextlib.contextmanager
    def wait(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Holds the lock, however long it takes to get it.

        Args:
            name: an etag, or that of a repository's fetch.
            waiting: called once when somebody else holds it for longer than a moment.

        Raises:
            StorageError: as `attempt`.
        """
        from filelock import Timeout

        with contextlib.ExitStack() as held:
            for lock in self._locks(name):
                try:
                    _acquire(lock, _SAY_AFTER_S)
                except Timeout:
                    waiting()
                    _acquire(lock, -1)
                held.callback(lock.release)
            yield

    def _locks(self, name: str) -> Iterator[BaseFileLock]:
        """The lease, where there is one, and the lock, in the order in which everybody takes them."""
        from filelock import FileLock, SoftFileLease

        path = lock_path(self.cache, self.repo, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, _SETTING, path.parent) from None
        if self.shared:
            yield SoftFileLease(path.with_suffix(".lease"), lease_duration=self.lease_s, mode=_MODE)
        yield FileLock(path, mode=_MODE)


def _acquire(lock: BaseFileLock, timeout_s: float) -> None:
    """Takes a lock within ``timeout_s``; a negative one is for ever.

    Raises:
        Timeout: when somebody else holds it.
        StorageError: when there can be none.
    """
    from filelock import Timeout

    try:
        lock.acquire(timeout=timeout_s, poll_interval=_POLL_S)
    except Timeout:
        raise
    except OSError as error:
        raise storage_error(error, _SETTING, Path(lock.lock_file)) from None
