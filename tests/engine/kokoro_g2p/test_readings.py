"""How a text will be read, in the notations that people know."""

from __future__ import annotations

import pytest

from webui.engine.kokoro.g2p import Phonemizer
from webui.engine.kokoro.g2p.readings import cmu_phones


def test_chinese_is_shown_with_the_tones_that_are_spoken(phonemizer: Phonemizer) -> None:
    found = phonemizer.readings("你好，银行行长，2个花儿")
    assert {reading.notation for reading in found} == {"pinyin"}
    assert "ni2 hao3" in [reading.reading for reading in found]
    text = "".join(reading.text for reading in found)
    spelled = " ".join(reading.reading for reading in found)
    assert text == "你好银行行长两个花儿"
    assert "yin2 hang2 hang2 zhang3" in spelled
    assert spelled.endswith("huar1")


def test_english_is_shown_as_the_cmu_dictionary_writes_it(phonemizer: Phonemizer) -> None:
    found = phonemizer.readings("Hello world, 2 SQL birds.", "en")
    assert [(reading.text.lower(), reading.reading) for reading in found][:3] == [
        ("hello", "HH AH0 L OW1"),
        ("world", "W ER1 L D"),
        ("two", "T UW1"),
    ]
    assert {reading.language for reading in found} == {"en"}


@pytest.mark.parametrize(
    ("symbols", "phones"),
    [("ʧˈɜɹʧ", "CH ER1 CH"), ("bˈʌTəɹ", "B AH1 T ER0"), ("bˈYz", "B OY1 Z"), ("fjˈu", "F Y UW1"), (",", "")],
)
def test_phones(symbols: str, phones: str) -> None:
    assert cmu_phones(symbols) == phones


def test_a_mixed_text_keeps_its_order(phonemizer: Phonemizer) -> None:
    found = phonemizer.readings("用GitHub写代码")
    assert [reading.language for reading in found] == ["zh", *["en"] * (len(found) - 3), "zh", "zh"]
