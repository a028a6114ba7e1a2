"""Voices as one file, to keep or to give on; and back.

Invariants: what comes in passes the same reading as an upload, whatever its manifest says; one voice that cannot be
taken in does not stop the others.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError
from webui.library.archives import Archive, bad_archive, stream_zip
from webui.library.recordings import KEPT_RATE_HZ, MAX_KEPT_S
from webui.library.voices import MAX_VOICES, StoredVoice, VoiceStore

MANIFEST = "voices.json"
FORMAT, VERSION = "tts-launcher-voices", 1
#: What a recording that was kept here can take: 16 bits mono, and its header.
_MAX_RECORDING_BYTES = int(MAX_KEPT_S * KEPT_RATE_HZ * 2) + 4096
_GIVEN_ON = ("name", "tags", "language", "consent")


@dataclass
class Imported:
    """What became of the voices in a file.

    Attributes:
        added: new voices; ``known``: those that were there already.
        refused: ``name`` and ``message`` of those that could not be taken in.
    """

    added: list[StoredVoice] = field(default_factory=list)
    known: list[StoredVoice] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The answer for the page."""
        return {
            "added": [voice.to_json() for voice in self.added],
            "known": [voice.to_json() for voice in self.known],
            "refused": self.refused,
        }


def export_voices(store: VoiceStore, voices: Sequence[StoredVoice]) -> Iterator[bytes]:
    """The bytes of a zip file with these voices."""
    entries = [
        {**{name: value for name, value in voice.to_json().items() if name in _GIVEN_ON}, "file": _entry(voice)}
        for voice in voices
    ]
    manifest = {"format": FORMAT, "version": VERSION, "voices": entries}
    files = [(_entry(voice), store.path(voice)) for voice in voices]
    return stream_zip([(MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))], files)


def import_voices(store: VoiceStore, path: Path, parts: Path) -> Imported:
    """Takes in the voices of a zip file.

    Args:
        store: where they go.
        path: the file.
        parts: folder for unfinished files.

    Raises:
        SpeechError: when the file is none of ours.
    """
    done = Imported()
    with Archive(path) as archive:
        for entry in _entries(archive.json(MANIFEST)):
            try:
                voice, is_new = _take_in(store, archive, entry, parts)
                (done.added if is_new else done.known).append(voice)
            except SpeechError as error:
                done.refused.append({"name": str(entry.get("name"))[:80], "message": str(error)})
    return done


def add_from_archive(
    store: VoiceStore, archive: Archive, entry: str, given: Mapping[str, Any], parts: Path, *, trim: bool
) -> tuple[StoredVoice, bool]:
    """Adds one recording out of an archive; a name that is taken gets a number.

    Raises:
        SpeechError: when it cannot be read.
    """
    part = parts / f"{uuid.uuid4().hex}.upload"
    try:
        archive.extract(entry, part, _MAX_RECORDING_BYTES)
        return store.add(archive.decoder.read(part, trim=trim), given, rename=True)
    finally:
        part.unlink(missing_ok=True)


def _take_in(store: VoiceStore, archive: Archive, entry: Mapping[str, Any], parts: Path) -> tuple[StoredVoice, bool]:
    given = {name: entry[name] for name in _GIVEN_ON if name in entry}
    # It was trimmed when it was added; trimmed again it would be another recording.
    return add_from_archive(store, archive, str(entry.get("file")), given, parts, trim=False)


def _entries(manifest: Any) -> list[dict[str, Any]]:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise bad_archive("The zip file holds no voices of this program.")
    if manifest.get("version") != VERSION:
        raise bad_archive(f"The zip file's version {manifest.get('version')!r:.20} is not known.")
    voices = manifest.get("voices")
    if not isinstance(voices, list) or not all(isinstance(voice, dict) for voice in voices):
        raise bad_archive("The zip file's list of voices is damaged.")
    if len(voices) > MAX_VOICES:
        raise bad_archive(f"The zip file lists {len(voices)} voices, more than {MAX_VOICES}.")
    return voices


def _entry(voice: StoredVoice) -> str:
    return f"voices/{voice.file}"
