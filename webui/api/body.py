"""A request's JSON body, as an object or as one clear error."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from launcher.errors import SpeechError


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        SpeechError: when it is anything else.
    """
    try:
        value = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise SpeechError("The body is not JSON.", fix="Send a JSON object.", code="malformed_json") from None
    if not isinstance(value, dict):
        raise SpeechError("The body is JSON but no object.", fix="Send a JSON object.", code="malformed_json")
    return value
