"""The files of a log: their names, how they move on, and how the older ones are packed.

``launcher.log`` is written; ``launcher.log.1`` was written before it, ``launcher.log.2.gz`` before that, and so on.

Invariants: a packed file tells in its header which file it was, so that a reader never takes it for another one; at
every moment each number's lines can be read under that number or the next; what is half packed lies under a name that
nobody reads.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LOG_NAME = "launcher.log"
#: The newest of the rotated files stays as it is: who looks or follows is most likely still at it.
FIRST_PACKED = 2
_PART = f"{LOG_NAME}.packing"
_BLOCK_BYTES = 256 * 1024
#: zlib's own default; text shrinks to a tenth.
_LEVEL = 6
#: RFC 1952: the header's length without optional fields, and the flag of a file name behind it.
_GZIP_HEADER_BYTES = 10
_GZIP_HAS_NAME = 8

#: A line that is longer is known by its beginning.
_FIRST_LINE_BYTES = 512


@dataclass(frozen=True)
class FileKey:
    """Which file it is, whatever its name becomes.

    Attributes:
        device, inode: the system's own answer; the number of a file that is gone is used again.
        beginning: checksum of its first line, which tells such files apart; 0 while it has none.
    """

    device: int
    inode: int
    beginning: int


def log_path(log_dir: Path, number: int) -> Path:
    """The current file (number 0) or the one that was rotated ``number`` times."""
    return log_dir / (f"{LOG_NAME}.{number}" if number else LOG_NAME)


def packed_path(log_dir: Path, number: int) -> Path:
    """The same, packed."""
    return log_dir / f"{LOG_NAME}.{number}.gz"


def key_of(file: BinaryIO) -> FileKey:
    """Which file an open one is; its position stays."""
    status, position = os.fstat(file.fileno()), file.tell()
    file.seek(0)
    line, end, _ = file.read(_FIRST_LINE_BYTES).partition(b"\n")
    file.seek(position)
    is_whole = end or len(line) == _FIRST_LINE_BYTES
    return FileKey(status.st_dev, status.st_ino, zlib.crc32(line) if is_whole else 0)


def packed_key(file: BinaryIO) -> FileKey:
    """Which file a packed one was; its own key when its header does not say. Leaves the file at its start."""
    head = file.read(_GZIP_HEADER_BYTES + 64)
    file.seek(0)
    if len(head) > _GZIP_HEADER_BYTES and head[3] & _GZIP_HAS_NAME:
        name = head[_GZIP_HEADER_BYTES:].split(b"\0", 1)[0]
        parts = name.split(b"-")
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            return FileKey(*map(int, parts))
    return key_of(file)


def rotate(log_dir: Path, files: int) -> None:
    """Moves each file on by one number; of ``files`` at most the oldest goes. A file that cannot be moved stays."""
    with contextlib.suppress(OSError):
        for forms in (log_path, packed_path):
            if files > 1 or forms is log_path:
                forms(log_dir, files - 1).unlink(missing_ok=True)
        for number in range(files - 1, 0, -1):
            for forms in (log_path, packed_path):
                with contextlib.suppress(FileNotFoundError):
                    forms(log_dir, number - 1).replace(forms(log_dir, number))


class Packer:
    """Packs rotated files in a thread that lives while there is something to pack.

    Args:
        log_dir: folder of the files.
        lock: held by whoever renames files there.
    """

    def __init__(self, log_dir: Path, lock: threading.Lock) -> None:
        self._log_dir = log_dir
        self._lock = lock
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Packs what is there to be packed; the caller holds the lock."""
        if self._thread is None and self._find() is not None:
            self._stopping.clear()
            thread = threading.Thread(target=self._run, name="log packer", daemon=True)
            with contextlib.suppress(RuntimeError):  # the system has no thread to give: after the next rotation
                thread.start()
                self._thread = thread

    def stop(self) -> None:
        """Stops soon, in the middle of a file if need be; the caller does not hold the lock."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                found = None if self._stopping.is_set() else self._find()
                source = None
                if found is not None:
                    with contextlib.suppress(OSError):
                        source = log_path(self._log_dir, found).open("rb")
                if source is None:
                    self._thread = None
                    return
            with source:
                packed = self._pack(source)
                if not packed or not self._put(source):
                    with contextlib.suppress(OSError):
                        (self._log_dir / _PART).unlink(missing_ok=True)
                    self._stopping.set()  # what failed now is tried again after the next rotation

    def _find(self) -> int | None:
        """The number of a file that is to be packed."""
        for number in self._numbers():
            if number >= FIRST_PACKED:
                return number
        return None

    def _numbers(self) -> list[int]:
        """The numbers of the rotated files that are not packed."""
        try:
            suffixes = [path.name[len(LOG_NAME) + 1 :] for path in self._log_dir.glob(f"{LOG_NAME}.*")]
        except OSError:
            return []
        return sorted((int(suffix) for suffix in suffixes if suffix.isdigit()), reverse=True)

    def _pack(self, source: BinaryIO) -> bool:
        """Writes a packed copy beside the files; whether it is whole."""
        key, part = key_of(source), self._log_dir / _PART
        name, changed_at = f"{key.device}-{key.inode}-{key.beginning}", os.fstat(source.fileno()).st_mtime
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as sink, gzip.GzipFile(name, "wb", _LEVEL, sink, changed_at) as packed:
                while block := source.read(_BLOCK_BYTES):
                    if self._stopping.is_set():
                        return False
                    packed.write(block)
            return True
        return False

    def _put(self, source: BinaryIO) -> bool:
        """Puts the packed copy in the place of the open file, which may have moved on meanwhile."""
        ours = os.fstat(source.fileno())
        with self._lock, contextlib.suppress(OSError):
            for number in self._numbers():
                path = log_path(self._log_dir, number)
                if os.path.samestat(path.stat(), ours):
                    (self._log_dir / _PART).replace(packed_path(self._log_dir, number))
                    path.unlink()
                    return True
            # It was the oldest and has gone.
            (self._log_dir / _PART).unlink()
            return True
        return False
