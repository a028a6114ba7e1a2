"""From the body of `POST /v1/audio/speech` to a request for speech.

Invariants: field names are OpenAI's, and ours beside them; an unknown field is ignored, as other servers of this API
do; what had no effect is named in the answer; a long input is spoken whole or refused, never cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import SpeechError
from webui.api.openai_instructions import follow_instructions
from webui.api.openai_voices import voice_id
from webui.audio import check_format
from webui.emotion import EMOTIONS, EmotionVector
from webui.engine.base import EngineInfo, SpeechRequest
from webui.markup import Passage, render
from webui.text import clean, split_clauses

#: OpenAI's own names for speech models: programs that know no other may keep them.
OPENAI_MODELS = (
    *("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-03-20", "gpt-4o-mini-tts-2025-12-15"),
    *("tts-1-1106", "tts-1-hd-1106"),
)
#: The name of whatever engine is loaded.
OWN_MODEL = "tts-launcher"
STREAM_FORMATS = ("audio", "sse")
#: Points of an emotion curve.
MAX_CURVE_POINTS = 200
#: Fields that `SpeechRequest` has under the same name; ``null`` is the same as leaving one out.
REQUEST_FIELDS = (
    *("speed", "emotion", "intensity", "language", "seed", "reference", "emotion_mode", "emotion_reference"),
    *("emotion_text", "random_emotion", "duration_factor", "glossary", "generation", "markup", "quality", "redos"),
)
#: Names the fields of a request that had no effect, and what was understood of its instructions.
IGNORED_HEADER, UNDERSTOOD_HEADER = "X-Ignored-Fields", "X-Instructions"


@dataclass(frozen=True)
class Asked:
    """What a body asks for.

    Attributes:
        request: for the engine.
        audio_format: of the file.
        stream_format: ``audio``, ``sse``, or empty when it is not given.
        headers: for the answer.
    """

    request: SpeechRequest
    audio_format: str
    stream_format: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def read_asked(data: Mapping[str, Any], info: EngineInfo, max_text_chars: int) -> Asked:
    """What a body asks for.

    Args:
        data: the body.
        info: what can be spoken with.
        max_text_chars: longest input.

    Raises:
        SpeechError: naming the first field that is wrong.
    """
    check_model(data.get("model", OWN_MODEL), model_names(info), "model")
    if data.get("engine") is not None:
        check_model(data["engine"], [info.name, "auto"], "engine")
    audio_format = data.get("response_format") or "mp3"
    check_format(audio_format)
    stream_format = data.get("stream_format") or ""
    if stream_format and stream_format not in STREAM_FORMATS:
        raise SpeechError(
            f"stream_format={stream_format!r:.40} is not known.", fix="Use audio or sse.", param="stream_format"
        )
    text = data.get("input")
    if not isinstance(text, str):
        raise SpeechError("input is missing or is not text.", fix="Give input as a string.", param="input")
    fields = {name: data[name] for name in REQUEST_FIELDS if data.get(name) is not None}
    headers = _told(data.get("instructions"), follow_instructions(data.get("instructions"), fields, info.capabilities))
    fields["text"] = clean(text, max_text_chars)
    if data.get("emotion_curve") is not None:
        _follow_curve(data["emotion_curve"], fields)
    fields["voice"] = voice_id(data.get("voice"), info)
    return Asked(SpeechRequest.from_json(fields), str(audio_format), str(stream_format), headers)


def model_names(info: EngineInfo) -> list[str]:
    """Every name that the loaded engine answers to."""
    return [info.name, OWN_MODEL, *OPENAI_MODELS]


def check_model(name: object, names: Sequence[str], param: str) -> None:
    """Checks that there is such a model or engine.

    Raises:
        SpeechError: naming those that are.
    """
    if name not in names:
        raise SpeechError(
            f"{param} {name!r:.100} is not here.",
            fix=f"Use one of {', '.join(names)}.",
            param=param,
            code="model_not_found",
            http_status=404,
        )


def _told(instructions: object, understood: str | None) -> dict[str, str]:
    """Headers that say what was understood of instructions, or that nothing was."""
    if understood is None or not instructions:
        return {}
    return {UNDERSTOOD_HEADER: understood} if understood else {IGNORED_HEADER: "instructions"}


def _follow_curve(curve: object, fields: dict[str, Any]) -> None:
    """Writes an emotion curve into the text as tags, an emotion for each clause.

    Raises:
        SpeechError: when it is no curve, or the text has tags of its own.
    """
    if fields.get("markup"):
        raise _bad_curve("goes with a text that has tags of its own", "Leave markup out, or write tags for it.")
    points = _read_curve(curve)
    text = fields["text"]
    passages, start = [], 0
    for clause in split_clauses(text):
        middle = (start + len(clause) / 2) / len(text)
        passages.append(Passage(clause, _at(points, middle)))
        start += len(clause)
    fields["text"], fields["markup"] = render(passages), True


def _read_curve(curve: object) -> list[tuple[float, EmotionVector]]:
    if not isinstance(curve, list) or not 1 <= len(curve) <= MAX_CURVE_POINTS:
        raise _bad_curve(f"is no list of 1 to {MAX_CURVE_POINTS} points", 'Write [{"at": 0, "emotion": {"sad": 1}}].')
    points = []
    for point in curve:
        at = point.get("at") if isinstance(point, Mapping) else None
        if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at <= 1:
            raise _bad_curve("has a point without a place", "Give each point an at from 0 (begin) to 1 (end).")
        emotion = point.get("emotion", {})
        if isinstance(emotion, Mapping):
            points.append((float(at), EmotionVector.from_mapping(emotion)))
        elif isinstance(emotion, list):
            points.append((float(at), EmotionVector.from_sequence(emotion)))
        else:
            raise _bad_curve("has a point without an emotion", "Give each point names with numbers.")
    return sorted(points, key=lambda point: point[0])


def _at(points: list[tuple[float, EmotionVector]], place: float) -> EmotionVector:
    """The emotion at a place, in a straight line between two points; rounded to what can be heard."""
    before = next((point for point in reversed(points) if point[0] <= place), points[0])
    after = next((point for point in points if point[0] > place), points[-1])
    share = 0.0 if after[0] <= before[0] else min(1.0, max(0.0, (place - before[0]) / (after[0] - before[0])))
    mixed = (
        round(low + (high - low) * share, 3)
        for low, high in zip(before[1].as_tuple(), after[1].as_tuple(), strict=True)
    )
    return EmotionVector(**dict(zip(EMOTIONS, mixed, strict=True)))


def _bad_curve(problem: str, fix: str) -> SpeechError:
    return SpeechError(f"emotion_curve {problem}.", fix=fix, param="emotion_curve", code="bad_emotion_curve")
