"""What every speech engine is: the request it takes, the audio it gives, what it says of itself.

Invariants: values are immutable and travel as JSON; an engine takes one request at a time; `synthesize` stops
within 200 ms of `Cancellation.cancel`; this module needs numpy and nothing else, because it is imported in the
environment of every engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from launcher.errors import EngineError
from launcher.progress import Progress
from webui.engine.request import SPEED_RANGE, GenerationParameters, SpeechRequest

__all__ = [
    "SPEED_RANGE",
    "AudioChunk",
    "Cancellation",
    "Cancelled",
    "Engine",
    "EngineInfo",
    "GenerationParameters",
    "Pcm",
    "ReportProgress",
    "ReportsWhileSpeaking",
    "Respeaker",
    "Segment",
    "ShowsSymbols",
    "SpeechRequest",
    "Voice",
]

Pcm = npt.NDArray[np.int16]
ReportProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Segment:
    """One piece of the text that is spoken in one go.

    Attributes:
        index: position, from 0.
        text: what is said, as the person wrote it.
        language: ``zh``, ``en``, ``ja``, or ``mixed``.
    """

    index: int
    text: str
    language: str


@dataclass(frozen=True)
class AudioChunk:
    """A run of speech: int16 mono samples of one segment.

    Attributes:
        pcm: shape (samples,), int16, at `EngineInfo.sample_rate_hz`; the pause that follows is included.
        segment: the segment it belongs to; one segment may give several chunks.
        ends: whether nothing of its segment follows. An engine that makes the next segment only after this is said, in
            a chunk without sound if need be, lets a segment be looked at as soon as it is whole.
    """

    pcm: Pcm
    segment: Segment
    ends: bool = False


@dataclass(frozen=True)
class WordReading:
    """A word and how an engine will read it.

    Attributes:
        text: the word as it is said, with numbers and signs written out.
        language: a language's code.
        notation: ``pinyin`` (tones 1 to 5 as spoken), ``cmu`` or ``kana``.
        reading: in that notation.
    """

    text: str
    language: str
    notation: str
    reading: str


@dataclass(frozen=True)
class Voice:
    """A voice that an engine offers.

    Attributes:
        id: stable lower-case name, as the API takes it.
        title: shown to people, by language code (``en``, ``zh``).
        gender: ``female``, ``male`` or ``neutral``.
        languages: languages in which it is good, best first.
    """

    id: str
    title: Mapping[str, str]
    gender: str = "neutral"
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineInfo:
    """What an engine is and can do; what it cannot do is not shown on the page.

    Attributes:
        name: registry name (``kokoro``).
        title: shown to people, by language code.
        sample_rate_hz: of every chunk.
        voices: the first is the default.
        languages: codes it can speak in this installation.
        device: ``cpu`` or ``cuda:0``.
        capabilities: words among ``emotion_vector``, ``emotion_reference``, ``emotion_text``, ``random_emotion``,
            ``clone``, ``seed``, ``duration``, ``glossary``, ``generation_parameters``, ``readings`` (it is `Reader`),
            ``redo`` (it is `Respeaker`).
        notes: one or two sentences for people, by language code: what kind of voice this is, what others add.
        speed_range: smallest and largest `SpeechRequest.speed`.
        weights: what it speaks with: commit of each repository, or digest of each file; may be empty before
            `Engine.load`.
    """

    name: str
    title: Mapping[str, str]
    sample_rate_hz: int
    voices: tuple[Voice, ...]
    languages: tuple[str, ...]
    device: str = "cpu"
    capabilities: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    speed_range: tuple[float, float] = SPEED_RANGE
    weights: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EngineInfo:
        """The value from `to_json`'s object."""
        values = dict(data)
        values["voices"] = tuple(
            Voice(**{**voice, "languages": tuple(voice.get("languages", ()))}) for voice in data["voices"]
        )
        for name in ("languages", "capabilities", "speed_range"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


class EngineLostError(EngineError):
    """Nothing can be computed in this process any more, as after an error of CUDA: another one must take its place."""


class Cancelled(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside `Engine.synthesize` when its request was cancelled."""


class Cancellation:
    """Tells a running synthesis to stop; thread-safe, one per request."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Asks for a stop; every callback runs once, in the caller's thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Cancelled` when a stop was asked for."""
        if self._event.is_set():
            raise Cancelled

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Runs ``callback`` at `cancel`, or at once when that has happened (an inference library's own abort)."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()


@runtime_checkable
class Engine(Protocol):
    """A speech engine. Its methods are called from one thread at a time."""

    def load(self, report: ReportProgress) -> None:
        """Loads the weights and speaks once to itself, telling ``report`` how far it is.

        Raises:
            EngineError, StorageError: with what is missing and how to get it; nothing stays half loaded.
        """

    def info(self) -> EngineInfo:
        """What it is and can do; may be called before `load`."""

    def segments(self, request: SpeechRequest) -> list[Segment]:
        """How it will cut the request's text; cheap, no synthesis."""

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        """Speaks, segment by segment, in order.

        Raises:
            SpeechError: when the request names a voice or language that it has not.
            Cancelled: soon after ``cancellation`` was cancelled.
        """

    def unload(self) -> None:
        """Gives its memory back; `load` may follow."""


@runtime_checkable
class ReportsWhileSpeaking(Protocol):
    """An engine whose segments take long enough that people want to see how far one is."""

    def report_speech_to(self, report: ReportProgress | None) -> None:
        """Whom to tell, from the thread that speaks, while the next request is spoken; ``None``: nobody."""


@runtime_checkable
class ShowsSymbols(Protocol):
    """An engine that can show what its network gets of a segment."""

    def symbols(self, request: SpeechRequest, segment: Segment) -> tuple[int, str]:
        """How many symbols or tokens a segment of ``request`` is, and, where they can be read, the symbols."""


@runtime_checkable
class Respeaker(Protocol):
    """An engine with seeds that can speak one segment again; it has the capability ``redo``."""

    def respeak(self, request: SpeechRequest, segment: Segment, cancellation: Cancellation) -> Iterator[AudioChunk]:
        """Speaks one of `Engine.segments` of ``request`` alone, with the request's seed.

        Called while a `Engine.synthesize` of the same text rests behind that segment; what follows there sounds as if
        nothing had been spoken again. Raises what `Engine.synthesize` raises.
        """


@runtime_checkable
class Reader(Protocol):
    """An engine that says how it will read a text; it has the capability ``readings``."""

    def readings(self, text: str, language: str) -> list[WordReading]:
        """The words of a text and their readings; nothing is spoken.

        Raises:
            SpeechError: when there is nothing that it can read.
        """
