"""Whether an engine can do what a request asks.

Invariant: a request that passes has every field honoured; nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from launcher.errors import SpeechError

if TYPE_CHECKING:
    from webui.engine.base import EngineInfo, SpeechRequest

#: Capability, the field that needs it, whether a request uses it.
_NEEDS: tuple[tuple[str, str, Callable[[SpeechRequest], bool]], ...] = (
    ("clone", "reference", lambda request: bool(request.reference)),
    ("emotion_reference", "emotion_reference", lambda request: request.emotion_source == "recording"),
    ("emotion_text", "emotion_text", lambda request: request.emotion_source == "text"),
    ("random_emotion", "random_emotion", lambda request: request.random_emotion),
    ("duration", "duration_factor", lambda request: request.duration_factor != 1.0),
    ("glossary", "glossary", lambda request: bool(request.glossary)),
    ("redo", "quality", lambda request: request.quality == "redo"),
    ("generation_parameters", "generation", lambda request: bool(request.generation.given())),
)


def check_offer(request: SpeechRequest, info: EngineInfo) -> None:
    """Refuses what the engine has not, in place of leaving it out.

    Raises:
        SpeechError: naming the field.
    """
    voices = [voice.id for voice in info.voices]
    if request.voice and request.voice not in voices:
        raise SpeechError(
            f"voice {request.voice!r} is not known.",
            fix=f"Use one of {', '.join(voices)}." if voices else "Give reference the path of a recording.",
            param="voice",
            code="unknown_voice",
        )
    if request.language != "auto" and request.language not in info.languages:
        raise SpeechError(
            f"language {request.language!r} is not one that this engine speaks.",
            fix=f"Use auto or one of {', '.join(info.languages)}.",
            param="language",
            code="unknown_language",
        )
    low, high = info.speed_range
    if not low <= request.speed <= high:
        raise SpeechError(
            f"speed={request.speed:g} is not a number from {low:g} to {high:g}.",
            fix=f"Give speed a value from {low:g} to {high:g}.",
            param="speed",
            code="speed_out_of_range",
        )
    for capability, field, uses in _NEEDS:
        if uses(request) and capability not in info.capabilities:
            raise SpeechError(
                f"the engine {info.name} cannot honour {field}.",
                fix=f"Leave {field} out, or start an engine that can.",
                param=field,
                code="not_offered",
            )
