"""Presets: the page's whole state under a name, as somebody left it.

Invariants: a state is a JSON object whose ``request`` is a body for ``POST /api/speak`` that was checked when it was
saved, as far as a `SpeechRequest` has its fields; it names voices by id, never a path on this machine; everything
else in it is the page's own affair.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from launcher.errors import SpeechError
from webui.engine.base import SpeechRequest
from webui.library.archives import bad_archive
from webui.library.database import Database
from webui.library.fields import free_name, key_of, name_taken, not_found, read_name, read_object

FORMAT, VERSION = "tts-launcher-preset", 1
MAX_PRESETS, MAX_STATE_BYTES = 1000, 256 * 1024
#: Stands in for the text of a request that has none, so that the rest can be checked.
_SOME_TEXT = "-"
_KNOWN = frozenset(item.name for item in fields(SpeechRequest))


@dataclass(frozen=True)
class Preset:
    """A stored state.

    Attributes:
        state: ``{"request": {...}, ...}``.
        has_text: whether the request carries a text.
    """

    id: str
    name: str
    created_at: float
    updated_at: float
    has_text: bool
    state: Mapping[str, Any]

    def to_json(self, *, with_state: bool = True) -> dict[str, Any]:
        """The preset as the API shows it."""
        data = asdict(self)
        if not with_state:
            del data["state"]
        return data

    def to_file(self, *, with_text: bool) -> str:
        """The preset as a file to give on."""
        state = dict(self.state)
        if not with_text and isinstance(state.get("request"), dict):
            state["request"] = {name: value for name, value in state["request"].items() if name != "text"}
        return json.dumps(
            {"format": FORMAT, "version": VERSION, "name": self.name, "state": state}, ensure_ascii=False, indent=1
        )


class PresetStore:
    """The presets of one library.

    Args:
        database: where their rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Preset]:
        """Every preset, by name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM presets ORDER BY name_key").fetchall()
        return [_preset(row) for row in rows]

    def get(self, preset_id: str) -> Preset:
        """One preset.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM presets WHERE id = ?", (preset_id,)).fetchone()
        if row is None:
            raise not_found("preset", preset_id)
        return _preset(row)

    def add(self, name: object, state: object, *, rename: bool = False) -> Preset:
        """Keeps a state under a new name.

        Args:
            name: of the preset.
            state: of the page.
            rename: whether a name that is taken gets a number instead of an error.

        Raises:
            SpeechError: when one of them is wrong, or the name is taken.
        """
        checked_name, checked_state = read_name(name, "preset"), check_state(state)
        with self._database.alone():
            taken = {key_of(preset.name) for preset in self.all()}
            if len(taken) >= MAX_PRESETS:
                raise SpeechError(f"There are {len(taken)} presets already.", fix="Delete some first.")
            if not rename and key_of(checked_name) in taken:
                raise name_taken("preset", checked_name)
            checked_name, now = free_name(checked_name, taken), time.time()
            preset = Preset(uuid.uuid4().hex[:16], checked_name, now, now, _has_text(checked_state), checked_state)
            values = {**asdict(preset), "name_key": key_of(preset.name), "state": _written(checked_state)}
            with self._database.writing() as connection:
                connection.execute(
                    f"INSERT INTO presets ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                    tuple(values.values()),
                )
        return preset

    def change(self, preset_id: str, changes: Mapping[str, Any]) -> Preset:
        """Sets ``name``, ``state`` or both.

        Raises:
            SpeechError: when there is no such preset, one of them is wrong, or the name is taken.
        """
        unknown = [name for name in changes if name not in {"name", "state"}]
        if unknown:
            raise SpeechError(f"field {unknown[0]!r:.40} is not known.", param=unknown[0], code="unknown_field")
        values: dict[str, Any] = {"updated_at": time.time()}
        if "name" in changes:
            values["name"] = read_name(changes["name"], "preset")
            values["name_key"] = key_of(values["name"])
        if "state" in changes:
            state = check_state(changes["state"])
            values |= {"state": _written(state), "has_text": int(_has_text(state))}
        settings = ", ".join(f"{column} = ?" for column in values)
        try:
            with self._database.writing() as connection:
                connection.execute(f"UPDATE presets SET {settings} WHERE id = ?", (*values.values(), preset_id))
        except sqlite3.IntegrityError:
            raise name_taken("preset", str(values.get("name"))) from None
        return self.get(preset_id)

    def remove(self, preset_id: str) -> None:
        """Deletes a preset.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM presets WHERE id = ?", (preset_id,)).rowcount:
                raise not_found("preset", preset_id)


def check_state(state: object) -> dict[str, Any]:
    """The state, when it can be kept.

    Raises:
        SpeechError: when it is no object, too large, or its request is wrong or names a file.
    """
    checked = read_object(state, "state")
    if _size_bytes(checked) > MAX_STATE_BYTES:
        raise SpeechError(f"The state is larger than {MAX_STATE_BYTES // 1024} KiB.", param="state")
    request = read_object(checked.get("request", {}), "state.request")
    known = {name: value for name, value in request.items() if name in _KNOWN}
    SpeechRequest.from_json({**known, "text": request.get("text") or _SOME_TEXT})
    for name in ("reference", "emotion_reference"):
        if any(separator in str(request.get(name, "")) for separator in "/\\"):
            raise SpeechError(
                f"state.request.{name} is a file on this machine.",
                fix="Add the recording to the voices, and name the voice.",
                param=name,
                code="path_in_preset",
            )
    return checked


def read_preset_file(data: Any) -> tuple[str, Any]:
    """Name and state from what `Preset.to_file` wrote.

    Raises:
        SpeechError: when it is something else.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise bad_archive("The file holds no preset of this program.")
    if data.get("version") != VERSION:
        raise bad_archive(f"The preset's version {data.get('version')!r:.20} is not known.")
    return str(data.get("name", "")), data.get("state")


def _size_bytes(state: Mapping[str, Any]) -> int:
    try:
        return len(_written(state).encode())
    except UnicodeEncodeError as error:
        raise SpeechError("There is half a character in the state.", param="state") from error


def _written(state: Mapping[str, Any]) -> str:
    try:
        return json.dumps(state, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise SpeechError("The state is nothing that JSON can hold.", param="state") from error


def _has_text(state: Mapping[str, Any]) -> bool:
    return bool(state.get("request", {}).get("text"))


def _preset(row: sqlite3.Row) -> Preset:
    return Preset(
        row["id"], row["name"], row["created_at"], row["updated_at"], bool(row["has_text"]), json.loads(row["state"])
    )
