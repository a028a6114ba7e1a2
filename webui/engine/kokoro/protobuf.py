"""The wire format of Protocol Buffers, as far as an ONNX file needs it: read fields, write fields.

Source: protobuf.dev "Encoding" (base-128 varints; a key is field number << 3 | wire type). Invariants: nothing is
interpreted, so what is written back unchanged is byte for byte what was read; a damaged file gives `WireError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """The bytes are not a Protocol Buffers message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: field number.
        value: the payload: an int of a varint, the bytes of everything else.
        raw: the whole field with its key, as it stands in the file.
    """

    number: int
    value: int | memoryview
    raw: memoryview

    @property
    def message(self) -> memoryview:
        """The payload of a length-delimited field."""
        if isinstance(self.value, int):
            raise WireError(f"field {self.number} is a number, not a message")
        return self.value

    @property
    def text(self) -> str:
        """The payload of a string field."""
        return bytes(self.message).decode("utf-8")


def read_fields(data: memoryview) -> Iterator[Field]:
    """The fields of a message, in file order, without copying.

    Raises:
        WireError: when the bytes end inside a field or have an unknown wire type.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = _read_varint(data, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, position = _read_varint(data, position)
            yield Field(number, value, data[start:position])
            continue
        if wire_type == BYTES:
            length, position = _read_varint(data, position)
        elif wire_type in _FIXED_SIZES:
            length = _FIXED_SIZES[wire_type]
        else:
            raise WireError(f"wire type {wire_type} of field {number} is not known")
        if position + length > end:
            raise WireError(f"field {number} is cut short")
        yield Field(number, data[position : position + length], data[start : position + length])
        position += length


def write_bytes(number: int, payload: bytes) -> bytes:
    """A length-delimited field (message, string, bytes)."""
    return _write_varint(number << 3 | BYTES) + _write_varint(len(payload)) + payload


def write_varint(number: int, value: int) -> bytes:
    """A varint field; ``value`` is not negative."""
    return _write_varint(number << 3 | VARINT) + _write_varint(value)


def write_key(number: int, length: int) -> bytes:
    """The head of a length-delimited field whose ``length`` bytes of payload follow."""
    return _write_varint(number << 3 | BYTES) + _write_varint(length)


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
            if shift > 63:
                raise WireError("a varint is longer than ten bytes")
    except IndexError:
        raise WireError("the message is cut short") from None


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
