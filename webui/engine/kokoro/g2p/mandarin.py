"""Chinese characters -> pieces of the voice's symbols, with tones as they are spoken.

Words by `jieba`, readings by `pypinyin` with our own corrections, tones by `sandhi`, symbols by `pinyin`.

Invariants: its dictionary is loaded once, in `load` or at the first text; the only file it writes is jieba's cache in
the folder that it was given; nothing goes to standard error.
"""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from pathlib import Path
from typing import Any

from webui.engine.kokoro.g2p import pinyin, sandhi
from webui.engine.kokoro.g2p.phonemes import Piece
from webui.engine.kokoro.g2p.sandhi import Reading, Word
from webui.engine.kokoro.g2p.words import READINGS

_SYLLABLE = re.compile(r"([a-zêü]+)([1-5])?")
# Beyond this many characters without a stop the text is cut, so that work stays linear.
_MAX_BREATH = 200


class Mandarin:
    """Reads Han characters.

    Args:
        cache_dir: where jieba may keep its compiled dictionary.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._segmenter: Any = None

    def load(self) -> None:
        """Loads the dictionary; from jieba's cache when there is one."""
        if self._segmenter is not None:
            return
        # jieba's own logger writes to standard error whatever the program's logging says.
        logging.getLogger("jieba").setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            # Its source has escapes that newer Pythons warn of when they compile it.
            warnings.simplefilter("ignore")
            import jieba

        jieba.setLogLevel(logging.CRITICAL)
        segmenter = jieba.Tokenizer()
        # Without a cache jieba compiles the dictionary again at each start.
        with contextlib.suppress(OSError):
            self._cache_dir.mkdir(parents=True, exist_ok=True)
        segmenter.tmp_dir = str(self._cache_dir)
        segmenter.cache_file = "words.cache"
        segmenter.initialize()
        self._segmenter = segmenter

    def pieces(self, text: str) -> list[Piece]:
        """The syllables of one breath, a blank between words.

        Args:
            text: Han characters only.
        """
        self.load()
        result: list[Piece] = []
        for start in range(0, len(text), _MAX_BREATH):
            for word in sandhi.spoken(self._words(text[start : start + _MAX_BREATH])):
                if result:
                    result.append(Piece(" "))
                result += [_piece(reading) for reading in word]
        return result

    def readings(self, text: str) -> list[Word]:
        """The words of one breath with their readings as they are spoken; Han characters only."""
        self.load()
        cuts = range(0, len(text), _MAX_BREATH)
        return [word for start in cuts for word in sandhi.spoken(self._words(text[start : start + _MAX_BREATH]))]

    def _words(self, text: str) -> list[Word]:
        texts = [word for word in self._segmenter.lcut(text) if word.strip()]
        neighbours = ["", *texts, ""]
        words = [_readings(own, neighbours[index], neighbours[index + 2]) for index, own in enumerate(texts)]
        return [word for word in words if word]


def _piece(reading: Reading) -> Piece:
    symbols = pinyin.symbols(reading.base, reading.tone)
    return Piece(symbols + ("ɚ" if reading.erhua and symbols else ""), reading.tone)


def _readings(word: str, before: str, after: str) -> Word:
    from pypinyin import Style, lazy_pinyin

    # A character without a reading gives itself, which is no syllable; the package's type knows text only.
    unread: Any = list
    syllables = READINGS.get(word) or lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors=unread)
    if len(word) == 1:
        syllables = [_in_context(word, syllables[0], before, after)]
    elif len(word) == 3 and word[1] == "得":
        syllables = [syllables[0], "de5", syllables[2]]  # 跑得快
    elif len(word) == 3 and word.endswith("不得"):
        syllables = [*syllables[:-1], "de5"]  # 舍不得
    elif word[-1] in "只隻" and _COUNTED.search(word[:-1]):
        syllables = [*syllables[:-1], "zhi1"]
    matches = [(character, _SYLLABLE.fullmatch(syllable)) for character, syllable in zip(word, syllables, strict=False)]
    return [Reading(character, match[1], int(match[2] or 5)) for character, match in matches if match]


_COUNTED = re.compile(r"[零〇一二三四五六七八九十百千万亿两几这那每哪]$")


def _in_context(character: str, syllable: str, before: str, after: str) -> str:
    """The reading of a word of one character, by the words around it."""
    if character == "只" and _COUNTED.search(before):
        return "zhi1"
    if character == "得" and after and (not before or before[-1] in "我你他她它您们就也都还"):
        return "dei3"
    if character == "地" and len(before) >= 2 and after and before[-1] not in "这那块片":
        return "de5"
    return syllable
