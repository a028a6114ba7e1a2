"""The log: one line a happening, with time, level and component, in files that rotate by size and age.

Invariants: writing never raises, whatever the disk does; what could not be written is counted and mentioned once it
works again; no secret and no control character reaches a file; a line is written whole, and the files together never
exceed ``max_bytes`` times ``files`` (unless a single line is longer; while one is packed its copy comes on top).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, quote_plus

from launcher.process.log_files import LOG_NAME, Packer, log_path, rotate
from launcher.process.log_reader import follow, read_lines

__all__ = ["LEVELS", "LOG_NAME", "LogWriter", "follow", "read_lines"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: A traceback's or a library's line is far shorter; what is longer is data that somebody printed.
MAX_LINE_CHARS = 8000
#: A shorter secret is not masked: it would blot out innocent words and can be guessed anyway.
MIN_SECRET_CHARS = 4
MASK = "***"

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
#: Control characters (a terminal would obey them), Unicode's line separators and its direction overrides (a reader
#: would see another text than the file holds), and halves of surrogate pairs, which have no encoding.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_A_WORD = re.compile(r"[^\w.-]+")


class LogWriter:
    """Writes the log of one instance; every method may be called from several threads.

    Args:
        log_dir: folder of the files; it is made when it is missing.
        level: the lowest level that is written: one of `LEVELS` in either case.
        max_bytes: a file that would grow beyond it is rotated first.
        files: how many files there are at most, the current one included; at least 1.
        max_age_s: a file whose first line is older is rotated before the next line; 0 for no such limit.
        secrets: texts that are masked in every spelling that is likely in a log (plain, percent-encoded, JSON).
        clock: seconds since 1970.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        level: str = "INFO",
        max_bytes: int = 10 * 1024 * 1024,
        files: int = 5,
        max_age_s: float = 0.0,
        secrets: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log_dir = log_dir
        self._threshold = _rank(level)
        self._max_bytes = max_bytes
        self._files = max(1, files)
        self._max_age_s = max_age_s
        self._began_at = 0.0
        self._secrets = _secrets_pattern(secrets)
        self._clock = clock
        self._lock = threading.Lock()
        self._packer = Packer(log_dir, self._lock)
        self._descriptor = -1
        self._line_open = False
        self._lost_lines = 0
        self._lost_reason = ""

    @property
    def lost_lines(self) -> int:
        """Lines that could not be written since the last one that could."""
        return self._lost_lines

    def write(self, component: str, level: str, text: str) -> None:
        """Writes ``text``, each of its lines as a line of the log; blank lines are left out.

        Args:
            component: who speaks (``supervisor``, ``page``, ``engine``).
            level: one of `LEVELS` in either case; another word counts as ``INFO``.
            text: anything.
        """
        rank = _rank(level)
        if rank < self._threshold:
            return
        prefix = f"{LEVELS[rank]} {_NOT_A_WORD.sub('_', component) or 'unknown'} "
        bodies = [_one_line(line) for line in _LINE_BREAK.split(self._mask(text)) if line.strip()]
        with self._lock:
            if self._lost_lines and bodies:
                self._report_loss()
            for body in bodies:
                self._put(prefix + body)

    def clean(self, line: str) -> str:
        """A line as it would be written: secrets masked, what a terminal obeys escaped, cut when it is too long."""
        return _one_line(self._mask(line))

    def close(self) -> None:
        """Closes the file; a later `write` opens it again."""
        self._packer.stop()
        with self._lock:
            self._close()

    def _mask(self, text: str) -> str:
        return text if self._secrets is None else self._secrets.sub(MASK, text)

    def _report_loss(self) -> None:
        lost, reason = self._lost_lines, self._lost_reason
        self._lost_lines = 0
        self._put(f"WARNING logs {lost} lines before this one could not be written: {_one_line(reason)}")
        if self._lost_lines:
            # It still does not work: the notice itself does not count.
            self._lost_lines = lost

    def _put(self, line: str) -> None:
        now = self._clock()
        stamp = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds")
        data = f"{stamp} {line}\n".encode()
        try:
            self._prepare(len(data), now)
            if self._line_open:
                data = b"\n" + data
                self._line_open = False
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._lost_lines += 1
            self._lost_reason = str(error.strerror or error)
            self._close()

    def _prepare(self, size_bytes: int, now: float) -> None:
        """Opens the file, anew when somebody deleted it, and rotates one that is old or would grow too large."""
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink == 0:
            self._close()
        if self._descriptor < 0:
            self._open(now)
        size, is_old = os.fstat(self._descriptor).st_size, 0 < self._max_age_s <= now - self._began_at
        if size and (size + size_bytes > self._max_bytes or is_old):
            self._close()
            rotate(self._log_dir, self._files)
            self._open(now)

    def _open(self, now: float) -> None:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(log_path(self._log_dir, 0), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        # A crash or a full disk may have left half a line; the next one must not continue it.
        self._line_open = False
        self._began_at = now
        if os.fstat(self._descriptor).st_size:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with contextlib.suppress(ValueError):  # a line that is not ours: its age is not known
                text = os.read(self._descriptor, 64).decode(errors="replace").split(" ", 1)[0]
                self._began_at = datetime.fromisoformat(text).timestamp()
            os.lseek(self._descriptor, -1, os.SEEK_END)
            self._line_open = os.read(self._descriptor, 1) != b"\n"
        self._packer.wake()

    def _close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def _rank(level: str) -> int:
    """The level's place in `LEVELS`; an unknown word counts as ``INFO``."""
    word = level.upper()
    return LEVELS.index(word) if word in LEVELS else LEVELS.index("INFO")


def _one_line(text: str) -> str:
    """The text without anything that a terminal obeys, cut when it is over `MAX_LINE_CHARS`."""
    cut = len(text) - MAX_LINE_CHARS
    safe = _UNSAFE.sub(lambda match: _escape(match.group()), text[:MAX_LINE_CHARS].rstrip())
    return f"{safe} [{cut} more characters cut]" if cut > 0 else safe


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _secrets_pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that matches each secret in every spelling that is likely in a log, longest first."""
    spellings: set[str] = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
            lower = {re.sub("%..", lambda match: match.group().lower(), text) for text in encoded}
            spellings |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]} | encoded | lower
    if not spellings:
        return None
    return re.compile("|".join(re.escape(text) for text in sorted(spellings, key=len, reverse=True)))
