"""Cleaning: what is removed, what stays, what is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import SpeechError
from webui.text import clean, is_speakable

ANY_TEXT = st.text(st.characters(), max_size=200)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  hello \t world  ", "hello world"),
        ("cafe\u0301", "café"),
        ("a\u200bb\u200c\u200d\ufeffc", "abc"),
        ("abc\u202edef\u2066\u2069", "abcdef"),
        ("so\u00adft", "soft"),
        ("bell\x07 nul\x00 esc\x1b[0m", "bell nul esc[0m"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("line \n next", "line\nnext"),
        ("你好😀世界", "你好 世界"),
        ("👨‍👩‍👧‍👦 family 👍🏽", "family"),
        ("1️⃣ one", "1 one"),
        ("🇨🇳中国", "中国"),
        ("\ud83d\ude00 hi", "hi"),
        ("hi \ud800 there", "hi there"),
        ("\ue000private", "private"),
        ("25℃ ™ © № ²", "25℃ ™ © № ²"),
        ("𠮷野家", "𠮷野家"),
        ("z" + "\u0301\u0316" * 40, None),
        ("你好\u3000世界", "你好 世界"),
    ],
)
def test_what_nobody_can_say_is_removed(written: str, kept: str | None) -> None:
    result = clean(written, 1000)
    if kept is None:
        assert len(result) < 12
    else:
        assert result == kept


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("", "empty_text"),
        (" \n\t ", "empty_text"),
        ("😀🎉", "nothing_to_say"),
        ("?!…——", "nothing_to_say"),
        ("\u200b\u200b", "nothing_to_say"),
        ("\ud800", "nothing_to_say"),
        ("Привет мир", "language_unsupported"),
        ("안녕하세요", "language_unsupported"),
    ],
)
def test_text_without_anything_to_say_is_refused(written: str, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        clean(written, 1000)
    assert (caught.value.code, caught.value.param, caught.value.http_status) == (code, "input", 400)


def test_too_long_names_count_and_limit() -> None:
    with pytest.raises(SpeechError) as caught:
        clean("好" * 1001, 1000)
    assert caught.value.code == "text_too_long"
    assert "1001" in caught.value.message
    assert "1000" in caught.value.message
    assert clean("好" * 1000, 1000) == "好" * 1000


def test_the_limit_is_of_what_is_kept() -> None:
    assert clean("好\u200b" * 10, 10) == "好" * 10


def test_a_script_that_no_voice_reads_passes_beside_one_that_it_reads() -> None:
    assert clean("Привет 你好", 100) == "Привет 你好"


@pytest.mark.parametrize("text", ["٣", "Ⅷ", "½", "３", "ア", "々", "é"])
def test_digits_and_letters_of_many_kinds_are_speakable(text: str) -> None:
    assert is_speakable(text)


@settings(max_examples=400)
@given(ANY_TEXT)
def test_clean_is_stable_and_safe(text: str) -> None:
    try:
        result = clean(text, 10_000)
    except SpeechError as error:
        assert error.code in {"empty_text", "nothing_to_say", "language_unsupported"}
        return
    assert clean(result, 10_000) == result
    assert unicodedata.is_normalized("NFC", result)
    assert result == result.strip()
    unwanted = {"Cc", "Cf", "Cs", "Co", "Cn"}
    assert not [c for c in result if c != "\n" and unicodedata.category(c) in unwanted]
    result.encode("utf-8")
