"""How many syllables a text has, between what and what: what can be known without reading it aloud.

Invariants: `low` is never above `high`; a text whose reading is certain (Han characters) has them equal; only the
standard library is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from webui.text import HAN, KANA, LATIN

_TOKEN = re.compile(rf"(?P<latin>(?:{LATIN.pattern}|['’])+)|(?P<digits>\d+)|(?P<other>.)", re.DOTALL)
#: Kana that make one syllable with the one before.
_SMALL_KANA = frozenset("ゃゅょャュョぁぃぅぇぉァィゥェォ")
_VOWELS = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýāēīōūǎěǐǒǔ]+")
_SILENT_E = re.compile(r"(?<=[^aeiouyl])e$|(?<=[^aeioutd])ed$")
#: Signs that some languages read aloud: "per cent", "百分之".
_THRICE = re.compile(r"([a-z])\1\1", re.IGNORECASE)
#: Of a text whose own repetitions are looked for: a segment has fewer, and time grows with their square.
_MAX_TOKENS = 400
_READ_SIGNS = frozenset("%‰°℃$€£¥￥+=×÷<>&@#*/~±№§∶:.-")


@dataclass(frozen=True)
class Syllables:
    """A number of syllables.

    Attributes:
        low, high: the least and the most that a reader makes of the text.
    """

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Syllables) -> Syllables:
        return Syllables(self.low + other.low, self.high + other.high)

    @property
    def likely(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2


def count_syllables(text: str, language: str) -> Syllables:
    """The syllables of a text.

    Args:
        text: as written, without tags.
        language: ``zh``, ``en``, ``ja``, ``mixed``...: how its Han characters and digits are read.
    """
    total = Syllables()
    for match in _TOKEN.finditer(text):
        if match["latin"]:
            total += _of_word(match["latin"])
        elif match["digits"]:
            total += _of_digits(match["digits"], language)
        else:
            total += _of_sign(match["other"], language)
    return total


def _of_word(word: str) -> Syllables:
    """A Latin word: groups of vowels, without an e that is not heard; or its letters one by one."""
    letters = word.replace("'", "").replace("’", "")
    if not letters:
        return Syllables()
    groups = max(len(_VOWELS.findall(_SILENT_E.sub("", letters.lower()))), 1)
    spelled = len(letters) + 2 * letters.upper().count("W")
    if letters.isupper() and len(letters) > 1:
        return Syllables(min(groups, spelled), spelled)  # NASA is read, API is spelled
    if not _VOWELS.search(letters.lower()):
        return Syllables(1, max(spelled, 2))  # kg, Mr: spelled or an abbreviation
    # Three of four words are counted right so, the others miss by one.
    return Syllables(max(1.0, groups * 0.8), groups + (0.2 * groups if groups > 1 else 0.2))


def _of_digits(digits: str, language: str) -> Syllables:
    """A number: "1000000" is three syllables in Chinese, "77" five in English."""
    count = len(digits)
    most = 2.0 if language == "zh" else 3.0
    return Syllables(max(1.0, 0.4 * count), most * count + 1)


def _of_sign(character: str, language: str) -> Syllables:
    if KANA.match(character):
        return Syllables() if character in _SMALL_KANA else Syllables(1, 1)
    if HAN.match(character):
        return Syllables(1, 2.5) if language == "ja" else Syllables(1, 1)
    if character in _READ_SIGNS:
        return Syllables(0, 0 if character in ".-:" else 3)
    if unicodedata.category(character)[0] == "N":
        return Syllables(1, 3)
    # Scripts that write few vowels, and those that write all of them.
    return Syllables(0.35, 0.7) if character.isalpha() else Syllables()


def repeats_itself(text: str) -> bool:
    """Whether the text itself says something twice in a row, or nearly so: "very very", "一个苹果，两个苹果", "www"."""
    if _THRICE.search(text):
        return True
    tokens = list(_spoken_tokens(text))[:_MAX_TOKENS]
    for lag in range(1, len(tokens) // 2 + 1):
        same = [a == b for a, b in zip(tokens, tokens[lag:], strict=False)]
        alike = sum(same[:lag])
        needed = max(min(lag, 2), lag / 2)
        for start in range(len(same) - lag + 1):
            if start:
                alike += same[start + lag - 1] - same[start - 1]
            # A single Han character said twice (妈妈) is shorter than any stretch that is looked for.
            if alike >= needed and (lag > 1 or len(tokens[start]) > 1 or tokens[start].isdigit()):
                return True
    return False


def _spoken_tokens(text: str) -> Iterator[str]:
    """Words, Han characters, kana and digits, in lower case."""
    for match in _TOKEN.finditer(text.lower()):
        if match["digits"]:
            yield from match["digits"]
        elif match["latin"] or match["other"].isalpha():
            yield match[0]
