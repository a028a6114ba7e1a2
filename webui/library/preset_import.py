"""Presets from files: ours, one or several, and the folders ``outputs/presets/NAME`` of the IndexTTS page.

A folder of that page holds ``preset.json`` (``emo_control_method`` 0 to 3, ``emo_weight``, ``emo_vector``,
``emo_text``, ``emo_random``, ``advanced_params``) and, where there were recordings, ``prompt.wav`` and
``emo_ref.wav`` (index-tts, `indextts/utils/presets.py` and `webui.py`).

Invariants: a value that is out of our range is moved to its edge and said so; a recording becomes a voice of the
library; one preset that cannot be taken in does not stop the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from launcher.errors import SpeechError
from webui.emotion import EMOTIONS
from webui.engine.request import GENERATION_RANGES
from webui.library.archives import Archive, bad_archive, copy_text, is_zip
from webui.library.presets import FORMAT, MAX_PRESETS, Preset, PresetStore, read_preset_file
from webui.library.voice_archive import add_from_archive
from webui.library.voices import StoredVoice, VoiceStore

PRESET_FILE = "preset.json"
#: ``emo_control_method`` by its number.
_MODES = ("voice", "recording", "vector", "text")
#: Their names of our generation parameters, where they differ.
_RENAMED = {"max_text_tokens_per_segment": "segment_tokens"}
_WHOLE = {"top_k", "num_beams", "max_mel_tokens", "segment_tokens"}
_MISSING_WEIGHT = 0.65


@dataclass
class ImportedPresets:
    """What became of the presets in a file.

    Attributes:
        presets: those taken in; ``voices``: voices that came with them.
        notes: what was changed on the way, one sentence each.
        refused: ``name`` and ``message`` of those that could not be taken in.
    """

    presets: list[Preset] = field(default_factory=list)
    voices: list[StoredVoice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The answer for the page."""
        return {
            "presets": [preset.to_json() for preset in self.presets],
            "voices": [voice.to_json() for voice in self.voices],
            "notes": self.notes,
            "refused": self.refused,
        }


@dataclass(frozen=True)
class _Reading:
    """A preset that is being read: its name, where it lies (``None``: alone), and what is to be said of it."""

    name: str
    archive: Archive | None
    folder: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PresetImport:
    """Takes presets in.

    Attributes:
        presets, voices: where they go.
        parts: folder for unfinished files.
    """

    presets: PresetStore
    voices: VoiceStore
    parts: Path

    def read(self, path: Path, name: str) -> ImportedPresets:
        """Takes in what a file holds.

        Args:
            path: a preset of ours, a ``preset.json`` of the IndexTTS page, or a zip file with any number of either.
            name: for a preset that has none of its own.

        Raises:
            SpeechError: when the file holds no preset.
        """
        done = ImportedPresets()
        if is_zip(path):
            with Archive(path) as archive:
                names = [entry for entry in archive.names if entry.endswith(".json")]
                if len(names) > MAX_PRESETS:
                    raise bad_archive(f"The zip file has {len(names)} presets, more than {MAX_PRESETS}.")
                for entry in names:
                    self._guarded(archive.json, entry, archive, done)
            if not (done.presets or done.refused):
                raise bad_archive("The zip file holds no preset.")
            return done
        try:
            data = json.loads(copy_text(path))
        except (ValueError, RecursionError) as error:
            raise bad_archive("The file is neither JSON nor a zip file.") from error
        self._take_in(data, _Reading(name, None), done)
        return done

    def _guarded(self, read: Any, entry: str, archive: Archive, done: ImportedPresets) -> None:
        at = PurePosixPath(entry)
        name = at.parent.name if at.name == PRESET_FILE else at.stem
        try:
            self._take_in(read(entry), _Reading(name, archive, entry.rpartition("/")[0]), done)
        except SpeechError as error:
            done.refused.append({"name": name[:80], "message": str(error)})

    def _take_in(self, data: Any, reading: _Reading, done: ImportedPresets) -> None:
        if isinstance(data, dict) and data.get("format") == FORMAT:
            own_name, state = read_preset_file(data)
            done.presets.append(self.presets.add(own_name or reading.name, state, rename=True))
            return
        if not isinstance(data, dict) or "emo_control_method" not in data:
            raise bad_archive("The file holds no preset.")
        request = official_request(data, reading.notes)
        for key, recording in (("voice", "prompt_audio"), ("emotion_reference", "emo_audio")):
            self._add_recording(request, key, data.get(recording), reading, done)
        if request["emotion_mode"] == "recording" and "emotion_reference" not in request:
            request["emotion_mode"] = "voice"
            reading.notes.append("the emotion's recording is missing, so the emotion is the voice's own")
        done.presets.append(self.presets.add(reading.name or "IndexTTS", {"request": request}, rename=True))
        done.notes += [f"{reading.name}: {note}." for note in reading.notes]

    def _add_recording(
        self, request: dict[str, Any], key: str, file: object, reading: _Reading, done: ImportedPresets
    ) -> None:
        if not isinstance(file, str) or not file:
            return
        if reading.archive is None:
            reading.notes.append(f"{file!r:.60} did not come with it; import the preset's folder as a zip file")
            return
        entry = f"{reading.folder}/{file}" if reading.folder else file
        name = reading.name if key == "voice" else f"{reading.name} · {PurePosixPath(file).stem}"[:80]
        try:
            voice, is_new = add_from_archive(self.voices, reading.archive, entry, {"name": name}, self.parts, trim=True)
        except SpeechError as error:
            reading.notes.append(f"its recording {file!r:.60} was left out: {error.message.rstrip('.')}")
            return
        request[key] = voice.id
        if is_new:
            done.voices.append(voice)


def official_request(data: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The body of a request that does what a preset of the IndexTTS page did.

    Args:
        data: its ``preset.json``.
        notes: gets a sentence about each thing that cannot be the same.
    """
    method = data.get("emo_control_method")
    mode = _MODES[method] if isinstance(method, int) and 0 <= method < len(_MODES) else "voice"
    request: dict[str, Any] = {
        "emotion_mode": mode,
        "intensity": _bounded(data.get("emo_weight", _MISSING_WEIGHT), 0.0, 1.0, "emo_weight", notes),
    }
    vector = data.get("emo_vector")
    if isinstance(vector, list):
        parts = zip(EMOTIONS, vector[: len(EMOTIONS)], strict=False)
        values = {name: _bounded(value, 0.0, 1.0, f"emo_vector ({name})", notes) for name, value in parts}
        request["emotion"] = {name: value for name, value in values.items() if value}
    if isinstance(data.get("emo_text"), str) and data["emo_text"].strip():
        request["emotion_text"] = data["emo_text"][:1000]
    if data.get("emo_random") is True:
        request["random_emotion"] = True
    advanced = data.get("advanced_params")
    request["generation"] = _generation(advanced if isinstance(advanced, dict) else {}, notes)
    return request


def _generation(advanced: Mapping[str, Any], notes: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for theirs, value in advanced.items():
        name = _RENAMED.get(theirs, theirs)
        if name in GENERATION_RANGES:
            number = _bounded(value, *GENERATION_RANGES[name], theirs, notes)
            found[name] = round(number) if name in _WHOLE else number
    if advanced.get("do_sample") is False:
        notes.append("do_sample=false has no equivalent; speech is drawn at random")
    return found


def _bounded(value: object, low: float, high: float, name: str, notes: list[str]) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:  # noqa: PLR0124 - NaN
        notes.append(f"{name} was no number and became {low:g}")
        return low
    kept = min(max(value, low), high)
    if kept != value:
        notes.append(f"{name} was {value!r:.20} and became {kept:g}")  # an integer may be too large for "g"
    return kept
