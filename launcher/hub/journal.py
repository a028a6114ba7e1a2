"""What is already on disk of a file that is being fetched, told line by line, so that a crash costs little.

A line is ``CRC TEXT``: CRC-32 of the text in 8 hex digits. The first one names the file (its etag and size). The
others are ``+ START END DIGEST HOST`` (a block was written), ``- START END`` (a range is not there after all).

Invariants: lines are only appended; a line that is torn or damaged is skipped and costs its block; nothing depends on
the order in which the system writes data and journal to the disk, because every block is compared with its digest
before it counts.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.hub.planner import Range

FORMAT = "tts-launcher-journal-1"


@dataclass(frozen=True)
class Block:
    """Bytes that were written.

    Attributes:
        start, end: first byte, one past the last.
        digest: of the bytes, see `BlockHash`.
        host: address of the mirror that they came from.
    """

    start: int
    end: int
    digest: str
    host: str


class BlockHash:
    """What `Block.digest` is: CRC-32, because it is against a disk's accidents and costs almost nothing.

    Against mirrors that lie stand the file's sha256 and, for single blocks, `launcher.hub.audit`.
    """

    def __init__(self) -> None:
        self._crc = 0

    def update(self, data: bytes | memoryview) -> None:
        """Adds bytes."""
        self._crc = zlib.crc32(data, self._crc)

    def hexdigest(self) -> str:
        """The digest of the bytes so far."""
        return f"{self._crc:08x}"


class Journal:
    """The journal's file.

    Args:
        path: of the journal; its folder exists.
        etag: of the file that is fetched.
        size: of that file.
    """

    def __init__(self, path: Path, etag: str, size: int) -> None:
        self._path = path
        self._title = f"{FORMAT} {etag} {size}"
        self._size = size
        self._descriptor = -1

    def read(self) -> tuple[Block, ...]:
        """The blocks that may be on disk, in the order of their places; none when it is another file's journal."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        texts = [text for text in map(_checked, lines) if text is not None]
        return replay(texts[1:], self._size) if texts[:1] == [self._title] else ()

    def begin(self, blocks: Iterable[Block]) -> None:
        """Starts afresh with what is known to be there, and stays open for appending."""
        self.close()
        lines = b"".join([_line(self._title), *(_line(_text(block)) for block in blocks)])
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(lines)
        fresh.replace(self._path)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def add(self, block: Block) -> None:
        """A block was written."""
        self._append(_text(block))

    def drop(self, span: Range) -> None:
        """A range is not there after all."""
        self._append(f"- {span[0]} {span[1]}")

    def sync(self) -> None:
        """Makes the lines so far survive a power cut."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file, which stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, text: str) -> None:
        line = _line(text)
        # A full disk may take half a line: the newline in front keeps it from spoiling this one.
        written = os.write(self._descriptor, line)
        if written != len(line):
            os.write(self._descriptor, b"\n")
            raise OSError(28, "No space left on device")  # ENOSPC


def replay(texts: Iterable[str], size: int) -> tuple[Block, ...]:
    """The blocks that the lines leave, in the order of their places.

    Args:
        texts: lines without title and checksum, oldest first; a later one wins where two overlap.
        size: of the file.
    """
    blocks: list[Block] = []
    for text in texts:
        sign, *words = text.split(" ")
        try:
            start, end = int(words[0]), int(words[1])
        except (IndexError, ValueError):
            continue
        if not 0 <= start < end <= size:
            continue
        # A block that is only partly valid cannot be compared with its digest any more.
        blocks = [block for block in blocks if block.end <= start or end <= block.start]
        if sign == "+" and len(words) == 4:
            blocks.append(Block(start, end, words[2], words[3]))
    return tuple(sorted(blocks, key=lambda block: block.start))


def _text(block: Block) -> str:
    return f"+ {block.start} {block.end} {block.digest} {block.host}"


def _line(text: str) -> bytes:
    data = text.encode()
    return b"%08x %b\n" % (zlib.crc32(data), data)


def _checked(line: bytes) -> str | None:
    """The text of a line; ``None`` when it is torn or damaged."""
    crc, separator, data = line.partition(b" ")
    if not separator or crc != b"%08x" % zlib.crc32(data):
        return None
    return data.decode(errors="replace")
