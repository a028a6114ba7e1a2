"""Temporary files that go: what lies too long, and the oldest when there is too much.

Invariants: nothing outside the folder is touched, links are not followed; a file that is gone already is no error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger(__name__)

#: Between two looks.
PERIOD_S = 60.0
#: A file this young is being written or read by the request that made it.
YOUNG_S = 60.0


def sweep(folder: Path, *, max_bytes: int, max_age_s: float, now: float | None = None) -> int:
    """Deletes files; returns how many.

    Args:
        folder: private, ours.
        max_bytes: how much may stay.
        max_age_s: how long a file may stay after its last change.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    kept: list[tuple[float, int, str]] = []
    removed = 0
    for path, changed_at, size_bytes in _files(folder):
        if now - changed_at > max_age_s:
            removed += _remove(path)
        else:
            kept.append((changed_at, size_bytes, path))
    total = sum(size_bytes for _, size_bytes, _ in kept)
    for changed_at, size_bytes, path in sorted(kept):
        if total <= max_bytes or now - changed_at < YOUNG_S:
            break
        removed += _remove(path)
        total -= size_bytes
    _remove_empty(folder)
    return removed


def keep_sweeping(folder: Path, *, max_bytes: int, max_age_s: float, period_s: float = PERIOD_S) -> None:
    """Sweeps for as long as the process lives, in a thread."""

    def work() -> None:
        while True:
            time.sleep(period_s)
            removed = sweep(folder, max_bytes=max_bytes, max_age_s=max_age_s)
            if removed:
                _log.info("%d temporary files removed", removed)

    threading.Thread(target=work, name="temporary files", daemon=True).start()


def _files(folder: Path) -> Iterator[tuple[str, float, int]]:
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - as os.walk gives them
            with contextlib.suppress(OSError):
                facts = os.lstat(path)
                yield path, facts.st_mtime, facts.st_size


def _remove(path: str) -> int:
    try:
        os.unlink(path)
    except OSError:
        return 0
    return 1


def _remove_empty(folder: Path) -> None:
    """Folders that hold nothing any more; the one itself and those one step below stay, for who made them."""
    for parent, _, _ in os.walk(folder, topdown=False, followlinks=False):
        if len(Path(parent).relative_to(folder).parts) > 1:
            with contextlib.suppress(OSError):
                Path(parent).rmdir()
