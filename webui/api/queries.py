"""What stands behind a `?`, and numbers in a path: read as what they should be, or refused by name."""

from __future__ import annotations

import math

from starlette.requests import Request

from launcher.errors import SpeechError

#: Of a number in a path; a database counts to 19.
_MAX_DIGITS = 15


def number(request: Request, name: str, *, low: float = 0.0, high: float = 1e12) -> float | None:
    """A number, or ``None`` when it is not given.

    Raises:
        SpeechError: when it is none or out of range.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise SpeechError(f"{name}={text!r:.40} is no number from {low:g} to {high:g}.", param=name)
    return value


def whole(request: Request, name: str, *, low: int = 0, high: int = 2**53) -> int | None:
    """A whole number, or ``None`` when it is not given.

    Raises:
        SpeechError: when it is none or out of range.
    """
    value = number(request, name, low=low, high=high)
    if value is not None and not value.is_integer():
        raise SpeechError(f"{name}={value:g} is no whole number.", param=name)
    return None if value is None else int(value)


def path_number(request: Request, name: str) -> int:
    """A number that is part of the path; one that no row can have is not there.

    Raises:
        SpeechError: when it is none.
    """
    text = str(request.path_params[name])
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise SpeechError(f"There is no {text!r:.40}.", code="not_found", http_status=404)
    return int(text)


def flag(request: Request, name: str) -> bool | None:
    """``yes`` or ``no``, or ``None`` when it is not given.

    Raises:
        SpeechError: when it is something else.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    if text not in ("yes", "no"):
        raise SpeechError(f"{name}={text!r:.40} is neither yes nor no.", param=name)
    return text == "yes"


def names(request: Request, name: str) -> tuple[str, ...] | None:
    """Names with commas between them, or ``None`` when none is given."""
    text = request.query_params.get(name)
    return tuple(filter(None, text.split(","))) if text is not None else None
