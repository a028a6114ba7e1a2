"""The strictest tar there is: regular files, short names, nothing else; every tar program can read it.

Of the format (POSIX.1-1988 "ustar", with GNU's binary sizes for files from 8 GiB on) only what a bundle needs is
written, and only that is read: a link, a device, a folder, a long name or a wrong checksum is an error before any byte
of it is used. Invariants: a header never makes the reader take more than 512 bytes; nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from launcher.errors import StorageError

BLOCK_BYTES = 512
_NAME_BYTES, _PREFIX_BYTES = 100, 155
_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_MAGIC = b"ustar\x0000"
_MAX_OCTAL = 0o77777777777
_BINARY = 0x80


class BadBundle(StorageError):  # noqa: N818 - a sentence about a file
    """The file is no bundle, is cut, or was changed."""


@dataclass(frozen=True)
class Member:
    """One file: its name and size in bytes."""

    name: str
    size: int


def header(member: Member) -> bytes:
    """The 512 bytes before a file's content.

    Raises:
        ValueError: when the name is longer than tar can say.
    """
    name, prefix = _split(member.name)
    block = bytearray(BLOCK_BYTES)
    block[0 : len(name)] = name
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    if member.size <= _MAX_OCTAL:
        block[_SIZE] = b"%011o\x00" % member.size
    else:
        block[_SIZE] = bytes([_BINARY]) + member.size.to_bytes(11, "big")
    block[136:148] = b"00000000000\x00"
    block[156:157] = b"0"
    block[257 : 257 + len(_MAGIC)] = _MAGIC
    block[345 : 345 + len(prefix)] = prefix
    block[_CHECKSUM] = b"%06o\x00 " % _checksum(block)
    return bytes(block)


def _split(name: str) -> tuple[bytes, bytes]:
    whole = name.encode()
    if len(whole) <= _NAME_BYTES:
        return whole, b""
    for place in range(len(whole) - 1, 0, -1):
        if whole[place : place + 1] == b"/" and place <= _PREFIX_BYTES and 0 < len(whole) - place - 1 <= _NAME_BYTES:
            return whole[place + 1 :], whole[:place]
    raise ValueError(f"the name {name} is too long for a bundle")


def padding(size: int) -> int:
    """How many zeros follow a content of ``size`` bytes."""
    return -size % BLOCK_BYTES


def read_member(stream: IO[bytes]) -> Member | None:
    """The next file's header; ``None`` at the end of the archive.

    Raises:
        BadBundle: when it is anything but a regular file, or is damaged.
    """
    block = stream.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES:
        raise BadBundle("The bundle is cut.", fix="Copy it again and compare its size.")
    if not any(block):
        return None
    if block[156:157] not in (b"0", b"\x00"):
        raise BadBundle(
            "The bundle holds something that is no regular file.", fix="Use a bundle that bundle make made."
        )
    try:
        right = int(block[_CHECKSUM].split(b"\x00")[0], 8) == _checksum(block)
        field = block[_SIZE]
        size = int.from_bytes(field[1:], "big") if field[0] & _BINARY else int(field.rstrip(b"\x00 ") or b"0", 8)
        parts = [block[345:500].split(b"\x00")[0].decode(), block[0:100].split(b"\x00")[0].decode()]
    except ValueError:
        right, size, parts = False, 0, []
    if not right:
        raise BadBundle("The bundle is damaged, or is no bundle.", fix="Copy it again.")
    return Member("/".join(filter(None, parts)), size)


def _checksum(block: bytes | bytearray) -> int:
    """The sum of a header's bytes, its own field taken for blanks."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20
