"""Tones as they are spoken."""

from __future__ import annotations

import pytest

from webui.engine.kokoro.g2p import Phonemizer


def tones(phonemizer: Phonemizer, text: str) -> str:
    return "".join(str(syllable.tone) for syllable in phonemizer.phonemize(text, "zh").syllables)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # third tones
        ("你好", "23"),
        ("展览馆", "223"),
        ("老古董", "323"),
        ("我很好", "323"),
        ("我想买", "323"),
        ("雨伞", "23"),
        ("水果", "23"),
        ("老师", "31"),
        ("可以", "23"),
        ("小李", "23"),
        # 不
        ("不是", "24"),
        ("不好", "43"),
        ("不来", "42"),
        ("不对", "24"),
        ("不，", "4"),
        ("好不好", "353"),
        ("是不是", "454"),
        # 一
        ("一", "1"),
        ("一个", "24"),
        ("一天", "41"),
        ("一年", "42"),
        ("一起", "43"),
        ("一样", "24"),
        ("第一次", "414"),
        ("统一", "31"),
        ("十一", "21"),
        ("一月", "14"),
        ("看一看", "454"),
        ("二零一六年", "42142"),
        ("一百", "43"),
        ("一万", "24"),
        ("一千一百一十一", "4113121"),
        # neutral tones
        ("我们", "35"),
        ("妈妈", "15"),
        ("爸爸", "45"),
        ("姐姐", "35"),
        ("朋友", "25"),
        ("桌子", "15"),
        ("电子", "43"),
        ("女子", "23"),
        ("看看", "45"),
        ("想想", "25"),
        ("谢谢", "45"),
        ("什么", "25"),
        ("漂亮", "45"),
        ("好的", "35"),
        ("来了吗", "255"),
        ("他跑得快", "1354"),
        ("慢慢地走", "4453"),
        ("我得走了", "3235"),
        # 儿 joins the syllable before it, unless it is a word of its own
        ("花儿", "1"),
        ("哪儿", "3"),
        ("一会儿", "24"),
        ("女儿", "32"),
        ("儿子", "25"),
        # readings by context
        ("一只猫", "411"),
        ("两只", "31"),
        ("只有", "23"),
        ("银行行长", "2223"),
        ("重庆", "24"),
        ("重要", "44"),
        ("音乐", "14"),
        ("快乐", "44"),
        ("睡着了", "425"),
        ("看着我", "453"),
        # traditional characters
        ("漢語", "43"),
        ("臺灣", "21"),
        ("我們", "35"),
        ("電子", "43"),
    ],
)
def test_tones_as_spoken(phonemizer: Phonemizer, text: str, spoken: str) -> None:
    assert tones(phonemizer, text) == spoken


def test_the_suffix_r_is_part_of_its_syllable(phonemizer: Phonemizer) -> None:
    result = phonemizer.phonemize("花儿。")
    (syllable,) = result.syllables
    assert result.symbols[syllable.start : syllable.end] == "xwa→ɚ"


def test_tones_do_not_work_across_a_stop(phonemizer: Phonemizer) -> None:
    assert tones(phonemizer, "好，你。") == "33"


def test_every_syllable_has_its_place(phonemizer: Phonemizer) -> None:
    result = phonemizer.phonemize("你好，世界。")
    assert result.symbols == "ni↗xau↓, ʂɨ↘ʨje↘."
    assert [result.symbols[s.start : s.end] for s in result.syllables] == ["ni↗", "xau↓", "ʂɨ↘", "ʨje↘"]
