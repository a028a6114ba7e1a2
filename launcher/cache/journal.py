"""A journal on disk: what a long change of the caches has done so far, so that the next run can finish or undo it.

Invariants: one JSON object a line, only ever appended; a last line that was cut off counts as not written; one process
at a time writes, which a lock that dies with it sees to.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.cache.folders import check_writable, make_folder, storage_error
from launcher.errors import StorageError


class Journal:
    """The journal at ``path``, opened for appending by the first `write`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_entries(path)

    def write(self, *, sync: bool = False, **entry: Any) -> None:
        """Appends one entry.

        Args:
            sync: whether it has to survive a power cut before the caller goes on.
            entry: plain JSON values.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A new line first: what was cut off before stays a line of its own.
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{json.dumps(entry)}\n")
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        self.entries.append(entry)

    def last(self, step: str) -> dict[str, Any] | None:
        """The newest entry of that ``step``; ``None`` when there is none."""
        return next((entry for entry in reversed(self.entries) if entry.get("step") == step), None)

    def forget(self) -> None:
        """Removes it: everything is done or undone."""
        self.path.unlink(missing_ok=True)
        self.entries.clear()


def read_entries(path: Path) -> list[dict[str, Any]]:
    """What a journal holds; nothing when there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                found.append(entry)
    return found


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the lock of ``folder``, of which only one command at a time may move weights.

    Raises:
        StorageError: when another one does, or the folder cannot be used.
    """
    from filelock import FileLock, Timeout

    make_folder(folder, "LAUNCHER_DATA_DIR")
    check_writable(folder, "LAUNCHER_DATA_DIR")
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(
            "Another cache command is moving weights right now.", fix="Wait until it has ended and run this again."
        ) from None
    except OSError as error:  # another user's, or no file at all
        raise storage_error(error, "LAUNCHER_DATA_DIR", folder / "lock") from None
    try:
        yield
    finally:
        lock.release()
