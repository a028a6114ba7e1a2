"""Whether a file has the shape that its name promises: a whole safetensors file, a whole zip archive.

Invariants: a look costs a few reads, whatever the size; nothing is unpacked; a format that is not known is fine.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from launcher.channel import from_json

#: huggingface's own limit for a header.
_MOST_HEADER_BYTES = 100_000_000
#: A zip archive ends with its directory's place, 22 bytes and a comment of at most 64 KiB.
_ZIP_TAIL_BYTES = 22 + 65_535
_ZIP_START, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ZIP_FROM_TORCH = (".pt", ".pth", ".bin", ".ckpt", ".zip", ".npz")


def misshapen(path: Path, name: str) -> str:
    """Why the file cannot be what its name says, as a clause; empty when it can.

    Args:
        path: the file.
        name: as people know it; a blob's own name says nothing.

    Raises:
        OSError: when it cannot be read.
    """
    lower = name.lower()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if lower.endswith(".safetensors"):
            return _safetensors(file.read(8), size, file.read)
        if lower.endswith(_ZIP_FROM_TORCH):
            if not size:
                return "is empty"
            start = file.read(4)
            if start != _ZIP_START:
                # Old torch files are pickles, and .bin may be anything.
                return "is no zip archive" if lower.endswith((".zip", ".npz")) else _zeros(start, file.read(508), size)
            file.seek(max(0, size - _ZIP_TAIL_BYTES))
            return _zip(file.read(), size)
    return ""


def _safetensors(start: bytes, size: int, read: object) -> str:
    if len(start) < 8:
        return f"is cut off: {size} bytes are no safetensors file"
    (length,) = struct.unpack("<Q", start)
    if length > _MOST_HEADER_BYTES or length < 2:
        return "has no safetensors header"
    if 8 + length > size:
        return f"is cut off in its safetensors header: {size} of at least {8 + length} bytes"
    try:
        header = from_json(read(length))  # type: ignore[operator]
        end = max((one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"), default=0)
        whole = 8 + length + int(end)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
        return "has a safetensors header that cannot be read"
    if whole != size:
        return f"is cut off: {size} of {whole} bytes" if size < whole else f"is too long: {size} of {whole} bytes"
    return ""


def _zip(tail: bytes, size: int) -> str:
    place = tail.rfind(_ZIP_END)
    if place < 0 or place + 22 > len(tail):
        return "is cut off: its zip directory is missing"
    length, offset = struct.unpack("<II", tail[place + 12 : place + 20])
    if 0xFFFFFFFF in (length, offset):  # the real figures stand in a zip64 record
        return ""
    end = size - len(tail) + place
    # torch writes nothing in front of its archive, but others may: the directory then lies further back.
    return "" if offset + length <= end else "has a zip directory that points beyond its end"


def _zeros(start: bytes, more: bytes, size: int) -> str:
    return "holds zeros only where it begins" if size >= 512 and not any(start) and not any(more) else ""
