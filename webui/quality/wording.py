"""What was heard beside what was written: how many of the words differ, however each of them spells.

Invariants: numbers count on neither side, because one writes 14 and the other fourteen; Chinese is compared by its
syllables without tones, because a recogniser guesses among characters that sound alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from webui.text import HAN

#: Languages whose words can be compared so; the characters of Japanese have too many readings.
COMPARED = ("zh", "en", "es", "mixed")
_LETTER = rf"(?:(?!{HAN.pattern})[^\W\d_])"
_TOKEN = re.compile(rf"{HAN.pattern}|{_LETTER}+(?:['’]{_LETTER}+)*")
_NUMERALS = frozenset("零〇一二两兩三四五六七八九十百千万萬亿億点點")
_NUMBER_WORDS = frozenset(
    re.findall(
        r"\w+",
        "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
        "billion point percent first second third fourth fifth dollar dollars",
    )
)


@dataclass(frozen=True)
class Difference:
    """How far two texts are apart.

    Attributes:
        words: of the written one, numbers left out.
        errors: words to be put in, taken out or changed until both are the same.
    """

    words: int
    errors: int

    @property
    def share(self) -> float:
        """Errors for each word."""
        return self.errors / self.words if self.words else 0.0


def compare(written: str, heard: str) -> Difference:
    """How much of a text was heard otherwise."""
    reference = spoken_words(written)
    return Difference(len(reference), _distance(reference, spoken_words(heard)))


def spoken_words(text: str) -> list[str]:
    """Words in lower case without accents, and Chinese syllables in pinyin; no numbers."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    words: list[str] = []
    for word in _TOKEN.findall(plain):
        if word in _NUMERALS or word in _NUMBER_WORDS:
            continue
        words.append(_syllable(word) if HAN.match(word) else _bare(word))
    return words


def _syllable(character: str) -> str:
    from pypinyin import Style, lazy_pinyin

    return str(lazy_pinyin(character, style=Style.NORMAL)[0])


def _bare(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in decomposed if letter.isalpha())


def _distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Edits from one to the other (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]
