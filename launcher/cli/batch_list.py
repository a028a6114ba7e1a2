"""A list of rows before it is sent: what it names on this computer goes along.

Invariants: only files that the list names are read, and only where they can be of use; a list that names none is sent
as it is, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from launcher.cli.speech_source import RunningInstance
from launcher.errors import LauncherError, StorageError

#: Fields of a row that may name a recording: ours and those of the official command line's list.
_RECORDINGS = ("voice", "reference", "ref_audio", "emotion_audio", "emotion_reference")
_ENDINGS = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif"}
_LISTS = {".jsonl", ".ndjson"}
#: Longest text file of one row, and largest recording: those of the server.
_MAX_TEXT_BYTES, _MAX_RECORDING_BYTES = 4 * 1024 * 1024, 200 * 1024 * 1024


def read_file(path: Path) -> bytes:
    """The whole of it.

    Raises:
        StorageError: when it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.", fix="Give the name of a file.") from None


def with_its_files(data: bytes, path: Path, instance: RunningInstance) -> bytes:
    """The list with the texts that it names, and with recordings that it names as voices of the instance.

    Args:
        data: the list.
        path: where it lies; what it names is looked for beside it.
        instance: gets the recordings, if its engine can clone.

    Raises:
        LauncherError: when a recording is refused.
    """
    if path.suffix.lower() not in _LISTS:
        return data
    try:
        lines = data.decode("utf-8-sig").split("\n")  # not splitlines: a text may hold U+2028
    except UnicodeDecodeError:
        return data  # whatever it is, the server says so
    clones, voices, changed = None, dict[Path, str](), []
    for line in lines:
        row = _object(line)
        if row is None:
            changed.append(line)
            continue
        _take_text(row, path.parent)
        for name, recording in _recordings(row, path.parent):
            if clones is None:
                clones = _clones(instance)
            if clones:
                if recording not in voices:
                    voices[recording] = _sent(recording, instance)
                row[name] = voices[recording]
        changed.append(json.dumps(row, ensure_ascii=False))
    return "\n".join(changed).encode()


def _object(line: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None


def _take_text(row: dict[str, Any], folder: Path) -> None:
    name = row.get("text_file")
    if not isinstance(name, str) or "text" in row:
        return
    path = folder / name
    with contextlib.suppress(OSError, ValueError):  # not there, not UTF-8, no name at all
        if path.stat().st_size <= _MAX_TEXT_BYTES:
            row["text"] = path.read_text(encoding="utf-8-sig")
            del row["text_file"]


def _recordings(row: dict[str, Any], folder: Path) -> Iterator[tuple[str, Path]]:
    for name in _RECORDINGS:
        value = row.get(name)
        if isinstance(value, str) and Path(value).suffix.lower() in _ENDINGS:
            with contextlib.suppress(OSError, ValueError):
                path = (folder / value).resolve()
                if path.is_file() and path.stat().st_size <= _MAX_RECORDING_BYTES:
                    yield name, path


def _clones(instance: RunningInstance) -> bool:
    with contextlib.closing(instance.ask("GET", "/api/info")) as answer:
        return answer.status == 200 and "clone" in (answer.json().get("capabilities") or [])


def _sent(recording: Path, instance: RunningInstance) -> str:
    """The id under which the instance keeps a recording; it knows one that it has by its content."""
    data = read_file(recording)
    error: LauncherError | None = None
    # Another recording may have the name already; then a part of the content's digest tells them apart.
    for name in (recording.stem, f"{recording.stem} {hashlib.sha256(data).hexdigest()[:6]}"):
        query = urlencode({"name": name, "consent": f"sent with a batch: {recording.name}"})
        with contextlib.closing(instance.ask("POST", f"/api/voices?{query}", data)) as answer:
            if answer.status in (200, 201):
                return str(answer.json()["id"])
            error = answer.error()
            if answer.status != 409:
                break
    assert error is not None
    raise error
