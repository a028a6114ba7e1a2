"""Sessions that somebody has ended before their time: what makes a log-out hold on this side, too.

A session is a signed cookie that nobody keeps a list of, so ending one means to remember that it has ended, until its
own end. The supervisor and the page may both be told of one, so the list is a file that both append to.

Invariants: no cookie stands in the file, only a digest of it; an ended session never comes back before its end, but for
a flood beyond `MAX_ENTRIES`; a full disk never keeps anybody from logging out: the process that was told remembers it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: Log-outs of a month that are remembered, 7 MB; only who holds a token can make one.
MAX_ENTRIES = 100_000
_DIGEST_CHARS = 32


class EndedSessions:
    """The list, shared through ``path``; its methods may be called from any thread.

    Args:
        path: the file; ``None`` keeps the list in memory alone.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: dict[str, int] = {}
        self._seen: tuple[int, int] = (0, 0)

    def __contains__(self, cookie: object) -> bool:
        """Whether the session of this cookie's value has been ended."""
        with self._lock:
            self._read()
            return _digest(str(cookie)) in self._ended

    def end(self, cookie: str, expires: int) -> None:
        """Ends a session.

        Args:
            cookie: its value.
            expires: when it would have ended by itself, seconds since 1970.
        """
        with self._lock:
            self._read()
            if (digest := _digest(cookie)) in self._ended:
                return
            self._ended[digest] = expires
            if self._path is not None:
                with contextlib.suppress(OSError):
                    # A newline on both sides: what a crash has cut before stays a line of its own.
                    _append(self._path, f"\n{expires} {digest}\n".encode())

    def _read(self) -> None:
        """Takes over what another process has written since the last look."""
        if self._path is None:
            return
        try:
            facts = self._path.stat()
        except OSError:
            return
        seen = (facts.st_mtime_ns, facts.st_size)
        if seen == self._seen:
            return
        with contextlib.suppress(OSError):
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
            self._seen = seen
            self._take(lines)

    def _take(self, lines: list[str]) -> None:
        now = self._clock()
        entries = dict(self._ended)
        for line in lines[-MAX_ENTRIES:]:
            end, _, digest = line.partition(" ")
            if end.isascii() and end.isdigit() and len(end) < 12 and len(digest) == _DIGEST_CHARS:
                entries[digest] = int(end)
        self._ended = {digest: end for digest, end in entries.items() if end > now}


def forget_expired(path: Path, now: float | None = None) -> None:
    """Takes out of the file what has ended by itself; for who starts alone, before anybody else reads it."""
    now = time.time() if now is None else now
    with contextlib.suppress(OSError, ValueError):
        lines = path.read_text(encoding="ascii").splitlines()
        kept = [line for line in lines if line and int(line.partition(" ")[0]) > now][-MAX_ENTRIES:]
        if len(kept) < len(lines):
            temporary = path.with_name(f"{path.name}.new")
            temporary.touch(mode=0o600)
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="ascii")
            temporary.replace(path)


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
