"""Every syllable of Mandarin in the voice's symbols."""

from __future__ import annotations

import pytest
from pypinyin import Style, lazy_pinyin
from pypinyin.constants import PINYIN_DICT

from webui.engine.kokoro.g2p import pinyin


def all_syllables() -> set[str]:
    """Every syllable (without tone) that the dictionary of characters knows."""
    characters = [chr(code) for code in PINYIN_DICT]
    return {syllable for character in characters for syllable in lazy_pinyin(character, style=Style.NORMAL)} - {""}


#: Interjections that pinyin writes without a vowel sign of its own; the voice has no way to say them.
UNSAYABLE = {"biang"}


def test_every_syllable_in_every_tone_has_symbols_of_the_vocabulary(vocabulary: frozenset[str]) -> None:
    syllables = {s for s in all_syllables() if (s.isascii() and s.islower()) or "ê" in s}
    assert len(syllables) > 400
    for syllable in sorted(syllables - UNSAYABLE):
        for tone in range(1, 6):
            symbols = pinyin.symbols(syllable, tone)
            assert symbols, syllable
            assert set(symbols) <= vocabulary, (syllable, symbols)


def test_tones_are_told_apart() -> None:
    for syllable in ("ma", "zhi", "lv", "er", "xiong", "n"):
        assert len({pinyin.symbols(syllable, tone) for tone in range(1, 6)}) == 5


@pytest.mark.parametrize(
    ("syllable", "tone", "symbols"),
    [
        ("ma", 1, "ma→"),
        ("ma", 2, "ma↗"),
        ("ma", 3, "ma↓"),
        ("ma", 4, "ma↘"),
        ("ma", 5, "ma"),
        ("zhi", 1, "ꭧɨ→"),
        ("chi", 2, "ꭧʰɨ↗"),
        ("shi", 4, "ʂɨ↘"),
        ("ri", 4, "ɻɨ↘"),
        ("zi", 3, "ʦɨ↓"),
        ("ci", 2, "ʦʰɨ↗"),
        ("si", 4, "sɨ↘"),
        ("ji", 1, "ʨi→"),
        ("qu", 4, "ʨʰy↘"),
        ("xue", 2, "ɕɥe↗"),
        ("lv", 4, "ly↘"),
        ("nve", 4, "nɥe↘"),
        ("zhong", 1, "ꭧʊ→ŋ"),
        ("hao", 3, "xau↓"),
        ("er", 4, "ɚ↘"),
        ("yi", 1, "i→"),
        ("wu", 3, "u↓"),
        ("yu", 2, "y↗"),
        ("yuan", 2, "ɥɛ↗n"),
        ("you", 3, "jou↓"),
        ("weng", 1, "wə→ŋ"),
        ("xiong", 2, "ɕjʊ↗ŋ"),
    ],
)
def test_the_voices_signs(syllable: str, tone: int, symbols: str) -> None:
    assert pinyin.symbols(syllable, tone) == symbols


@pytest.mark.parametrize("wrong", ["", "xyz", "q", "1"])
def test_what_is_no_syllable_has_no_symbols(wrong: str) -> None:
    assert pinyin.symbols(wrong, 1) == ""
