"""One loaded voice for all tests of this folder, and a small front end that needs no dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from webui.emotion import NEUTRAL, EmotionVector
from webui.engine.base import Cancellation, SpeechRequest
from webui.engine.kokoro.engine import KokoroEngine

#: What `ScriptedPhonemizer` knows: symbols of the voice for a few texts.
SCRIPT = {
    "Hello world, this is a test. ": "həlˈO wˈɜɹld, ðɪs ɪz ɐ tˈɛst.",
    "The morning train was late again.": "ðə mˈɔɹnɪŋ tɹˈAn wʌz lˈAt əɡˈɛn.",
    "妈妈骂马吗？": "ma→ma ma↘ ma↓ ma?",
}


@dataclass(frozen=True)
class Syllable:
    start: int
    end: int
    tone: int


@dataclass(frozen=True)
class Symbols:
    symbols: str
    syllables: tuple[Syllable, ...] = ()


class ScriptedPhonemizer:
    """Reads the texts of `SCRIPT`, and of any other text every letter as the sound of it."""

    languages = ("zh", "en")

    def __init__(self, cache_dir: Path, vocabulary: frozenset[str]) -> None:
        self.vocabulary = vocabulary

    def warm_up(self) -> None:
        """Nothing to read."""

    def phonemize(self, text: str, language: str = "auto") -> Symbols:
        symbols = SCRIPT.get(text, text.lower())
        return Symbols("".join(symbol for symbol in symbols if symbol in self.vocabulary))


@pytest.fixture(scope="session")
def voice_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voice-cache")


@pytest.fixture(scope="session")
def engine(voice_cache: Path) -> Iterator[KokoroEngine]:
    made = KokoroEngine(cache_dir=voice_cache, device="cpu", threads=2, make_phonemizer=ScriptedPhonemizer)
    made.load(lambda progress: None)
    yield made
    made.unload()


def speak(
    engine: KokoroEngine, text: str, *, emotion: EmotionVector = NEUTRAL, voice: str = "", speed: float = 1.0
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """The whole sound of a text."""
    request = SpeechRequest(text, voice=voice, emotion=emotion, speed=speed)
    return np.concatenate([chunk.pcm for chunk in engine.synthesize(request, Cancellation())])
