"""A file on its way: its bytes under ``.partial``, the journal beside it, and the digest of what is there.

Invariants: the file has its final size from the start, so that a full disk shows at once; a block that is on record
was compared with its digest when the file was opened; nothing here is visible under a final name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.errors import StorageError
from launcher.hub.journal import Block, BlockHash, Journal
from launcher.hub.planner import Range, merged
from launcher.hub.remote_files import Hash, RemoteFile

#: Read at once when digests are compared: large enough to be cheap, small enough to be nothing.
READ_BYTES = 1 << 20


class PartialFile:
    """One file on its way.

    Where several machines share the folder each attempt has a file of its own: one whose machine was taken for dead may
    still write into its own, and nobody takes that for the truth. What an earlier one left is copied.

    Args:
        folder: where partial files are kept; made when it is not there.
        file: what it will be.
        owner: of this attempt, where each has its own; empty where the next one goes on with the same file.
    """

    def __init__(self, folder: Path, file: RemoteFile, owner: str = "") -> None:
        self.file = file
        self._owner = owner
        name = f"{file.etag}.{owner}" if owner else file.etag
        self.path = folder / name
        self._journal_path = folder / f"{name}.journal"
        self._journal = Journal(self._journal_path, file.etag, file.size)
        self._descriptor = -1
        self._lock = threading.Lock()
        self._blocks: dict[int, Block] = {}

    @property
    def has_journal(self) -> bool:
        """Whether an earlier attempt has left something."""
        return self._journal_path.exists() or bool(self._earlier())

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is on record, in the order of their places."""
        with self._lock:
            return tuple(self._blocks[start] for start in sorted(self._blocks))

    def open(self, checked: Callable[[int], None] = lambda _size: None) -> int:
        """Opens it and finds what an earlier attempt left; blocks that the disk has damaged are left out.

        Args:
            checked: told the size of each block once it was compared.

        Returns:
            How many bytes were on record and are damaged.

        Raises:
            StorageError: when the disk is full or not writable.
        """
        with self.storage_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            known = self._journal.read() if os.fstat(self._descriptor).st_size == self.file.size else ()
            good, damaged = [], 0
            for block in known:
                if self.is_intact(block):
                    good.append(block)
                else:
                    damaged += block.end - block.start
                checked(block.end - block.start)
            self._allocate()
            self._blocks = {block.start: block for block in good}
            self._journal.begin(good)
            for journal in self._earlier():
                damaged += self._take_over(journal, checked)
        return damaged

    def _earlier(self) -> list[Path]:
        """Journals of other attempts at the same content, where each has its own."""
        if not self._owner:
            return []
        found = self.path.parent.glob(f"{self.file.etag}*.journal")
        return sorted(path for path in found if path != self._journal_path)

    def _take_over(self, journal: Path, checked: Callable[[int], None]) -> int:
        """Copies what another attempt has left, and removes it; returns how many bytes were damaged."""
        content, damaged = journal.with_suffix(""), 0
        there = merged((block.start, block.end) for block in self._blocks.values())
        with contextlib.suppress(FileNotFoundError), content.open("rb") as stream:
            for block in Journal(journal, self.file.etag, self.file.size).read():
                place = bisect_left(there, (block.end, 0))
                if place and there[place - 1][1] > block.start:
                    continue
                stream.seek(block.start)
                data = stream.read(block.end - block.start)
                digest = BlockHash()
                digest.update(data)
                if digest.hexdigest() == block.digest:
                    self.write(block.start, data)
                    self.record(block)
                else:
                    damaged += len(data)
                checked(len(data))
        for path in (journal, content):
            path.unlink(missing_ok=True)
        return damaged

    def _allocate(self) -> None:
        os.truncate(self._descriptor if os.truncate in os.supports_fd else self.path, self.file.size)
        if self.file.size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._descriptor, 0, self.file.size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # Some file systems cannot reserve; the space was checked before.

    def write(self, place: int, data: bytes | memoryview) -> None:
        """Writes bytes at their place; several threads may, at different places.

        Raises:
            StorageError: when the disk is full or failing.
        """
        view = memoryview(data)
        with self.storage_errors():
            while view:
                if hasattr(os, "pwrite"):
                    written = os.pwrite(self._descriptor, view, place)
                else:
                    with self._lock:
                        os.lseek(self._descriptor, place, os.SEEK_SET)
                        written = os.write(self._descriptor, view)
                view = view[written:]
                place += written

    def read(self, place: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``place`` on."""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, length, place)
        with self._lock:
            os.lseek(self._descriptor, place, os.SEEK_SET)
            return os.read(self._descriptor, length)

    def read_into(self, place: int, view: memoryview) -> int:
        """Fills ``view`` from ``place`` on, as far as there is something; returns how many bytes."""
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [view], place)
        data = self.read(place, len(view))
        view[: len(data)] = data
        return len(data)

    def record(self, block: Block) -> None:
        """Writes into the journal that the block is there; it overlaps with none on record.

        Raises:
            StorageError: when the disk is full or failing.
        """
        with self.storage_errors(), self._lock:
            self._journal.add(block)
            self._blocks[block.start] = block

    def drop(self, block: Block) -> Range:
        """The block is not there after all; returns its range."""
        with self.storage_errors(), self._lock:
            self._blocks.pop(block.start, None)
            self._journal.drop((block.start, block.end))
        return block.start, block.end

    def is_intact(self, block: Block) -> bool:
        """Whether the disk still holds what was written."""
        return self.digest_of(block, BlockHash()) == block.digest

    def digest_of(self, block: Block, found: Hash) -> str:
        """The digest of a block as it is on the disk now, made with the fresh hash ``found``."""
        place, buffer = block.start, memoryview(bytearray(min(READ_BYTES, block.end - block.start)))
        while place < block.end and (count := self.read_into(place, buffer[: block.end - place])):
            found.update(buffer[:count])
            place += count
        return found.hexdigest()

    def sync(self) -> None:
        """Makes what was written so far survive a power cut."""
        with self.storage_errors():
            getattr(os, "fdatasync", os.fsync)(self._descriptor)
            self._journal.sync()

    def close(self) -> None:
        """Closes the files, which stay for the next attempt."""
        self._journal.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def forget(self) -> None:
        """Removes what is left of it once its content has its final name."""
        for path in (self._journal_path, self.path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    @contextlib.contextmanager
    def storage_errors(self) -> Iterator[None]:
        """Turns the system's failures into one sentence."""
        try:
            yield
        except OSError as error:
            raise storage_failure(error, self.path.parent, self.file.path) from None


def storage_failure(error: OSError, folder: Path, what: str) -> StorageError:
    """The sentence for a failure of the disk under ``folder`` while ``what`` was written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", -1)):
        return StorageError(
            f"The disk of {folder} is full; {what} is not complete.",
            fix="Free some space and run the same command again: what is there already stays.",
        )
    return StorageError(
        f"{folder} cannot be written ({error.strerror or error}); {what} is not complete.",
        fix="Make the folder writable, or set HF_HOME or LAUNCHER_DATA_DIR to another one.",
    )
