"""Reading the log: the last lines, and every line that comes, across rotated and packed files.

Invariants: reading never blocks or changes the writer; a rotation in between neither loses nor repeats a line; only
whole lines are given out.
"""

from __future__ import annotations

import collections
import contextlib
import gzip
import itertools
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from launcher.process.log_files import FileKey, key_of, log_path, packed_key, packed_path

_BLOCK_BYTES = 64 * 1024
#: How often `follow` looks for new lines: quick for an eye, and nearly free.
_POLL_S = 0.1


#: Whether a line is asked for.
Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class LogLine:
    """One line of the log, taken apart.

    Attributes:
        time: ISO 8601, UTC, milliseconds.
        level, component, text: as written.
    """

    time: str
    level: str
    component: str
    text: str


def parse_line(line: str) -> LogLine:
    """A line's parts; what is no line of ours is all text."""
    parts = line.split(" ", 3)
    return LogLine(*parts) if len(parts) == 4 else LogLine("", "", "", line)


def any_line(_line: str) -> bool:
    """Every line is asked for."""
    return True


def wanted(*, component: str | None = None, since: str = "", pattern: re.Pattern[str] | None = None) -> Wanted:
    """A condition on lines.

    Args:
        component: who speaks; ``None`` for all.
        since: ISO 8601 in UTC, as the log's own times begin; earlier lines are left out. Empty for all.
        pattern: must be found in the line; ``None`` for all.
    """

    def test(line: str) -> bool:
        return (
            # Times of one zone and one format sort as text.
            (not since or line[: len(since)] >= since)
            and _is_of(line, component)
            and (pattern is None or pattern.search(line) is not None)
        )

    return test


def read_lines(log_dir: Path, *, test: Wanted = any_line, last: int = 200) -> list[str]:
    """The newest lines, oldest first; empty when there is no log.

    Args:
        log_dir: folder of the log.
        test: which lines; see `wanted`.
        last: how many at most.
    """
    with contextlib.ExitStack() as stack:
        return _newest(_open_all(log_dir, stack), test, last)


def follow(log_dir: Path, *, test: Wanted = any_line, stop: threading.Event, last: int = 0) -> Iterator[str]:
    """Yields the newest ``last`` lines and then every line as it is written, until ``stop`` is set.

    What is written after this call is not missed, even when the first line is asked for later. There need be no log
    yet.

    Args:
        log_dir: folder of the log.
        test: which lines; see `wanted`.
        stop: ends the iteration; nothing more than a tenth of a second late.
        last: how many old lines come first.
    """
    with contextlib.ExitStack() as stack:
        files = _open_all(log_dir, stack)
        history = _newest(files, test, last)
        current = files[0] if files else None
        if current is not None:
            _skip(current)
        # From here on the generator owns the files.
        lines = itertools.chain(history, _coming(log_dir, stop, current, stack.pop_all()))
    return (line for line in lines if test(line))


@dataclass
class _OpenFile:
    """One log file, which file it was before it was packed, and where its last whole line ends (if it is not)."""

    file: BinaryIO
    was: FileKey | None = None
    end: int = 0

    @property
    def packed(self) -> bool:
        """Whether it is packed."""
        return self.was is not None

    @property
    def key(self) -> FileKey:
        """Which file it is, whatever its name becomes; asked anew each time, because it may just have begun."""
        return key_of(self.file) if self.was is None else self.was


def _open_all(log_dir: Path, stack: contextlib.ExitStack) -> list[_OpenFile]:
    """Every log file, newest first. Opened in this order, a rotation can only show a file twice, which is dropped."""
    files: list[_OpenFile] = []
    for opened in _each_file(log_dir):
        stack.callback(opened.file.close)
        if all(opened.key != other.key for other in files):
            opened.end = 0 if opened.packed else _end_of_last_line(opened.file)
            files.append(opened)
    return files


def _each_file(log_dir: Path) -> Iterator[_OpenFile]:
    """Opens one log file after the other, newest first; a single number may be missing while the writer rotates."""
    number = missing = 0
    while missing < 2:
        opened = _open(log_dir, number)
        number += 1
        if opened is None:
            missing += 1
        else:
            missing = 0
            yield opened


def _open(log_dir: Path, number: int) -> _OpenFile | None:
    with contextlib.suppress(OSError):
        file = cast(BinaryIO, log_path(log_dir, number).open("rb", buffering=0))
        return _OpenFile(file)
    with contextlib.suppress(OSError):
        packed = packed_path(log_dir, number).open("rb")
        return _OpenFile(cast(BinaryIO, _Packed(packed)), packed_key(packed))
    return None


class _Packed:
    """A packed file as one that can be read once; where it is damaged it ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: gzip.GzipFile | None = None

    def read(self, size: int) -> bytes:
        if self._lines is None:
            self._lines = gzip.GzipFile(fileobj=self._file, mode="rb")
        try:
            return self._lines.read(size)
        except (OSError, EOFError, zlib.error):
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return 0  # it is at its start, or has been read to its end

    def close(self) -> None:
        self._file.close()


def _skip(opened: _OpenFile) -> None:
    """Puts a file behind its last whole line."""
    if opened.packed:
        collections.deque(_whole_lines(opened), maxlen=0)
    else:
        opened.file.seek(opened.end)


def _end_of_last_line(file: BinaryIO) -> int:
    """The offset behind the file's last line break; 0 when it has none."""
    size = file.seek(0, os.SEEK_END)
    while size > 0:
        start = max(0, size - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(size - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _newest(files: list[_OpenFile], test: Wanted, last: int) -> list[str]:
    lines: list[str] = []
    for opened in files:
        left = last - len(lines)
        if opened.packed and left > 0:
            # It can only be read from its start: of what is found there the last lines are kept.
            found = collections.deque(filter(test, _whole_lines(opened)), maxlen=left)
            lines += reversed(found)
            continue
        for line in _backwards(opened):
            if len(lines) >= last:
                return lines[::-1]
            if test(line):
                lines.append(line)
    return lines[::-1]


def _backwards(opened: _OpenFile) -> Iterator[str]:
    """The file's whole lines, last one first, reading no more than is asked for; none of a packed file."""
    position, rest = opened.end, b""
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        opened.file.seek(start)
        parts = (opened.file.read(position - start) + rest).split(b"\n")
        position, rest = start, parts[0]
        for part in reversed(parts[1:]):
            if part:
                yield part.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _is_of(line: str, component: str | None) -> bool:
    """Whether the line's third word is ``component``."""
    return component is None or line.split(" ", 3)[2:3] == [component]


def _coming(
    log_dir: Path, stop: threading.Event, current: _OpenFile | None, stack: contextlib.ExitStack
) -> Iterator[str]:
    with stack:
        while not stop.is_set():
            if current is not None:
                yield from itertools.takewhile(lambda _: not stop.is_set(), _whole_lines(current))
            newer = _next_file(log_dir, current)
            if newer is None:
                stop.wait(_POLL_S)
                continue
            stack.callback(newer.file.close)
            if current is not None:
                # The writer may have added to it between our last look and the rotation.
                yield from _whole_lines(current)
                current.file.close()
            newer.file.seek(0)
            current = newer


def _whole_lines(opened: _OpenFile) -> Iterator[str]:
    """The whole lines from the file's position on; the position stays behind the last of them."""
    pending = b""
    while block := opened.file.read(_BLOCK_BYTES):
        *lines, pending = (pending + block).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines if line)
    if pending:
        opened.file.seek(-len(pending), os.SEEK_CUR)


def _next_file(log_dir: Path, current: _OpenFile | None) -> _OpenFile | None:
    """The file after ``current`` (the oldest when that is unknown or gone); ``None`` while ``current`` is newest."""
    newer: _OpenFile | None = None
    for opened in _each_file(log_dir):
        if current is not None and opened.key == current.key:
            opened.file.close()
            return newer
        if newer is not None:
            newer.file.close()
        newer = opened
    return newer
