"""Files that exist whole or not at all: written beside, checked, flushed, renamed.

Invariants: a file under its final name was complete and had the digest that was asked for at that moment; several
processes may publish the same file at once, the last rename wins and each of them is right; what a killed process
left behind is swept after `LEFTOVER_AGE_S`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import StorageError

#: Writing the largest file takes seconds; a temporary file that is an hour old has no writer.
LEFTOVER_AGE_S = 3600.0
_READ_BYTES = 4 * 1024 * 1024
_TEMPORARY_SUFFIX = ".partial"


@dataclass(frozen=True)
class Digest:
    """What identifies a file's content.

    Attributes:
        size_bytes: its length.
        sha256: lower-case hexadecimal.
    """

    size_bytes: int
    sha256: str


def publish(
    path: Path,
    pieces: Iterable[bytes],
    *,
    size_bytes: int,
    expected: Digest | None = None,
    mend: str = "",
    on_bytes: Callable[[int], None] = lambda done: None,
) -> Digest:
    """Writes a file so that it appears under its name only when it is complete.

    Args:
        path: final name; its folder is made when there is none.
        pieces: the content, in order.
        size_bytes: how much will be written, about; checked against the disk's free space beforehand.
        expected: what the content must be; ``None`` takes what comes.
        mend: what a person can do when the content is not what was expected.
        on_bytes: told how many bytes have been written so far.

    Returns:
        The digest of what was written.

    Raises:
        StorageError: when the folder is not writable, the disk is full, or the content is not what was expected.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{_TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        if shutil.disk_usage(path.parent).free < size_bytes:
            raise _storage_error(path.parent, size_bytes, "the disk is full")
        with temporary.open("xb") as file:
            digest = _copy(pieces, file.write, on_bytes)
            file.flush()
            os.fsync(file.fileno())
        if expected is not None and digest != expected:
            raise StorageError(
                f"{path.name} would be damaged: its sha256 is {digest.sha256}, not {expected.sha256} "
                f"({digest.size_bytes} bytes, not {expected.size_bytes}).",
                fix=mend,
            )
        _rename(temporary, path, digest)
    except OSError as error:
        raise _storage_error(path.parent, size_bytes, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return digest


def digest_of(path: Path) -> Digest | None:
    """The digest of a file's content; ``None`` when there is no file that can be read."""
    checksum = hashlib.sha256()
    size_bytes = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                checksum.update(block)
                size_bytes += len(block)
    except OSError:
        return None
    return Digest(size_bytes, checksum.hexdigest())


def is_intact(path: Path, expected: Digest) -> bool:
    """Whether the file is there with the expected size and sha256; a wrong size is found without reading it."""
    try:
        if path.stat().st_size != expected.size_bytes:
            return False
    except OSError:
        return False
    return digest_of(path) == expected


def _copy(pieces: Iterable[bytes], write: Callable[[memoryview], int], on_bytes: Callable[[int], None]) -> Digest:
    checksum = hashlib.sha256()
    done_bytes = 0
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _READ_BYTES):
            block = view[start : start + _READ_BYTES]
            write(block)
            checksum.update(block)
            done_bytes += len(block)
            on_bytes(done_bytes)
    return Digest(done_bytes, checksum.hexdigest())


def _rename(temporary: Path, path: Path, digest: Digest) -> None:
    try:
        temporary.replace(path)
    except PermissionError:
        # Windows refuses to replace a file that another process has open: then that process published it.
        if not is_intact(path, digest):
            raise
    if hasattr(os, "O_DIRECTORY"):  # the name itself must survive a power cut too
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sweep(folder: Path) -> None:
    oldest = time.time() - LEFTOVER_AGE_S
    for leftover in folder.glob(f"*{_TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            if leftover.stat().st_mtime < oldest:
                leftover.unlink()


def _storage_error(folder: Path, size_bytes: int, reason: str) -> StorageError:
    try:
        free = f"{shutil.disk_usage(folder).free / 1e6:.0f} MB are free"
    except OSError:
        free = "its free space is unknown"
    return StorageError(
        f"cannot write {size_bytes / 1e6:.0f} MB to {folder}: {reason} ({free}).",
        fix="Free some space there, make the folder writable, or set LAUNCHER_DATA_DIR to another folder.",
    )
