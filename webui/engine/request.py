"""The one request for speech that page, API, batch and command line share, and what may be set about it.

Invariants: a value is immutable, travels as JSON and is checked when it is made, so that whoever holds one holds a
right one; a field that an engine cannot honour is refused by whoever hands the request to it, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from launcher.errors import SpeechError
from webui.emotion import NEUTRAL, EmotionVector

#: The range of the OpenAI speech API's ``speed``.
SPEED_RANGE = (0.25, 4.0)
#: Factor on the length of what is spoken; beyond it speech is not understood.
DURATION_RANGE = (0.5, 2.0)
#: Where the emotion comes from; ``auto`` decides by what is given.
EMOTION_MODES = ("auto", "voice", "recording", "vector", "text")
#: What is done about a segment that sounds wrong: nothing is looked for, it is marked, or it is spoken again; ``auto``
#: is what the instance usually does.
QUALITIES = AUTO, OFF, MARK, REDO = ("auto", "off", "mark", "redo")
#: Most segments of one request that may be spoken again, and how many when nothing is said.
MAX_REDOS, USUAL_REDOS = 100, 8
#: Longest description of an emotion, and path of a recording, in characters.
MAX_EMOTION_TEXT_CHARS, MAX_REFERENCE_CHARS = 1000, 4096
#: Most terms of a glossary, and the longest term or reading in characters.
MAX_GLOSSARY_TERMS, MAX_GLOSSARY_CHARS = 500, 200
#: Limits of each generation parameter; the whole numbers among them are in `_WHOLE`.
GENERATION_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.05, 2.0),
    "top_p": (0.01, 1.0),
    "top_k": (0, 100),
    "num_beams": (1, 10),
    "repetition_penalty": (0.1, 20.0),
    "length_penalty": (-2.0, 2.0),
    "max_mel_tokens": (10, 3000),
    "segment_tokens": (20, 600),
    "diffusion_steps": (1, 100),
    "cfg_rate": (0.0, 3.0),
}
_WHOLE = {"top_k", "num_beams", "max_mel_tokens", "segment_tokens", "diffusion_steps"}


@dataclass(frozen=True)
class GenerationParameters:
    """How an engine draws speech; ``None`` leaves a parameter to the engine.

    Attributes:
        do_sample: whether codes are drawn at all; otherwise the likeliest are taken.
        temperature, top_p, top_k, num_beams, repetition_penalty, length_penalty: of drawing the codes of speech.
        max_mel_tokens: most codes of one segment.
        segment_tokens: most text tokens of one segment.
        diffusion_steps, cfg_rate: steps and guidance of making the spectrum.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_beams: int | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    max_mel_tokens: int | None = None
    segment_tokens: int | None = None
    diffusion_steps: int | None = None
    cfg_rate: float | None = None
    do_sample: bool | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if name == "do_sample":
                if not isinstance(value, bool):
                    raise SpeechError(f"generation do_sample={value!r:.40} is not true or false.", param="generation")
                continue
            _check_number(name, value, *GENERATION_RANGES[name], param=f"generation.{name}")
            if name in _WHOLE and not isinstance(value, int):
                raise SpeechError(f"generation {name}={value!r:.40} is no whole number.", param=f"generation.{name}")

    def given(self) -> dict[str, float]:
        """The parameters that are set, by name."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    @classmethod
    def from_mapping(cls, values: object) -> GenerationParameters:
        """The parameters from a JSON object.

        Raises:
            SpeechError: naming the first that is unknown or out of range.
        """
        if not isinstance(values, Mapping):
            raise SpeechError(f"generation={values!r:.40} is no object of names and numbers.", param="generation")
        known = [item.name for item in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise SpeechError(
                f"generation parameter {unknown[0]!r:.40} is not known.",
                fix=f"Use one of {', '.join(known)}.",
                param="generation",
                code="unknown_parameter",
            )
        return cls(**values)


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
        reference: path of a recording whose voice to clone, in place of ``voice``.
        emotion_mode: one of `EMOTION_MODES`: ``auto`` takes the first that is given of ``emotion_text``,
            ``emotion_reference`` and ``emotion``, else the voice's own (``voice``).
        emotion_reference: path of a recording, or a voice's ``id``, whose emotion to speak with.
        emotion_text: a description of the emotion; in mode ``text`` and empty, the text itself.
        random_emotion: whether each component of ``emotion`` is acted by a recording drawn at random.
        duration_factor: factor on the length of what is spoken, on top of ``speed``; `DURATION_RANGE`.
        markup: whether the tags of `webui.markup` in ``text`` are followed; otherwise they are spoken as they stand.
        glossary: pairs of a term and how it is read; the longest term wins, upper and lower case are the same.
        generation: how the engine draws speech.
        quality: one of `QUALITIES`: what is done about segments that sound wrong.
        redos: with ``redo``: how often segments of this request are spoken again, all of them together.
    """

    text: str
    voice: str = ""
    emotion: EmotionVector = NEUTRAL
    intensity: float = 1.0
    speed: float = 1.0
    language: str = "auto"
    seed: int | None = None
    reference: str = ""
    emotion_mode: str = "auto"
    emotion_reference: str = ""
    emotion_text: str = ""
    random_emotion: bool = False
    duration_factor: float = 1.0
    markup: bool = False
    glossary: tuple[tuple[str, str], ...] = ()
    generation: GenerationParameters = field(default_factory=GenerationParameters)
    quality: str = AUTO
    redos: int = USUAL_REDOS

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise SpeechError("text is empty.", fix="Type something to say.", param="input", code="empty_text")
        _check_number("speed", self.speed, *SPEED_RANGE)
        _check_number("intensity", self.intensity, 0.0, 1.0)
        _check_number("duration_factor", self.duration_factor, *DURATION_RANGE)
        if self.seed is not None and not (
            isinstance(self.seed, int) and not isinstance(self.seed, bool) and 0 <= self.seed < 2**32
        ):
            raise SpeechError(f"seed={self.seed!r:.40} is not a whole number from 0 to 4294967295.", param="seed")
        for name in ("random_emotion", "markup"):
            if not isinstance(getattr(self, name), bool):
                raise SpeechError(f"{name}={getattr(self, name)!r:.40} is not true or false.", param=name)
        for name, limit in (
            ("reference", MAX_REFERENCE_CHARS),
            ("emotion_reference", MAX_REFERENCE_CHARS),
            ("emotion_text", MAX_EMOTION_TEXT_CHARS),
        ):
            if len(getattr(self, name)) > limit:
                raise SpeechError(f"{name} is longer than {limit} characters.", param=name, code=f"{name}_too_long")
        self._check_emotion_mode()
        self._check_quality()

    def _check_quality(self) -> None:
        _check_word("quality", self.quality, QUALITIES)
        _check_number("redos", self.redos, 0, MAX_REDOS)
        if not isinstance(self.redos, int):
            raise SpeechError(f"redos={self.redos!r:.40} is no whole number.", param="redos")

    def _check_emotion_mode(self) -> None:
        _check_word("emotion_mode", self.emotion_mode, EMOTION_MODES)
        if self.emotion_mode == "recording" and not self.emotion_reference:
            raise SpeechError(
                "emotion_mode=recording has no recording.",
                fix="Give emotion_reference the path of one.",
                param="emotion_reference",
                code="emotion_reference_missing",
            )

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object; `from_json` reads it back."""
        return {
            **asdict(self),
            "emotion": self.emotion.as_dict(),
            "glossary": dict(self.glossary),
            "generation": self.generation.given(),
        }

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
        for name in _TEXTS:
            if not isinstance(values.get(name, ""), str):
                raise SpeechError(f"{name}={values[name]!r:.40} is not text.", param=name)
        values["emotion"] = _read_emotion(values.get("emotion", {}))
        values["generation"] = GenerationParameters.from_mapping(values.get("generation", {}))
        values["glossary"] = _read_glossary(values.get("glossary", {}))
        return cls(**{"text": "", **values})

    @property
    def effective_emotion(self) -> EmotionVector:
        """The emotion after `intensity`."""
        return self.emotion.scaled(self.intensity)

    @property
    def emotion_source(self) -> str:
        """`emotion_mode` with ``auto`` decided: ``voice``, ``recording``, ``vector`` or ``text``."""
        if self.emotion_mode != "auto":
            return self.emotion_mode
        if self.emotion_text.strip():
            return "text"
        if self.emotion_reference:
            return "recording"
        return "vector" if self.emotion.total else "voice"


_TEXTS = ("text", "voice", "language", "reference", "emotion_mode", "emotion_reference", "emotion_text", "quality")


def _read_emotion(emotion: object) -> EmotionVector:
    if isinstance(emotion, Mapping):
        return EmotionVector.from_mapping(emotion)
    if isinstance(emotion, (list, tuple)):
        return EmotionVector.from_sequence(emotion)
    raise SpeechError(f"emotion={emotion!r:.40} is neither names with numbers nor eight numbers.", param="emotion")


def _read_glossary(glossary: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(glossary, Mapping):
        raise SpeechError(f"glossary={glossary!r:.40} is no object of terms and readings.", param="glossary")
    if len(glossary) > MAX_GLOSSARY_TERMS:
        raise SpeechError(f"glossary has {len(glossary)} terms, more than {MAX_GLOSSARY_TERMS}.", param="glossary")
    for term, reading in glossary.items():
        if not isinstance(term, str) or not term.strip() or not isinstance(reading, str):
            raise SpeechError(f"glossary term {term!r:.40} has no text as its reading.", param="glossary")
        if max(len(term), len(reading)) > MAX_GLOSSARY_CHARS:
            raise SpeechError(
                f"glossary term {term!r:.40} or its reading is longer than {MAX_GLOSSARY_CHARS} characters.",
                param="glossary",
            )
    return tuple(glossary.items())


def _check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpeechError(
            f"{name}={value!r:.40} is not known.",
            fix=f"Use one of {', '.join(known)}.",
            param=name,
            code=f"unknown_{name}",
        )


def _check_number(name: str, value: object, low: float, high: float, *, param: str = "") -> None:
    # The comparison also refuses NaN, and integers that no float can hold.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise SpeechError(
            f"{name}={value!r:.40} is not a number from {low:g} to {high:g}.",
            fix=f"Give {name} a value from {low:g} to {high:g}.",
            param=param or name,
            code=f"{name}_out_of_range",
        )
