"""Voices: recordings with a name, which engines that clone can speak with.

Invariants: a recording is a WAV file named after the sha256 of its content, so the same recording is one voice, and
an engine that keeps features by content finds them again; at most one voice is the default; a name belongs to one
voice, whatever the case of its letters.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError
from webui.audio import encode
from webui.library.database import Database
from webui.library.fields import (
    free_name,
    key_of,
    name_taken,
    not_found,
    read_flag,
    read_language,
    read_name,
    read_note,
    read_tags,
)
from webui.library.files import RowFiles
from webui.library.recordings import VoiceRecording

#: More is a collection for another kind of program; 1,000 recordings of 10 s are 1 GB.
MAX_VOICES = 1000
#: Digits of the digest that name a voice: two of 1,000 voices agree in them once in 10^13 libraries.
_ID_DIGITS = 16
#: What a person may set, and how each is read.
_READERS: dict[str, Callable[[object], Any]] = {
    "tags": read_tags,
    "language": read_language,
    "consent": lambda value: read_note(value, "consent"),
}


@dataclass(frozen=True)
class StoredVoice:
    """A voice of the library.

    Attributes:
        id: 16 hexadecimal digits; what a request gives as ``voice``.
        digest: sha256 of the recording's file.
        tags, language, consent: what the person said of it; ``consent``: whose voice it is and who agreed to what.
        uses: how many requests have spoken with it.
        findings: what is wrong with the recording; see `webui.library.recordings.Finding`.
    """

    id: str
    digest: str
    file: str
    name: str
    tags: tuple[str, ...]
    language: str
    consent: str
    is_default: bool
    uses: int
    last_used_at: float | None
    created_at: float
    duration_s: float
    sample_rate_hz: int
    size_bytes: int
    level_dbfs: float
    peak_dbfs: float
    noise_dbfs: float
    findings: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """The voice as the API shows it."""
        data = asdict(self)
        del data["file"]
        return {**data, "default": data.pop("is_default")}


class VoiceStore:
    """The voices of one library.

    Args:
        database: where their rows are.
        files: where their recordings are.
        parts: folder for unfinished files, on the same disk.
    """

    def __init__(self, database: Database, files: RowFiles, parts: Path) -> None:
        self._database = database
        self._files = files
        self._parts = parts

    def all(self) -> list[StoredVoice]:
        """Every voice: the default first, then by name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM voices ORDER BY is_default DESC, name_key").fetchall()
        return [_voice(row) for row in rows]

    def get(self, voice_id: str) -> StoredVoice:
        """One voice.

        Raises:
            SpeechError: when there is none.
        """
        found = self._one("SELECT * FROM voices WHERE id = ?", voice_id)
        if found is None:
            raise not_found("voice", voice_id)
        return found

    def find(self, name: str) -> StoredVoice | None:
        """The voice with this id or this name."""
        by_id = self._one("SELECT * FROM voices WHERE id = ?", name)
        return by_id or self._one("SELECT * FROM voices WHERE name_key = ?", key_of(name.strip()))

    def default(self) -> StoredVoice | None:
        """The voice that requests without one get."""
        return self._one("SELECT * FROM voices WHERE is_default = 1")

    def path(self, voice: StoredVoice) -> Path:
        """The voice's recording.

        Raises:
            SpeechError: when somebody has taken it away.
        """
        path = self._files.path(voice.file)
        if not path.is_file():
            raise SpeechError(
                f"The recording of the voice {voice.name!r} is gone.",
                fix="Delete the voice and add it again.",
                param="voice",
                code="recording_gone",
                http_status=410,
            )
        return path

    def add(
        self, recording: VoiceRecording, given: Mapping[str, Any], *, rename: bool = False
    ) -> tuple[StoredVoice, bool]:
        """Keeps a recording as a voice.

        Args:
            recording: what was read from a file.
            given: ``name``, and any of ``tags``, ``language``, ``consent``, ``default``.
            rename: whether a name that is taken gets a number instead of an error.

        Returns:
            The voice, and whether it is new; a recording that is there already keeps its name.

        Raises:
            SpeechError: when a field is wrong or the name is taken.
        """
        name = read_name(given.get("name"), "voice")
        fields = {key: read(given[key]) for key, read in _READERS.items() if key in given}
        is_default = read_flag(given.get("default", False), "default")
        content = encode(recording.pcm, recording.sample_rate_hz, "wav")[0]
        digest = hashlib.sha256(content).hexdigest()
        with self._database.alone():
            known = self._one("SELECT * FROM voices WHERE digest = ?", digest)
            if known is not None:
                return known, False
            voice = _new(recording, digest, len(content), self._free_name(name, rename), fields)
            part = self._parts / f"{uuid.uuid4().hex}.wav"
            try:
                part.write_bytes(content)
                self._files.put(voice.file, part, lambda connection: _insert(connection, voice))
            finally:
                part.unlink(missing_ok=True)
            return (self.change(voice.id, {"default": True}) if is_default else voice), True

    def change(self, voice_id: str, changes: Mapping[str, Any]) -> StoredVoice:
        """Sets some of ``name``, ``tags``, ``language``, ``consent`` and ``default``.

        Raises:
            SpeechError: when there is no such voice, a field is wrong, or the name is taken.
        """
        values = _read_changes(changes)
        with self._database.alone():
            self.get(voice_id)
            try:
                with self._database.writing() as connection:
                    if values.get("is_default"):
                        connection.execute("UPDATE voices SET is_default = 0 WHERE is_default = 1")
                    for column, value in values.items():
                        connection.execute(f"UPDATE voices SET {column} = ? WHERE id = ?", (value, voice_id))
            except sqlite3.IntegrityError:
                raise name_taken("voice", str(values.get("name"))) from None
            return self.get(voice_id)

    def remove(self, voice_id: str) -> None:
        """Deletes a voice and its recording.

        Raises:
            SpeechError: when there is none.
        """
        voice = self.get(voice_id)
        self._files.remove(
            [voice.file], lambda connection: connection.execute("DELETE FROM voices WHERE id = ?", (voice_id,))
        )

    def count_use(self, voice_ids: Iterable[str]) -> None:
        """One more request has spoken with these voices."""
        rows = [(time.time(), voice_id) for voice_id in voice_ids]
        with self._database.writing() as connection:
            connection.executemany("UPDATE voices SET uses = uses + 1, last_used_at = ? WHERE id = ?", rows)

    def _free_name(self, name: str, rename: bool) -> str:
        with self._database.reading() as connection:
            taken = {row["name_key"] for row in connection.execute("SELECT name_key FROM voices")}
        if len(taken) >= MAX_VOICES:
            raise SpeechError(
                f"The library has {len(taken)} voices already.", fix="Delete some first.", code="library_full"
            )
        if not rename and key_of(name) in taken:
            raise name_taken("voice", name)
        return free_name(name, taken)

    def _one(self, statement: str, *values: str) -> StoredVoice | None:
        with self._database.reading() as connection:
            row = connection.execute(statement, values).fetchone()
        return None if row is None else _voice(row)


def _read_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Columns and values."""
    unknown = [name for name in changes if name not in {"name", "default", *_READERS}]
    if unknown:
        raise SpeechError(f"field {unknown[0]!r:.40} is not known.", param=unknown[0], code="unknown_field")
    values: dict[str, Any] = {name: read(changes[name]) for name, read in _READERS.items() if name in changes}
    if "tags" in values:
        values["tags"] = json.dumps(values["tags"], ensure_ascii=False)
    if "name" in changes:
        values["name"] = read_name(changes["name"], "voice")
        values["name_key"] = key_of(values["name"])
    if "default" in changes:
        values["is_default"] = int(read_flag(changes["default"], "default"))
    return values


def _new(recording: VoiceRecording, digest: str, size_bytes: int, name: str, fields: Mapping[str, Any]) -> StoredVoice:
    return StoredVoice(
        id=digest[:_ID_DIGITS],
        digest=digest,
        file=f"{digest}.wav",
        name=name,
        tags=fields.get("tags", ()),
        language=fields.get("language", ""),
        consent=fields.get("consent", ""),
        is_default=False,
        uses=0,
        last_used_at=None,
        created_at=time.time(),
        duration_s=round(recording.duration_s, 3),
        sample_rate_hz=recording.sample_rate_hz,
        size_bytes=size_bytes,
        level_dbfs=recording.level_dbfs,
        peak_dbfs=recording.peak_dbfs,
        noise_dbfs=recording.noise_dbfs,
        findings=tuple(asdict(finding) for finding in recording.findings),
    )


def _insert(connection: sqlite3.Connection, voice: StoredVoice) -> None:
    values = {
        **asdict(voice),
        "name_key": key_of(voice.name),
        "is_default": int(voice.is_default),
        "tags": json.dumps(voice.tags, ensure_ascii=False),
        "findings": json.dumps(voice.findings, ensure_ascii=False),
    }
    names = ", ".join(values)
    connection.execute(f"INSERT INTO voices ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))


def _voice(row: sqlite3.Row) -> StoredVoice:
    values = {name: row[name] for name in row.keys() if name != "name_key"}  # noqa: SIM118 - a Row is no mapping
    values["tags"] = tuple(json.loads(values["tags"]))
    values["findings"] = tuple(json.loads(values["findings"]))
    values["is_default"] = bool(values["is_default"])
    return StoredVoice(**values)
