"""The journal after crashes, torn writes and damage: it never claims a block that the disk does not hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.hub.journal import Block, BlockHash, Journal
from launcher.hub.partial import PartialFile
from launcher.hub.planner import gaps, merged
from launcher.hub.remote_files import RemoteFile

SIZE = 5000
CONTENT = hashlib.shake_256(b"content").digest(SIZE)
FILE = RemoteFile("model.bin", SIZE, "1" * 40, hashlib.sha256(CONTENT).hexdigest())
SPANS = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 900)).map(lambda span: (span[0], min(SIZE, sum(span))))
STEPS = st.one_of(
    st.tuples(st.just("write"), SPANS),
    st.tuples(st.just("write_unrecorded"), SPANS),
    st.tuples(st.just("restart"), SPANS),
    st.tuples(st.just("tear_journal"), SPANS),
    st.tuples(st.just("flip_journal_byte"), SPANS),
    st.tuples(st.just("damage_data"), SPANS),
)


def block_of(start: int, end: int, host: str = "http://a") -> Block:
    found = BlockHash()
    found.update(CONTENT[start:end])
    return Block(start, end, found.hexdigest(), host)


def opened(folder: Path) -> PartialFile:
    partial = PartialFile(folder, FILE)
    partial.open()
    return partial


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=25))
def test_what_it_claims_is_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, tuple[int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("partial")
    journal_path = folder / f"{FILE.etag}.journal"
    partial = opened(folder)
    for step, (start, end) in steps:
        if step.startswith("write"):
            if any(block.start < end and start < block.end for block in partial.blocks):
                continue  # the planner gives no byte to two
            partial.write(start, CONTENT[start:end])
            if step == "write":
                partial.record(block_of(start, end))
            continue
        partial.close()
        if step == "tear_journal":
            data = journal_path.read_bytes()
            journal_path.write_bytes(data[: len(data) - start % (len(data) + 1)])
        elif step == "flip_journal_byte" and (data := bytearray(journal_path.read_bytes())):
            data[start % len(data)] ^= 0x41
            journal_path.write_bytes(data)
        elif step == "damage_data":
            with partial.path.open("r+b") as file:
                file.seek(start)
                file.write(b"\0" * (end - start))
        partial = opened(folder)
        for block in partial.blocks:
            assert partial.read(block.start, block.end - block.start) == CONTENT[block.start : block.end]
    for start, end in list(gaps(merged((block.start, block.end) for block in partial.blocks), SIZE)):
        partial.write(start, CONTENT[start:end])
        partial.record(block_of(start, end))
    partial.close()
    again = opened(folder)
    assert merged((block.start, block.end) for block in again.blocks) == [(0, SIZE)]
    assert again.path.read_bytes() == CONTENT
    again.close()


def test_a_torn_line_costs_its_block_and_no_other(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    for start in (0, 1000, 2000):
        partial.write(start, CONTENT[start : start + 1000])
        partial.record(block_of(start, start + 1000))
    partial.close()
    path = tmp_path / f"{FILE.etag}.journal"
    path.write_bytes(path.read_bytes()[:-3])
    again = opened(tmp_path)
    assert [block.start for block in again.blocks] == [0, 1000]
    again.write(2000, CONTENT[2000:])
    again.record(block_of(2000, SIZE))
    again.close()
    once_more = opened(tmp_path)
    assert [block.start for block in once_more.blocks] == [0, 1000, 2000]
    once_more.close()


def test_who_served_a_block_is_remembered(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", FILE.etag, SIZE)
    journal.begin([block_of(0, 10)])
    journal.add(block_of(20, 30, "https://mirror.example.org"))
    journal.drop((0, 10))
    journal.close()
    assert journal.read() == (block_of(20, 30, "https://mirror.example.org"),)


def test_another_file_s_journal_says_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", FILE.etag, SIZE)
    journal.begin([block_of(0, 10)])
    journal.close()
    assert Journal(tmp_path / "j", "0" * 64, SIZE).read() == ()
    assert Journal(tmp_path / "j", FILE.etag, SIZE + 1).read() == ()


def test_a_block_outside_the_file_is_no_block(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", FILE.etag, SIZE)
    journal.begin([Block(10, 10, "", "x"), Block(-1, 4, "", "x"), Block(0, SIZE + 1, "", "x")])
    journal.close()
    assert journal.read() == ()
