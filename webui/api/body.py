"""A request's JSON body, as an object or as one clear error.

Invariants: what comes out can be written as JSON again, and as UTF-8: no number that is none, and no half of a
surrogate pair, neither of which a database or an answer could hold.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.requests import Request

from launcher.errors import SpeechError


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; half a surrogate pair becomes U+FFFD.

    Raises:
        SpeechError: when it is anything else.
    """
    body = await request.body()
    try:
        text = body.decode(json.detect_encoding(body))
        value = json.loads(text, parse_constant=_no_number)
        if "\\ud" in text or "\\uD" in text:
            value = _whole(value)
    except (ValueError, RecursionError):
        raise SpeechError("The body is not JSON.", fix="Send a JSON object.", code="malformed_json") from None
    if not isinstance(value, dict):
        raise SpeechError("The body is JSON but no object.", fix="Send a JSON object.", code="malformed_json")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _whole(value: Any) -> Any:
    """The value with every text as characters that can be written."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
