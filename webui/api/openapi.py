"""The OpenAPI document of the routes for programs.

Invariants: names, ranges and choices are those of the code that reads them; every route under ``/v1/`` is in it (a test
compares); an answer that may come from any route stands in one place.
"""

from __future__ import annotations

from webui.api.openai_request import MAX_CURVE_POINTS, STREAM_FORMATS
from webui.api.openapi_jobs import job_paths
from webui.api.openapi_parts import TEXT, Json, answers, json_answer, path_parameter
from webui.audio import MEDIA_TYPES
from webui.emotion import EMOTIONS
from webui.engine.request import (
    DURATION_RANGE,
    EMOTION_MODES,
    GENERATION_RANGES,
    MAX_EMOTION_TEXT_CHARS,
    MAX_GLOSSARY_TERMS,
    MAX_REDOS,
    MAX_REFERENCE_CHARS,
    QUALITIES,
    SPEED_RANGE,
)

_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}


def build_document(version: str, max_text_chars: int) -> Json:
    """The document.

    Args:
        version: of this program.
        max_text_chars: longest text.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tts-launcher",
            "version": version,
            "description": "OpenAI's speech API, with emotions, curves, cloned voices and seeds beside its fields.",
        },
        "paths": {
            **_speech_paths(max_text_chars),
            **_voice_paths(),
            **job_paths(_speech_schema(max_text_chars)),
            **_service_paths(),
        },
        "components": {
            "schemas": {"Emotion": _emotion(), "Error": _error()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _speech_paths(max_text_chars: int) -> Json:
    files = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()}
    spoken = {
        "description": "the speech, or events speech.audio.delta and speech.audio.done",
        "content": {**files, "text/event-stream": {"schema": TEXT}},
    }
    name = path_parameter("name", TEXT)
    return {
        "/v1/audio/speech": {
            "post": {
                "summary": "Speak",
                "operationId": "speak",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _speech_schema(max_text_chars)}},
                },
                "responses": answers(400, 404, 408, 413, 429, 500, s200=spoken),
            }
        },
        "/v1/models": {"get": {"summary": "Models", "responses": answers(s200=json_answer("the models"))}},
        "/v1/models/{name}": {
            "get": {
                "summary": "A model",
                "parameters": [name],
                "responses": answers(404, s200=json_answer("the model")),
            }
        },
        "/v1/audio/models": {
            "get": {"summary": "Models, as chat programs ask", "responses": answers(s200=json_answer("the models"))}
        },
    }


def _voice_paths() -> Json:
    form = {
        "type": "object",
        "required": ["name", "audio_sample"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 80},
            "audio_sample": {"type": "string", "format": "binary"},
            "consent": {**TEXT, "description": "whose voice it is, and who agreed to what"},
            "language": TEXT,
        },
    }
    voice_id = path_parameter("id", TEXT)
    return {
        "/v1/audio/voices": {
            "get": {"summary": "Voices", "responses": answers(s200=json_answer("engine's and library's voices"))},
            "post": {
                "summary": "Add a voice from a recording",
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
                "responses": answers(
                    400, 408, 409, 413, 507, s200=json_answer("it was there already"), s201=json_answer("the voice")
                ),
            },
        },
        "/v1/audio/voices/{id}": {
            "get": {
                "summary": "A voice of the library",
                "parameters": [voice_id],
                "responses": answers(404, s200=json_answer("the voice")),
            },
            "delete": {
                "summary": "Delete a voice of the library",
                "parameters": [voice_id],
                "responses": answers(400, 404, s200=json_answer("that it is deleted")),
            },
        },
    }


def _service_paths() -> Json:
    plain = {"description": "the process answers", "content": {"text/plain": {"schema": TEXT}}}
    return {
        "/healthz": {"get": {"summary": "Whether it answers", "responses": {"200": plain}, "security": []}},
        "/readyz": {"get": {"summary": "Whether it speaks", "responses": answers(s200=json_answer("it does"))}},
        "/api/status": {"get": {"summary": "What runs", "responses": answers(s200=json_answer("the snapshot"))}},
        "/api/info": {"get": {"summary": "What the engine can", "responses": answers(s200=json_answer("EngineInfo"))}},
    }


def _speech_schema(max_text_chars: int) -> Json:
    voice_object = {"type": "object", "required": ["id"], "properties": {"id": TEXT}}
    low, high = SPEED_RANGE
    return {
        "type": "object",
        "required": ["input"],
        "properties": {
            "model": {**TEXT, "description": "the engine's name, tts-launcher, or a name of OpenAI's"},
            "input": {"type": "string", "minLength": 1, "maxLength": max_text_chars},
            "voice": {"anyOf": [TEXT, voice_object]},
            "response_format": {"enum": list(MEDIA_TYPES), "default": "mp3"},
            "stream_format": {"enum": list(STREAM_FORMATS)},
            "speed": {"type": "number", "minimum": low, "maximum": high},
            "instructions": TEXT,
            **_own_fields(),
        },
    }


def _own_fields() -> Json:
    point = {
        "type": "object",
        "required": ["at"],
        "properties": {"at": _SHARE, "emotion": {"$ref": "#/components/schemas/Emotion"}},
    }
    generation = {
        name: {"type": "number", "minimum": low, "maximum": high} for name, (low, high) in GENERATION_RANGES.items()
    }
    low, high = DURATION_RANGE
    return {
        "engine": {**TEXT, "description": "auto, or the loaded engine's name"},
        "emotion": {"$ref": "#/components/schemas/Emotion"},
        "emotion_curve": {"type": "array", "minItems": 1, "maxItems": MAX_CURVE_POINTS, "items": point},
        "intensity": _SHARE,
        "language": TEXT,
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        "reference": {"type": "string", "maxLength": MAX_REFERENCE_CHARS},
        "emotion_mode": {"enum": list(EMOTION_MODES)},
        "emotion_reference": {"type": "string", "maxLength": MAX_REFERENCE_CHARS},
        "emotion_text": {"type": "string", "maxLength": MAX_EMOTION_TEXT_CHARS},
        "random_emotion": {"type": "boolean"},
        "duration_factor": {"type": "number", "minimum": low, "maximum": high},
        "glossary": {"type": "object", "maxProperties": MAX_GLOSSARY_TERMS, "additionalProperties": TEXT},
        "generation": {"type": "object", "properties": generation, "additionalProperties": False},
        "markup": {"type": "boolean", "description": "whether tags in the input are followed"},
        "quality": {"enum": list(QUALITIES), "description": "what is done about segments that sound wrong"},
        "redos": {"type": "integer", "minimum": 0, "maximum": MAX_REDOS},
        "use_glossary": {"type": "boolean"},
        "keep": {"type": "boolean"},
    }


def _emotion() -> Json:
    numbers = {"type": "array", "items": _SHARE, "minItems": len(EMOTIONS), "maxItems": len(EMOTIONS)}
    names = {"type": "object", "properties": dict.fromkeys(EMOTIONS, _SHARE), "additionalProperties": False}
    return {"anyOf": [names, numbers]}


def _error() -> Json:
    error = {
        "type": "object",
        "properties": {
            "message": TEXT,
            "type": TEXT,
            "param": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
        },
    }
    return {"type": "object", "properties": {"error": error}}
