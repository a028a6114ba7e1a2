"""The names under which files give a row's fields, ours and those of others, and how their values are written.

Invariant: a value goes into the field of `SpeechRequest` that means the same; nothing is guessed beyond this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from launcher.errors import SpeechError
from webui.emotion import EMOTIONS, EmotionVector
from webui.jobs.rows import MAX_GAP_S

#: Name in a file -> our name. ``output``, ``emotion_audio``, ``emotion_vector``, ``emotion_weight`` and
#: ``silence_after_ms`` are those of the official command line's batch file (index-tts ``indextts/cli_v2.py``).
ALIASES = {
    **dict.fromkeys(("input", "content", "sentence", "文本", "内容", "台词", "文字"), "text"),
    **dict.fromkeys(("speaker", "voice_id", "声音", "音色", "角色"), "voice"),
    **dict.fromkeys(("output", "file", "filename", "file_name", "out_path", "id", "文件名"), "name"),
    **dict.fromkeys(("ref_audio", "spk_audio_prompt", "参考音频"), "reference"),
    **dict.fromkeys(("emotion_audio", "emo_audio_prompt", "情感参考音频"), "emotion_reference"),
    **dict.fromkeys(("emo_text", "情感描述"), "emotion_text"),
    **dict.fromkeys(("emotion_vector", "emo_vector", "情感"), "emotion"),
    **dict.fromkeys(("emotion_weight", "emo_alpha", "情感强度"), "intensity"),
    **dict.fromkeys(("start", "开始"), "start_s"),
    **dict.fromkeys(("end", "结束"), "end_s"),
    **dict.fromkeys(("gap", "停顿"), "gap_s"),
    "语速": "speed",
    "语言": "language",
    "种子": "seed",
}
#: The official page's words for the eight emotions, in order.
EMOTION_WORDS = dict(zip(("喜", "怒", "哀", "惧", "厌恶", "低落", "惊喜", "平静"), EMOTIONS, strict=True))
TIMING = ("name", "start_s", "end_s", "gap_s")
#: What a cell of a table may hold of a `SpeechRequest`; the rest of it are objects, for JSON.
CELLS = (
    *("text", "voice", "reference", "emotion", "emotion_reference", "emotion_text", "emotion_mode", "intensity"),
    *("speed", "language", "seed", "duration_factor", "random_emotion", "quality"),
)
_RECORDING = re.compile(r"[/\\]|\.(wav|flac|mp3|ogg|opus|aiff?|w64)$", re.IGNORECASE)
_NUMBERS = ("intensity", "speed", "duration_factor", "start_s", "end_s", "gap_s")


def our_name(name: str) -> str:
    """Our name for a field or column, if it has one; else the name in lower case."""
    plain = name.strip().lower().replace(" ", "_")
    return EMOTION_WORDS.get(plain, ALIASES.get(plain, plain))


def row_fields(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file's fields as a `SpeechRequest`'s object and as timing (`TIMING`).

    Args:
        given: names and values as JSON holds them; ``None`` is the same as leaving one out.

    Raises:
        SpeechError: naming what cannot be understood.
    """
    values: dict[str, Any] = {}
    emotion: dict[str, Any] = {}
    for written, raw in given.items():
        if raw is None:
            continue
        is_pause = written == "silence_after_ms"
        name, value = ("gap_s", _milliseconds(raw)) if is_pause else (our_name(written), raw)
        if name in EMOTIONS:
            emotion[name] = value
        elif name in values:
            raise SpeechError(f"{written!r:.40} and another field both give {name}.", fix="Leave one of them out.")
        else:
            values[name] = value
    timing = {name: values.pop(name) for name in TIMING if name in values}
    if not isinstance(timing.get("name", ""), (str, int)) or isinstance(timing.get("name"), bool):
        raise SpeechError(f"file name {timing['name']!r:.40} is not text.", param="name")
    if "emotion" in values:
        values["emotion"] = _emotion(values["emotion"])
    if emotion:
        if values.get("emotion"):
            raise SpeechError("the emotion is given twice.", fix="Leave one of them out.", param="emotion")
        values["emotion"] = emotion
    _place_recordings(values)
    if isinstance(values.get("intensity"), str):
        values["intensity"] = number("intensity", values["intensity"])
    if isinstance(values.get("intensity"), (int, float)) and not isinstance(values["intensity"], bool):
        # The official command line takes any weight, and its engine holds it between 0 and 1.
        values["intensity"] = min(max(values["intensity"], 0.0), 1.0)
    return values, timing


def number(name: str, text: str) -> float | int | str:
    """A cell's text as its field's kind of value.

    Raises:
        SpeechError: when it is no number where one belongs.
    """
    try:
        if name == "seed":
            return int(text)
        if name in _NUMBERS or name in EMOTIONS:
            return float(text)
        if name == "silence_after_ms":
            return int(text)
    except ValueError:
        raise SpeechError(f"{name}={text!r:.40} is not a number.", fix="Write for example 1.2", param=name) from None
    return text


def _milliseconds(value: object) -> float:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_GAP_S * 1000:
        raise SpeechError(
            f"silence_after_ms={value!r:.40} is no whole number of milliseconds from 0 to {MAX_GAP_S * 1000:g}.",
            param="gap_s",
        )
    return value / 1000


def _emotion(value: object) -> object:
    """An emotion in any of its forms, for `SpeechRequest.from_json`."""
    if not isinstance(value, str):
        return value
    text = value.strip().strip("[]")
    word = EMOTION_WORDS.get(text, text.lower())
    if word in EMOTIONS:
        return {word: 1.0}
    if "=" in text:
        for chinese, name in EMOTION_WORDS.items():
            text = text.replace(f"{chinese}=", f"{name}=")
        return EmotionVector.parse(text).as_dict()
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    try:
        return [float(part) for part in parts]
    except ValueError:
        raise SpeechError(
            f"emotion {value!r:.40} is neither a name nor numbers.",
            fix="Write for example happy, happy=0.8,calm=0.2 or eight numbers.",
            param="emotion",
        ) from None


def _place_recordings(values: dict[str, Any]) -> None:
    """Recordings by the names that they have here: of a path beside the file, its last part without ending."""
    for name in ("voice", "reference", "emotion_reference"):
        value = values.get(name)
        if not isinstance(value, str) or not _RECORDING.search(value):
            continue
        if not PurePosixPath(value).is_absolute():
            # The path means nothing here; a voice of that name does.
            values[name] = PureWindowsPath(value).stem.lower()
            if name == "reference" and not values.get("voice"):
                values["voice"] = values.pop("reference")
        elif name == "voice" and "reference" not in values:
            values["reference"] = values.pop("voice")
