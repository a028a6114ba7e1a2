"""Cutting a text into clauses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.text import MAX_CLAUSE_LENGTH, is_speakable, split_clauses, split_language, spoken_length

WRITTEN = st.lists(
    st.sampled_from(
        [
            "你好",
            "世界",
            "Hello",
            " world",
            "こんにちは",
            "3.14",
            "1,000",
            "7:30",
            "Dr. ",
            "e.g. ",
            "U.S. ",
            "http://a.b/c?d",
            "，",
            "。",
            "！”",
            "…",
            "——",
            "、",
            ". ",
            ", ",
            "! ",
            "? ",
            "; ",
            "\n",
            " ",
            "）",
            "Ж",
            "word" * 20,
            "字" * 40,
        ]
    ),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好，世界。再见！", ["你好，", "世界。", "再见！"]),
        ("他说：“走吧。”然后走了。", ["他说：", "“走吧。”", "然后走了。"]),
        ("Hello, world. Bye!", ["Hello, ", "world. ", "Bye!"]),
        ("こんにちは、世界。", ["こんにちは、", "世界。"]),
        ("Pi is 3.14 and 1,000 at 7:30.", ["Pi is 3.14 and 1,000 at 7:30."]),
        ("圆周率是3.14，时间是7:30。", ["圆周率是3.14，", "时间是7:30。"]),
        ("时间是7：30吗", ["时间是7：30吗"]),
        ("Dr. Smith and Mr. Jones met.", ["Dr. Smith and Mr. Jones met."]),
        ("Use tools, e.g. a hammer.", ["Use tools, ", "e.g. a hammer."]),
        ("The U.S. economy grew.", ["The U.S. economy grew."]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("See https://example.com/a?b=1,2 now.", ["See https://example.com/a?b=1,2 now."]),
        ("1. First\n2. Second", ["1. First\n", "2. Second"]),
        ("Wait... what?", ["Wait... ", "what?"]),
        ("等等……什么？", ["等等……", "什么？"]),
        ("你好,世界!再见", ["你好,", "世界!", "再见"]),
        ("one; two: three", ["one; ", "two: ", "three"]),
        ("他来了——我走了", ["他来了——", "我走了"]),
        ("“Stop!” he said.", ["“Stop!” ", "he said."]),
        ("（好。）你", ["（好。）", "你"]),
        ("……你好。", ["……你好。"]),
        ("你好。！？…… 。", ["你好。！？…… 。"]),
        ("a\n\nb", ["a\n\n", "b"]),
        ("1、2、3", ["1、", "2、", "3"]),
        ("", []),
    ],
)
def test_cut_where_a_voice_may_pause(text: str, expected: list[str]) -> None:
    assert split_clauses(text) == expected


def test_a_long_piece_is_cut_at_a_blank() -> None:
    parts = split_clauses("word " * 100)
    assert len(parts) > 1
    assert all(part.startswith("word") for part in parts)


def test_a_piece_without_blanks_is_cut_too() -> None:
    assert [len(part) for part in split_clauses("好" * 70)] == [30, 30, 10]


@settings(max_examples=400)
@given(st.one_of(WRITTEN, st.text(max_size=200)), st.sampled_from([10, 40, MAX_CLAUSE_LENGTH]))
def test_nothing_is_lost_and_no_part_is_too_long(text: str, max_length: int) -> None:
    parts = split_clauses(text, max_length)
    assert "".join(parts) == text
    assert all(spoken_length(part) <= max_length for part in parts)
    assert all(parts)
    if is_speakable(text) and max_length == MAX_CLAUSE_LENGTH and spoken_length(text) <= max_length:
        assert all(is_speakable(part) for part in parts)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "你",
        "a.b,",
        "a ",
        "1 a ",
        "a@",
        "a'",
        "1.",
        "A-1 ",
        "Ж, ",
        "a,,,",
        " ",
        "http://",
        "あ。",
        "a你",
        "-",
        "你a1 ",
    ],
)
def test_very_long_texts_are_cut(unit: str) -> None:
    # With work that grows with the square this would take hours and end at the time limit of the test run.
    text = unit * (400_000 // len(unit))
    assert "".join(split_clauses(text)) == text
    assert "".join(run.text for run in split_language(text)) == text
