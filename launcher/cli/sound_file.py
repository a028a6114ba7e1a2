"""Where `say` puts its sound: a file that appears when it is complete, or standard output.

Invariants: an existing file is replaced only when that was asked for, and only by a complete one; a failure or Ctrl-C
leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from launcher.errors import StorageError

#: What a WAV header says when the length is not known yet: until the end.
_UNKNOWN_BYTES = 0xFFFFFFFF


def default_path(folder: Path, now: float) -> Path:
    """``speech-20261121-100000.wav`` in ``folder``, with a number when that exists; ``now`` in seconds since 1970."""
    stem = time.strftime("speech-%Y%m%d-%H%M%S", time.localtime(now))
    path, number = folder / f"{stem}.wav", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.wav", number + 1
    return path


def check_path(path: Path, *, force: bool) -> None:
    """Checks before the work is done that the file can be put there.

    Raises:
        StorageError: when it exists and ``force`` was not given, or its folder does not exist.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder.", fix="Give the name of a file in it.")
    if path.exists() and not force:
        raise StorageError(f"{path} exists already.", fix="Give another name, or --force to replace it.")
    if not path.parent.is_dir():
        raise StorageError(f"The folder {path.parent} does not exist.", fix="Make it, or give another name.")


@contextlib.contextmanager
def file_in_place(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, that gets the name ``path`` when the context ends well and vanishes when it does not.

    Raises:
        StorageError: when it cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.", fix="Free space there, or give another name."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def wav_header(sample_rate_hz: int, data_bytes: int | None) -> bytes:
    """The 44 bytes before the samples of a mono 16-bit WAV file; ``None`` when their length is not known yet."""
    size = _UNKNOWN_BYTES if data_bytes is None else min(data_bytes, _UNKNOWN_BYTES - 36)
    riff_bytes = _UNKNOWN_BYTES if data_bytes is None else size + 36
    head = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, sample_rate_hz * 2, 2, 16)
    return head + chunk + struct.pack("<4sI", b"data", size)


def finish_wav(file: BinaryIO, sample_rate_hz: int, data_bytes: int) -> None:
    """Writes the header again now that the length is known; leaves a stream that cannot seek as it is."""
    with contextlib.suppress(io.UnsupportedOperation):
        file.seek(0)
        file.write(wav_header(sample_rate_hz, data_bytes))
