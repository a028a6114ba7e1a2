"""Pieces of the OpenAPI document that every part of it uses."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
JSON_BODY = "application/json"


def path_parameter(name: str, schema: Json) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def answers(*statuses: int, **good: Any) -> Json:
    """The answers of a route: those that are good, and errors."""
    meanings = {
        400: "a field is wrong",
        401: "the token is missing or wrong",
        403: "a page of another site asks",
        404: "there is no such thing",
        408: "the body came too slowly",
        409: "the name is taken",
        413: "the body is too large",
        421: "another host's name",
        429: "too many requests wait, or came within a minute",
        500: "something went wrong here",
        503: "the engine loads; Retry-After says how long",
        507: "the disk is full; nothing was changed",
    }
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    errors = {
        str(status): {"description": meanings[status], "content": body} for status in (401, 403, 421, 503, *statuses)
    }
    return {**{name.removeprefix("s"): value for name, value in good.items()}, **errors}


def json_answer(description: str, schema: Json | None = None) -> Json:
    """A good answer with JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema or {"type": "object"}}}}
