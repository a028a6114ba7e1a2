"""What a request for a job says: a file or a list of rows, and how they are to be spoken.

Invariant: everything is checked before a job is made, and what was given but is not known is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from launcher.errors import SpeechError
from webui.api.body import read_object
from webui.api.threads import in_slow_thread
from webui.jobs.fitting import MAX_TEMPO
from webui.jobs.formats import jsonl, read
from webui.jobs.formats.decoding import MAX_FILE_BYTES
from webui.jobs.formats.names import row_fields
from webui.jobs.records import JobRow
from webui.jobs.rows import MAX_GAP_S, MAX_ROWS, Reading, Row, make_row

#: Silence between two rows of the joined sound that say nothing about it, in seconds: a pause between sentences.
GAP_S = 0.5
MAX_TITLE_CHARS = 200
#: Of one field of a form; ``defaults`` may hold a glossary.
MAX_FIELD_BYTES = 256 * 1024
#: Smallest and largest ``max_tempo``.
TEMPO_RANGE = (1.0, 3.0)
_SETTINGS = ("title", "name", "format", "start", "gap_s", "max_tempo", "use_glossary", "defaults")


@dataclass(frozen=True)
class Wanted:
    """A job as somebody wants it.

    Attributes:
        title: shown to people.
        reading: rows and problems.
        options: see `webui.jobs.records.Job`.
        starts: whether it is spoken at once.
    """

    title: str
    reading: Reading
    options: Mapping[str, Any]
    starts: bool


async def wanted_job(request: Request, max_text_chars: int) -> Wanted:
    """A job from a request: a file in a form, a file as the body with its ``name`` behind the `?`, or a JSON object.

    Raises:
        SpeechError: naming what is wrong.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _from_form(request, max_text_chars)
    if "name" in request.query_params or "format" in request.query_params:
        given: dict[str, Any] = dict(request.query_params)
        settings = _read_settings(given, is_text=True)
        return await in_slow_thread(request, _from_file, await request.body(), settings, max_text_chars)
    body = await read_object(request)
    rows, content = body.pop("rows", None), body.pop("content", None)
    settings = _read_settings(body, is_text=False)
    if isinstance(content, str):
        return await in_slow_thread(request, _from_file, content.encode(), settings, max_text_chars)
    if not isinstance(rows, list):
        raise SpeechError(
            "There are neither rows nor content.",
            fix="Send rows (a list), content (a file's text), a form with a file, or a file as the body with ?name=.",
            param="rows",
        )
    return await in_slow_thread(request, from_rows, rows, settings, max_text_chars)


def from_rows(rows: list[Any], settings: Mapping[str, Any], max_text_chars: int) -> Wanted:
    """A job of rows as JSON holds them.

    Raises:
        SpeechError: when none can be used.
    """
    reading = Reading("rows", max_text_chars, settings["defaults"])
    if len(rows) > MAX_ROWS:
        raise SpeechError(f"There are {len(rows)} rows, more than {MAX_ROWS}.", fix="Make several jobs.", param="rows")
    for line, row in enumerate(rows, 1):
        jsonl.take(line, row, reading)
    return _wanted(settings["title"] or settings["name"], reading, settings)


def changed_row(old: JobRow, changes: object, max_text_chars: int) -> Row:
    """A row with other fields; ``null`` takes one away.

    Raises:
        SpeechError: when that is no row.
    """
    if not isinstance(changes, Mapping):
        raise SpeechError("The changes are no JSON object.", param="changes")
    fields, times = row_fields({**changes})
    merged = {**old.request, **fields}
    if "voice" in fields:
        merged.pop("reference", None)
    for name in (name for name, value in changes.items() if value is None):
        merged.pop(name, None)
    timing = {"name": old.name, "start_s": old.start_s, "end_s": old.end_s, "gap_s": old.gap_s}
    return make_row(0, merged, max_text_chars, **{**timing, **times})


async def _from_form(request: Request, max_text_chars: int) -> Wanted:
    """A job of a form's one file; the settings are its fields, or stand behind the `?`."""
    async with request.form(max_files=1, max_fields=len(_SETTINGS), max_part_size=MAX_FIELD_BYTES) as form:
        file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if file is None:
            raise SpeechError(
                "The form has no file.", fix="Send it as the part file: curl -F file=@list.csv", param="file"
            )
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        given: dict[str, Any] = {"name": file.filename or "", **request.query_params, **fields}
        data = await file.read(MAX_FILE_BYTES + 1)
    settings = _read_settings(given, is_text=True)
    return await in_slow_thread(request, _from_file, data, settings, max_text_chars)


def _from_file(data: bytes, settings: Mapping[str, Any], max_text_chars: int) -> Wanted:
    if len(data) > MAX_FILE_BYTES:
        raise SpeechError(
            f"The file has more than {MAX_FILE_BYTES} bytes.", fix="Split it.", param="file", http_status=413
        )
    name = settings["name"]
    reading = read(data, name, max_text_chars=max_text_chars, kind=settings["format"], defaults=settings["defaults"])
    return _wanted(settings["title"] or name, reading, settings)


def _wanted(title: str, reading: Reading, settings: Mapping[str, Any]) -> Wanted:
    if not reading.rows:
        told = "; ".join(f"line {problem.line}: {problem.message}" for problem in reading.problems[:3])
        raise SpeechError(
            f"No row of it can be used{': ' if told else '.'}{told}",
            fix=reading.problems[0].fix if reading.problems else "Give it something to say.",
            param="rows",
            code="no_rows",
        )
    options = {name: settings[name] for name in ("gap_s", "max_tempo", "use_glossary")}
    title = title[:MAX_TITLE_CHARS] or f"{reading.rows[0].fields['text']:.60}"
    return Wanted(title, reading, options, settings["start"])


def _read_settings(given: Mapping[str, Any], *, is_text: bool) -> dict[str, Any]:
    """The settings with their defaults; ``is_text``: values are text from an address."""
    unknown = [name for name in given if name not in _SETTINGS]
    if unknown:
        raise SpeechError(
            f"field {unknown[0]!r:.40} is not known.", fix=f"Known are {', '.join(_SETTINGS)}.", param=unknown[0]
        )
    settings: dict[str, Any] = {"title": "", "name": "", "format": "", "start": True, "defaults": {}}
    settings |= {"gap_s": GAP_S, "max_tempo": MAX_TEMPO, "use_glossary": True}
    settings |= {name: _from_text(name, value) if is_text else value for name, value in given.items()}
    for name in ("title", "name", "format"):
        if not isinstance(settings[name], str):
            raise SpeechError(f"{name}={settings[name]!r:.40} is not text.", param=name)
    for name in ("start", "use_glossary"):
        if not isinstance(settings[name], bool):
            raise SpeechError(f"{name}={settings[name]!r:.40} is neither true nor false.", param=name)
    for name, low, high in (("gap_s", 0.0, MAX_GAP_S), ("max_tempo", *TEMPO_RANGE)):
        value = settings[name]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise SpeechError(f"{name}={value!r:.40} is not a number from {low:g} to {high:g}.", param=name)
    if not isinstance(settings["defaults"], dict):
        raise SpeechError(f"defaults={settings['defaults']!r:.40} is no object.", param="defaults")
    settings["defaults"], timing = row_fields(settings["defaults"])
    if timing or "text" in settings["defaults"]:
        raise SpeechError("defaults hold what only a row can have.", fix="Leave it out.", param="defaults")
    return settings


def _from_text(name: str, text: str) -> object:
    if name in ("start", "use_glossary"):
        return {"yes": True, "true": True, "no": False, "false": False}.get(text, text)
    if name in ("gap_s", "max_tempo"):
        try:
            return float(text)
        except ValueError:
            return text
    if name == "defaults":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
