"""Cutting a text into runs of one language."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.text import main_language, split_language

WRITTEN = st.lists(
    st.sampled_from(
        [
            "你好",
            "世界",
            "Hello",
            " world",
            "こんにちは",
            "の",
            "东京",
            "3.14",
            " 24 GB",
            "GPU",
            "，",
            "。",
            ". ",
            "! ",
            "\n",
            " ",
            "https://a.com/b?c=1",
            "a@b.com",
            "（",
            "”",
            "100%",
            "v2.5",
            "I have 3 apples",
            "Ж",
            "é",
            "𠮷",
            "_",
            "-",
        ]
    ),
    max_size=30,
).map("".join)


def runs(text: str, language: str = "auto") -> list[tuple[str, str]]:
    return [(run.text, run.language) for run in split_language(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "你好，世界。Hello world! こんにちは",
            [("你好，世界。", "zh"), ("Hello world! ", "en"), ("こんにちは", "ja")],
        ),
        ("我用 GPU 训练", [("我用 ", "zh"), ("GPU", "en"), (" 训练", "zh")]),
        ("显卡有24 GB显存", [("显卡有24 GB显存", "zh")]),
        ("显卡有24GB显存", [("显卡有24GB显存", "zh")]),
        ("买 iPhone 15 吧", [("买 ", "zh"), ("iPhone", "en"), (" 15 吧", "zh")]),
        ("他说 I have 3 apples today 真的", [("他说 ", "zh"), ("I have 3 apples today", "en"), (" 真的", "zh")]),
        ("I have 3 apples.", [("I have 3 apples.", "en")]),
        ("今日は東京で食べる。", [("今日は東京で食べる。", "ja")]),
        ("日本語です。我是中国人。", [("日本語です。", "ja"), ("我是中国人。", "zh")]),
        ("我喜欢の味道和这个", [("我喜欢", "zh"), ("の", "ja"), ("味道和这个", "zh")]),
        ("访问https://example.com/a?b=1吧", [("访问https://example.com/a?b=1吧", "zh")]),
        ("3.14。圆周率", [("3.14。圆周率", "zh")]),
        ("价格 $20", [("价格 $20", "zh")]),
        ("2026", [("2026", "en")]),
        ("", []),
    ],
)
def test_each_stretch_has_the_language_that_it_is_read_in(text: str, expected: list[tuple[str, str]]) -> None:
    assert runs(text) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("2026", "zh", [("2026", "zh")]),
        ("東京", "ja", [("東京", "ja")]),
        ("東京", "auto", [("東京", "zh")]),
        ("这是什么", "ja", [("这是什么", "zh")]),
        ("Hello", "zh", [("Hello", "en")]),
        ("你好", "en", [("你好", "zh")]),
    ],
)
def test_a_given_language_decides_what_the_text_leaves_open(
    text: str, language: str, expected: list[tuple[str, str]]
) -> None:
    assert runs(text, language) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [("你好，OK", "zh"), ("I love 北京 very much", "en"), ("東京です", "ja"), ("42", "en"), ("", "en")],
)
def test_main_language_is_what_most_of_the_text_is_in(text: str, language: str) -> None:
    assert main_language(text) == language


@settings(max_examples=300)
@given(st.one_of(WRITTEN, st.text(max_size=100)), st.sampled_from(["auto", "zh", "en", "ja"]))
def test_nothing_is_lost(text: str, language: str) -> None:
    result = split_language(text, language)
    assert "".join(run.text for run in result) == text
    assert all(run.text and run.language in {"zh", "en", "ja"} for run in result)
    languages = [run.language for run in result]
    assert all(one != other for one, other in itertools.pairwise(languages))
