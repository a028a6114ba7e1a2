"""The wire format is read and written as its specification says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.engine.kokoro.protobuf import WireError, read_fields, write_bytes, write_key, write_varint


def test_the_specification_s_own_examples() -> None:
    # protobuf.dev, "Encoding": field 1 = 150 and field 2 = "testing".
    assert write_varint(1, 150) == bytes.fromhex("089601")
    assert write_bytes(2, b"testing") == bytes.fromhex("120774657374696e67")


@given(st.lists(st.tuples(st.integers(1, 2**20), st.one_of(st.integers(0, 2**63 - 1), st.binary(max_size=300)))))
def test_what_is_written_is_read(fields: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(
        write_varint(number, value) if isinstance(value, int) else write_bytes(number, value)
        for number, value in fields
    )
    read = list(read_fields(memoryview(data)))
    assert [(f.number, f.value if isinstance(f.value, int) else bytes(f.value)) for f in read] == fields
    assert b"".join(f.raw for f in read) == data


def test_fixed_fields_are_carried() -> None:
    data = bytes([1 << 3 | 5, 1, 2, 3, 4, 2 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8])
    assert [len(field.message) for field in read_fields(memoryview(data))] == [4, 8]


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x12\x05abc", b"\xff" * 11, bytes([1 << 3 | 3]), b"\x0d\x01", write_key(3, 2) + b"x"],
)
def test_damage_is_told(data: bytes) -> None:
    with pytest.raises(WireError):
        list(read_fields(memoryview(data)))


def test_a_number_is_no_message() -> None:
    (field,) = read_fields(memoryview(write_varint(1, 1)))
    with pytest.raises(WireError):
        _ = field.message
