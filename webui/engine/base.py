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

from launcher.errors import SpeechError
from launcher.progress import Progress
from webui.emotion import NEUTRAL, EmotionVector

Pcm = npt.NDArray[np.int16]
ReportProgress = Callable[[Progress], None]

#: The range of the OpenAI speech API's ``speed``.
SPEED_RANGE = (0.25, 4.0)


@dataclass(frozen=True)
class SpeechRequest:
    """One thing to say, whoever asked: page, API, batch or command line.

    Attributes:
        text: what to say; `webui.text.clean` has been applied by whoever took it from a person.
        voice: a voice's ``id`` from `EngineInfo.voices`; empty means the engine's default.
        emotion: the eight components, 0 to 1.
        intensity: factor on the whole emotion, 0 to 1.
        speed: 1.0 is the voice's natural rate; 0.25 to 4.
        language: ``auto`` or one of `EngineInfo.languages`.
        seed: for engines that draw random numbers; ``None`` lets the engine choose.
    """

    text: str
    voice: str = ""
    emotion: EmotionVector = NEUTRAL
    intensity: float = 1.0
    speed: float = 1.0
    language: str = "auto"
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise SpeechError("text is empty.", fix="Type something to say.", param="input", code="empty_text")
        _check_number("speed", self.speed, *SPEED_RANGE)
        _check_number("intensity", self.intensity, 0.0, 1.0)
        if self.seed is not None and not (
            isinstance(self.seed, int) and not isinstance(self.seed, bool) and 0 <= self.seed < 2**32
        ):
            raise SpeechError(f"seed={self.seed!r:.40} is not a whole number from 0 to 4294967295.", param="seed")

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object; `from_json` reads it back."""
        return {**asdict(self), "emotion": self.emotion.as_dict()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SpeechRequest:
        """The request from `to_json`'s object.

        Raises:
            SpeechError: naming the first field that is unknown, missing or out of range.
        """
        unknown = [name for name in data if name not in cls.__dataclass_fields__]
        if unknown:
            raise SpeechError(f"field {unknown[0]!r:.40} is not known.", param=unknown[0], code="unknown_field")
        values = dict(data)
        for name, kind in (("text", str), ("voice", str), ("language", str)):
            if not isinstance(values.get(name, ""), kind):
                raise SpeechError(f"{name}={values[name]!r:.40} is not text.", param=name)
        emotion = values.get("emotion", {})
        if isinstance(emotion, Mapping):
            values["emotion"] = EmotionVector.from_mapping(emotion)
        elif isinstance(emotion, (list, tuple)):
            values["emotion"] = EmotionVector.from_sequence(emotion)
        else:
            raise SpeechError(
                f"emotion={emotion!r:.40} is neither names with numbers nor eight numbers.", param="emotion"
            )
        return cls(**{"text": "", **values})

    @property
    def effective_emotion(self) -> EmotionVector:
        """The emotion after `intensity`."""
        return self.emotion.scaled(self.intensity)


def _check_number(name: str, value: object, low: float, high: float) -> None:
    # The comparison also refuses NaN, and integers that no float can hold.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise SpeechError(
            f"{name}={value!r:.40} is not a number from {low:g} to {high:g}.",
            fix=f"Give {name} a value from {low:g} to {high:g}.",
            param=name,
            code=f"{name}_out_of_range",
        )


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
    """

    pcm: Pcm
    segment: Segment


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
        capabilities: words among ``emotion_vector``, ``emotion_reference``, ``emotion_text``, ``clone``, ``seed``,
            ``duration``, ``generation_parameters``.
        notes: one or two sentences for people, by language code: what kind of voice this is, what others add.
        speed_range: smallest and largest `SpeechRequest.speed`.
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
