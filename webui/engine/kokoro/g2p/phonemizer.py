"""A text in any mixture of Chinese, English and Japanese -> `Phonemes`.

What is in no script that it reads is passed over when there is something else to say.

Invariants: the only exception that a text can cause is `SpeechError`; the symbols are never empty and all in the
vocabulary; not thread-safe before `warm_up`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError
from webui.engine.base import WordReading
from webui.engine.kokoro.g2p import characters, japanese, normalize_zh
from webui.engine.kokoro.g2p.english import English
from webui.engine.kokoro.g2p.japanese import Japanese
from webui.engine.kokoro.g2p.mandarin import Mandarin
from webui.engine.kokoro.g2p.phonemes import Phonemes, Piece, assemble
from webui.engine.kokoro.g2p.readings import cmu_readings, pinyin_readings
from webui.text import HAN, LATIN, Run, require_speakable, split_language

_HAN_RUN = HAN.pattern + "+"
_LATIN_RUN = rf"{LATIN.pattern}[{LATIN.pattern[1:-1]}'. &-]*"
_PART = re.compile(
    rf"(?P<han>{_HAN_RUN})|(?P<latin>{_LATIN_RUN})|(?P<other>(?:(?!{HAN.pattern}|{LATIN.pattern}).)+)", re.DOTALL
)
#: So few kana among Chinese are a quotation (の), which may be left out where Japanese cannot be read.
_FEW_KANA = 2


class Phonemizer:
    """Turns text into the voice's symbols.

    Args:
        cache_dir: where dictionaries may keep what they compiled (a folder ``jieba`` is made there).
        vocabulary: the symbols that the voice knows.
    """

    def __init__(self, cache_dir: Path, vocabulary: frozenset[str]) -> None:
        self._vocabulary = vocabulary
        self._mandarin = Mandarin(cache_dir / "jieba")
        self._english = English()
        self._japanese = Japanese()
        self._numbers: Any = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it reads in this installation."""
        return ("zh", "en", "ja") if japanese.available() else ("zh", "en")

    def warm_up(self) -> None:
        """Loads the Chinese and English dictionaries, which takes seconds the first time and less later.

        The Japanese one comes with the first Japanese text: few need it, and it takes 100 MB.
        """
        self._mandarin.load()
        self._english.load()
        self._read_numbers("2个")
        self._mandarin.pieces("你好")

    def phonemize(self, text: str, language: str = "auto") -> Phonemes:
        """The phonemes of a text.

        Args:
            text: as written; `webui.text.clean` is not required.
            language: ``auto``, or the language that Han characters and numbers without a neighbour are in.

        Raises:
            SpeechError: ``nothing_to_say``, ``language_unsupported``, or ``language_unavailable`` for Japanese without
                its extra.
        """
        require_speakable(text)
        runs = split_language(characters.paired_quotes(text), language)
        if "ja" not in self.languages:
            runs = _without_japanese(runs)
        pieces: list[Piece] = []
        for run in runs:
            pieces += self._pieces(run)
            pieces.append(Piece(" "))
        languages = {run.language for run in runs}
        phonemes = assemble(pieces, self._vocabulary, languages.pop() if len(languages) == 1 else "mixed")
        if not any(character.isalpha() for character in phonemes.symbols):
            raise SpeechError(
                "text holds nothing that this voice can read.",
                fix="Write Chinese or English words.",
                param="input",
                code="nothing_to_say",
            )
        return phonemes

    def readings(self, text: str, language: str = "auto") -> list[WordReading]:
        """The words of a text as they are said, with their readings.

        Raises:
            SpeechError: as `phonemize`.
        """
        require_speakable(text)
        runs = split_language(characters.paired_quotes(text), language)
        if "ja" not in self.languages:
            runs = _without_japanese(runs)
        return [reading for run in runs for reading in self._readings(run)]

    def _readings(self, run: Run) -> Iterator[WordReading]:
        if run.language == "ja":
            yield WordReading(run.text.strip(), "ja", "kana", japanese.kana(run.text))
        elif run.language == "zh":
            for match in _PART.finditer(self._said(run.text)):
                if match["han"]:
                    yield from pinyin_readings(self._mandarin.readings(match["han"]))
                elif match["latin"]:
                    yield from cmu_readings(*self._english.readings(match["latin"]))
        else:
            yield from cmu_readings(*self._english.readings(run.text))

    def _pieces(self, run: Run) -> Iterator[Piece]:
        if run.language == "zh":
            yield from self._chinese(run.text)
        elif run.language == "ja":
            yield Piece(self._japanese.symbols(run.text))
        else:
            yield Piece(self._english.symbols(run.text))

    def _chinese(self, text: str) -> Iterator[Piece]:
        for match in _PART.finditer(self._said(text)):
            if match["han"]:
                yield from self._mandarin.pieces(match["han"])
            elif match["latin"]:
                yield Piece(f" {self._english.symbols(match['latin'])} ")
            else:
                yield Piece(characters.stops(match["other"]) or " ")

    def _said(self, text: str) -> str:
        """A Chinese text with everything written out."""
        said = characters.greek_names(normalize_zh.normalize(text, self._read_numbers))
        return re.sub("(.)々", r"\1\1", said)

    def _read_numbers(self, text: str) -> str:
        if self._numbers is None:
            # Imported here: it reads 20 MB of grammars.
            from wetext import Normalizer

            self._numbers = Normalizer(lang="zh", operator="tn")
        said: str = self._numbers.normalize(text)
        return said


def _without_japanese(runs: list[Run]) -> list[Run]:
    others = [run for run in runs if run.language != "ja"]
    if len(others) == len(runs):
        return runs
    if not others or any(len(run.text) > _FEW_KANA for run in runs if run.language == "ja"):
        raise japanese.unavailable()
    return others
