"""What the voice reads: a string of its symbols, with the place of every Mandarin syllable in it.

Invariants: `Phonemes.symbols` holds characters of the vocabulary only; syllables are in order and do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Syllable:
    """One Mandarin syllable.

    Attributes:
        start: index of its first symbol in `Phonemes.symbols`.
        end: index after its last symbol.
        tone: 1 to 4, 5 for the neutral tone; as spoken, after sandhi.
    """

    start: int
    end: int
    tone: int


@dataclass(frozen=True)
class Phonemes:
    """A text as the voice reads it.

    Attributes:
        symbols: characters of the vocabulary.
        syllables: the Mandarin syllables among them.
        language: ``zh``, ``en``, ``ja``, or ``mixed``.
        dropped: how many symbols the vocabulary lacks; 0 unless a part of this package is wrong.
    """

    symbols: str
    syllables: tuple[Syllable, ...]
    language: str
    dropped: int = 0


@dataclass(frozen=True)
class Piece:
    """Symbols on their way to `Phonemes`.

    Attributes:
        symbols: of a Mandarin syllable, or of anything else, with blanks and stops.
        tone: of a Mandarin syllable, 1 to 5; 0 for anything else.
    """

    symbols: str
    tone: int = 0


_OPENING = "(“"
_STOPS = ";:,.!?—…)”"


def assemble(pieces: Iterable[Piece], vocabulary: frozenset[str], language: str) -> Phonemes:
    """The pieces joined: one blank between words, none at either end or before a stop, no stop at the start."""
    symbols: list[str] = []
    syllables: list[Syllable] = []
    dropped = 0
    for piece in pieces:
        kept = [symbol for symbol in piece.symbols if symbol in vocabulary]
        dropped += len(piece.symbols) - len(kept)
        if piece.tone:
            start = len(symbols)
            symbols += kept
            if kept:
                syllables.append(Syllable(start, len(symbols), piece.tone))
            continue
        for symbol in kept:
            _add(symbols, symbol)
    while symbols and (symbols[-1] == " " or symbols[-1] in _OPENING):
        symbols.pop()
    return Phonemes("".join(symbols), tuple(syllables), language, dropped)


def _add(symbols: list[str], symbol: str) -> None:
    last = symbols[-1] if symbols else ""
    if symbol == " " and (not last or last == " " or last in _OPENING):
        return
    if symbol in _STOPS:
        if not last or last in _OPENING:
            return
        if last == " ":
            symbols.pop()
        if symbols[-1] == symbol:
            return
    symbols.append(symbol)
