"""Segments: nothing lost, the first short, growth slower than speech, bounded for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.engine.kokoro.chunking import (
    FIRST_S,
    FIRST_TOLERANCE,
    GROWTH,
    LONGEST_S,
    ends_sentence,
    estimate_s,
    plan_segments,
)
from webui.text import split_clauses

CHINESE = "今天早上的火车又晚点了，我们只好沿着河边走回家。她把那封信放回抽屉里，然后轻轻关上了窗户。" * 5
ENGLISH = "The morning train was late again, so we walked along the river. Nobody knew why the light was on. " * 5
TEXTS = [CHINESE, ENGLISH, "一" * 700, "a" * 3000, "word " * 600, "你好。" * 200, "2026" * 300, CHINESE + ENGLISH]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
def test_segments_are_the_text_and_bounded(text: str, speed: float) -> None:
    segments = plan_segments(split_clauses(text), speed)
    assert "".join(segments) == text
    assert estimate_s(segments[0]) <= FIRST_S * FIRST_TOLERANCE * speed + 0.3 or len(segments) == 1
    assert max(map(estimate_s, segments)) <= LONGEST_S * speed + 0.3


@given(st.text(alphabet="你好的，。 ab.!?\n12，", max_size=300), st.floats(0.25, 4))
def test_nothing_is_lost(text: str, speed: float) -> None:
    assert "".join(plan_segments(split_clauses(text), speed)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_next_segment_is_made_while_one_plays(text: str) -> None:
    # At a real-time factor of 0.5 a segment may last twice as long as all that is left to play.
    buffered = 0.0
    for segment in plan_segments(split_clauses(text)):
        length = estimate_s(segment)
        assert not buffered or length * 0.5 <= buffered + 0.3
        buffered = max(0.0, buffered - length * 0.5) + length
    assert GROWTH < 2


def test_the_first_segment_is_one_clause() -> None:
    assert plan_segments(split_clauses("今天天气真好，我们一起去公园吧。然后回家。"))[0] == "今天天气真好，"


def test_a_long_first_clause_is_cut_at_a_word() -> None:
    segments = plan_segments(["Nobody knew why the old lighthouse was still shining at night so brightly, ", ENGLISH])
    assert segments[0].endswith(" ")
    assert plan_segments(["今天早上的火车又晚点了我们只好沿着河边走回家，", CHINESE])[0] == "今天早上的火车又晚点了"


def test_a_short_text_is_not_cut_inside_a_clause() -> None:
    text = "没有人知道那座旧灯塔为什么夜里还亮着。"
    assert plan_segments([text]) == [text]


def test_a_number_or_word_is_not_cut_while_there_is_a_choice() -> None:
    segments = plan_segments(["请把这封信在1234567890之前送到北京的办公室去好吗"])
    assert any("1234567890" in segment for segment in segments)


def test_punctuation_alone_joins_its_neighbour() -> None:
    assert plan_segments(["……", "好。"]) == ["……好。"]
    assert plan_segments([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("好。", True), ("好，", False), ("Yes. ", True), ('"Yes!"', True), ("Yes", False), ("好吗？”", True)],
)
def test_sentence_ends(text: str, expected: bool) -> None:
    assert ends_sentence(text) is expected
