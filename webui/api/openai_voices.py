"""OpenAI's voice names on our voices.

Invariant: a name gives the same voice of an engine every time. A name goes to the voices of the gender that people
hear in OpenAI's voice of that name, in order, round and round; `docs/api.md` says so too.
"""

from __future__ import annotations

from launcher.errors import SpeechError
from webui.engine.base import EngineInfo

#: The names of the OpenAI speech API (reference of ``POST /v1/audio/speech``, field ``voice``) by the gender heard.
FEMALE = ("alloy", "coral", "nova", "sage", "shimmer", "marin")
MALE = ("ash", "ballad", "echo", "fable", "onyx", "verse", "cedar")


def voice_id(voice: object, info: EngineInfo) -> str:
    """The engine's voice for the field ``voice``: our id or title, a name of OpenAI's, or ``{"id": ...}`` with any.

    Args:
        voice: the field's value; ``None`` means the engine's default.
        info: what the engine offers.

    Raises:
        SpeechError: when there is no such voice.
    """
    if isinstance(voice, dict):
        voice = voice.get("id")
    if voice is None:
        return info.voices[0].id if info.voices else ""
    own = [offered.id for offered in info.voices]
    if isinstance(voice, str):
        if voice in own:
            return voice
        for gender, names in (("female", FEMALE), ("male", MALE)):
            if voice.lower() in names:
                candidates = [offered.id for offered in info.voices if offered.gender == gender] or own
                return candidates[names.index(voice.lower()) % len(candidates)]
        for offered in info.voices:
            if voice.strip().casefold() in {title.casefold() for title in offered.title.values()}:
                return offered.id
    raise SpeechError(
        f"voice {voice!r:.100} is not known.",
        fix=f"Use one of {', '.join(own)}, or a name of OpenAI's: {', '.join(sorted(FEMALE + MALE))}.",
        param="voice",
        code="unknown_voice",
    )
