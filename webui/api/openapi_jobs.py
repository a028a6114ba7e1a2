"""The part of the OpenAPI document about long work: many inputs in one request, and jobs.

Invariant: names and limits are those of the code that reads them.
"""

from __future__ import annotations

from typing import Any

from webui.api.openai_batch import MAX_ITEMS
from webui.api.openapi_parts import JSON_BODY, TEXT, Json, answers, json_answer, path_parameter
from webui.audio import MEDIA_TYPES
from webui.jobs.formats import READERS
from webui.jobs.records import ROW_STATES
from webui.jobs.rows import MAX_GAP_S

_ACTIONS = ("pause", "resume", "cancel", "retry")
_ID = path_parameter("id", TEXT)
_POSITION = path_parameter("position", {"type": "integer", "minimum": 1})
_JOB: Json = {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"type": "object"}},
        "content": {**TEXT, "description": "a whole file, in place of rows"},
        "name": {**TEXT, "description": "of that file: its ending says what it is"},
        "title": TEXT,
        "start": {"type": "boolean"},
        "defaults": {"type": "object"},
    },
}
_FORMAT = {"name": "format", "in": "query", "schema": {"enum": list(MEDIA_TYPES)}}


def job_paths(speech_schema: Json) -> Json:
    """The paths.

    Args:
        speech_schema: of the body of `POST /v1/audio/speech`.
    """
    item = {"anyOf": [TEXT, {"type": "object", "required": ["input"], "properties": speech_schema["properties"]}]}
    batch = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": item},
            "response_format": {"enum": list(MEDIA_TYPES)},
            "background": {"type": "boolean"},
            "title": TEXT,
        },
    }
    return {
        "/v1/audio/speech/batch": {
            "post": {
                "summary": "Speak many inputs",
                "requestBody": {"required": True, "content": {JSON_BODY: {"schema": batch}}},
                "responses": answers(400, 413, 429, 507, s200=json_answer("results"), s202=json_answer("the job")),
            }
        },
        "/v1/jobs": {
            "get": {"summary": "Jobs, the newest first", "responses": answers(400, s200=json_answer("jobs"))},
            "post": {
                "summary": "Make a job",
                "requestBody": {
                    "required": True,
                    "content": {JSON_BODY: {"schema": _JOB}, "multipart/form-data": {"schema": _form()}},
                },
                "responses": answers(400, 413, 507, s201=json_answer("the job")),
            },
        },
        **_one_job(),
        **_rows(),
        **_results(),
    }


def _form() -> Json:
    """A file with a job's settings, as browsers and curl send it."""
    yes_or_no = {"enum": ["yes", "no"]}
    number = {"type": "number", "minimum": 0}
    return {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            **{"format": {"enum": list(READERS)}, "title": TEXT, "start": yes_or_no, "use_glossary": yes_or_no},
            **{"gap_s": {**number, "maximum": MAX_GAP_S}, "max_tempo": {**number, "minimum": 1, "maximum": 3}},
            "defaults": {**TEXT, "description": "a JSON object of fields"},
        },
    }


def _one_job() -> Json:
    events = {"description": "server-sent events", "content": {"text/event-stream": {"schema": TEXT}}}
    action = path_parameter("action", {"enum": list(_ACTIONS)})
    return {
        "/v1/jobs/{id}": {
            "get": _asked("A job", answers(404, s200=json_answer("the job")), _ID),
            "delete": _asked("Delete a job and its files", answers(404, s200=json_answer("that it is gone")), _ID),
        },
        "/v1/jobs/{id}/events": {"get": _asked("Its progress", answers(404, s200=events), _ID)},
        "/v1/jobs/{id}/{action}": {
            "post": _asked(
                "Pause, resume or cancel it, or retry what failed",
                answers(404, s200=json_answer("the job")),
                _ID,
                action,
            )
        },
    }


def _rows() -> Json:
    state = {"name": "state", "in": "query", "schema": {"enum": list(ROW_STATES)}}
    row = "/v1/jobs/{id}/rows/{position}"
    change = _asked("Change a row", answers(400, 404, s200=json_answer("the row")), _ID, _POSITION)
    change["requestBody"] = {"required": True, "content": {JSON_BODY: {"schema": {"type": "object"}}}}
    return {
        "/v1/jobs/{id}/rows": {"get": _asked("Its rows", answers(400, 404, s200=json_answer("rows")), _ID, state)},
        row: {
            "get": _asked("A row", answers(404, s200=json_answer("the row")), _ID, _POSITION),
            "patch": change,
        },
        f"{row}/retry": {
            "post": _asked("Speak it again", answers(400, 404, s200=json_answer("the row")), _ID, _POSITION)
        },
        f"{row}/audio": {"get": _asked("Its sound", answers(400, 404, s200=_file()), _ID, _POSITION, _FORMAT)},
    }


def _results() -> Json:
    return {
        "/v1/jobs/{id}/zip": {"get": _asked("Every file", answers(400, 404, s200=_file()), _ID, _FORMAT)},
        "/v1/jobs/{id}/joined": {"get": _asked("One file", answers(400, 404, s200=_file()), _ID, _FORMAT)},
        "/v1/jobs/{id}/subtitles": {"get": _asked("Subtitles", answers(400, 404, s200=_file()), _ID)},
    }


def _asked(summary: str, responses: Json, *parameters: Any) -> Json:
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


def _file() -> Json:
    return {"description": "the file", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
