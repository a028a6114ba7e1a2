"""What does not fit into memory: where it is cut, and that nothing is spoken twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import OUT_OF_MEMORY, EngineError
from tests.engine.processes import worker
from webui.engine.halving import halves, speak_or_halve
from webui.text import is_speakable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three, four five six seven. Eight.", ["One two three, ", "four five six seven. Eight."]),
        ("今天天气很好，我们去公园。", ["今天天气很好，", "我们去公园。"]),
        ("no clause here at all", ["no clause ", "here at all"]),
        ("unbreakable", ["unbre", "akable"]),
        ("x", []),
        ("...", []),
    ],
)
def test_it_is_cut_where_a_speaker_breathes(text: str, expected: list[str]) -> None:
    assert halves(text) == expected


@given(st.text(max_size=80))
def test_halves_join_to_the_text_and_can_be_spoken(text: str) -> None:
    parts = halves(text)
    assert not parts or ("".join(parts) == text and all(map(is_speakable, parts)))


class Memory:
    """Speaks a text character by character while it fits."""

    def __init__(self, chars: int, *, heard_before: int = 0) -> None:
        self.chars, self.heard_before = chars, heard_before
        self.tried: list[str] = []
        self.emptied = 0

    def say(self, text: str) -> Iterator[str]:
        self.tried.append(text)
        if len(text) > self.chars:
            yield from text[: self.heard_before]
            raise MemoryError
        yield from text

    def spoken(self, text: str) -> Iterator[str]:
        return speak_or_halve(
            text, self.say, is_full=lambda error: isinstance(error, MemoryError), make_room=self.empty
        )

    def empty(self) -> None:
        self.emptied += 1


def test_two_halves_give_the_whole_and_the_memory_is_emptied_between() -> None:
    memory = Memory(12)
    assert "".join(memory.spoken("ten chars, ten more")) == "ten chars, ten more"
    assert memory.tried == ["ten chars, ten more", "ten chars, ", "ten more"] and memory.emptied == 1


@pytest.mark.parametrize("memory", [Memory(3), Memory(12, heard_before=2)], ids=["halves", "heard"])
def test_it_ends_with_a_sentence(memory: Memory) -> None:
    with pytest.raises(EngineError) as caught:
        list(memory.spoken("ten chars, ten more"))
    assert caught.value.code == OUT_OF_MEMORY and "segment_tokens" in caught.value.fix
    assert len(memory.tried) <= 2


def test_other_failures_pass() -> None:
    def broken(_text: str) -> Iterator[str]:
        raise ValueError("a tensor")
        yield ""

    with pytest.raises(ValueError, match="a tensor"):
        list(speak_or_halve("a, b", broken, is_full=lambda error: isinstance(error, MemoryError)))


def test_an_engines_process_halves_and_says_what_is_lacking(tmp_path: Path) -> None:
    with worker(tmp_path, memory_chars=12) as running, running.http() as client:
        answer = client.post("/speak", json={"text": "short unbreakable-word"})
        assert answer.status_code == 200
        assert [line for line in running.log() if line.startswith(("full", "chunk"))] == [
            "chunk 0",
            "full unbreakable-word",
            "chunk 1",
            "chunk 1",
        ]
        refused = client.post("/speak", json={"text": "x" * 40})
        assert OUT_OF_MEMORY in refused.text and "segment_tokens" in refused.text
        assert client.get("/health").json()["state"] == "ready"
