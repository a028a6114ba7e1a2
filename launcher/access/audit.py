"""The audit log: who did what and when, one JSON object a line.

Invariants: no text that is spoken, no query and no secret stands in it; several processes append to the same file, a
line at a time; a full disk never fails a request; the file is private and bounded (the one before is kept).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

FILE_NAME = "audit.jsonl"
#: Some 50,000 lines; with the file before, 20 MB at most.
MAX_BYTES = 10_000_000
#: Longest path of a request that is kept, in characters.
_MAX_PATH_CHARS = 200


class AuditLog:
    """Appends to ``folder/audit.jsonl``.

    Args:
        folder: of the instance's logs; ``None`` keeps nothing.
        max_bytes: size from which the next file begins.
    """

    def __init__(self, folder: Path | None, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._max_bytes = max_bytes

    def write(self, event: str, *, who: str, address: str, method: str, path: str, status: int, **more: Any) -> None:
        """One line.

        Args:
            event: ``login``, ``logout``, ``denied``, ``speech`` or ``change``.
            who: the name that came with a token; empty: nobody's.
            address: the client's.
            method, path: of the request, without query.
            status: of the answer.
            more: further fields, numbers and words of ours.
        """
        if self._path is None:
            return
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "event": event,
            "who": who,
            "address": address,
            "method": method[:20],
            "path": path[:_MAX_PATH_CHARS],
            "status": status,
            **more,
        }
        with contextlib.suppress(OSError):
            self._append(json.dumps(line, ensure_ascii=True).encode() + b"\n")

    def _append(self, data: bytes) -> None:
        assert self._path is not None
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
            size_bytes = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        # Looked at again: another process may just have begun the next file.
        if size_bytes > self._max_bytes and self._path.stat().st_size > self._max_bytes:
            self._path.replace(self._path.with_name(f"{FILE_NAME}.1"))
