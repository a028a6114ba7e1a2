"""Files read into the system's page cache by threads, while the process does something else.

Invariants: files are read in the order given, which is the order of their use; what is in memory already is not read
again; more than the free memory is never read, because the first files would be pushed out by the last; an unreadable
file is left to whoever needs it. Only the standard library is imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Read at once: large enough for a disk's full speed with a few threads, small enough to share the work evenly.
PIECE_BYTES = 8 << 20
#: Pages of a piece that are asked for; if they are all in memory, so is the piece.
_SAMPLES = 16
#: Part of the free memory that may be filled; the rest is for the process that is starting.
_MEMORY_SHARE = 0.7


@dataclass(frozen=True)
class _Piece:
    path: Path
    start: int
    size: int


class WarmUp:
    """Reader threads and how far they are; made by `warm_files`.

    Attributes:
        total_bytes: of all files.
        done_bytes: read, found in memory, or given up.
        read_bytes: of these, read from the disk.
    """

    def __init__(self, paths: Iterable[Path], threads: int, limit_bytes: int | None) -> None:
        sizes = {path: size_bytes(path) for path in dict.fromkeys(paths)}
        self.total_bytes = sum(sizes.values())
        self.done_bytes = 0
        self.read_bytes = 0
        self._left_bytes = self.total_bytes if limit_bytes is None else limit_bytes
        self._pieces = iter(
            [
                _Piece(path, start, min(PIECE_BYTES, size - start))
                for path, size in sizes.items()
                for start in range(0, size, PIECE_BYTES)
            ]
        )
        self._lock = threading.Lock()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._read_pieces, name=f"page-cache-{index}", daemon=True)
            for index in range(max(1, threads))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether the threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end, for ``timeout_s`` seconds per thread at most; whether it has come."""
        for thread in self._threads:
            thread.join(timeout_s)
        return self.done

    def stop(self) -> None:
        """Ends soon; what is being read is finished."""
        self._stopped = True

    def _read_pieces(self) -> None:
        buffer = bytearray(PIECE_BYTES)
        while not self._stopped:
            with self._lock:
                piece = next(self._pieces, None)
            if piece is None:
                return
            read = self._read(piece, buffer)
            with self._lock:
                self.read_bytes += read
                self.done_bytes += piece.size

    def _read(self, piece: _Piece, buffer: bytearray) -> int:
        """Brings one piece into memory; returns how many bytes were read for it."""
        try:
            descriptor = os.open(piece.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError:
            return 0
        try:
            if _in_memory(descriptor, piece):
                return 0
            with self._lock:
                self._left_bytes -= piece.size
                if self._left_bytes < 0:
                    self._stopped = True
                    return 0
            return _read_into(descriptor, piece, buffer)
        except OSError:
            return 0
        finally:
            os.close(descriptor)


def warm_files(paths: Iterable[Path], threads: int = 4) -> WarmUp:
    """Begins to read files into the page cache and returns at once.

    Args:
        paths: in the order in which they will be used.
        threads: of the readers; 2 to 8 are equally fast on most disks.
    """
    return WarmUp(paths, threads, _free_memory_bytes())


def size_bytes(path: Path) -> int:
    """Size of a file; 0 when nobody can tell."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _in_memory(descriptor: int, piece: _Piece) -> bool:
    """Whether a piece's sampled pages can be read without waiting for the disk; ``False`` where nobody can tell."""
    if not (hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")):
        return False
    byte = bytearray(1)
    step = max(4096, piece.size // _SAMPLES)
    try:
        return all(
            os.preadv(descriptor, [byte], piece.start + offset, os.RWF_NOWAIT) == 1
            for offset in (*range(0, piece.size, step), piece.size - 1)
        )
    except OSError:  # not in memory (EAGAIN), or a file system that cannot say (EOPNOTSUPP)
        return False


def _read_into(descriptor: int, piece: _Piece, buffer: bytearray) -> int:
    view = memoryview(buffer)[: piece.size]
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], piece.start)
    os.lseek(descriptor, piece.start, os.SEEK_SET)
    return len(os.read(descriptor, piece.size))


def _free_memory_bytes() -> int | None:
    """How much may be read; ``None`` where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return int(available * 1024 * _MEMORY_SHARE)
