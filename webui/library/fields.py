"""What people type into the library: names, tags, notes; checked once, the same way everywhere.

Invariant: a text that passes is clean (NFC, one line where it must be, no control characters) and within its limit.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from launcher.errors import SpeechError

MAX_NAME_CHARS, MAX_NOTE_CHARS = 80, 1000
MAX_TAGS, MAX_TAG_CHARS = 20, 40
#: How much longer than its limit a text may come: blanks at its ends, line ends and marks of their own go.
_RAW_FACTOR = 4
#: A language as BCP 47 writes it, without its rarer parts.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def read_name(value: object, what: str) -> str:
    """The name of a voice or preset.

    Raises:
        SpeechError: when it is empty or too long.
    """
    name = read_line(value, "name", MAX_NAME_CHARS)
    if not name:
        raise SpeechError(f"The {what} has no name.", fix="Give it a name.", param="name", code="name_missing")
    return name


def read_line(value: object, param: str, max_chars: int) -> str:
    """A text of one line, without space at its ends."""
    return " ".join(read_note(value, param, max_chars).split())


def read_note(value: object, param: str, max_chars: int = MAX_NOTE_CHARS) -> str:
    """A text of several lines.

    Raises:
        SpeechError: when it is no text or too long.
    """
    if not isinstance(value, str):
        raise SpeechError(f"{param}={value!r:.40} is not text.", param=param)
    if len(value) > _RAW_FACTOR * max_chars:  # before it is normalised, which takes time quadratic in a run of marks
        raise _too_long(param, max_chars)
    text = unicodedata.normalize("NFC", value.encode("utf-8", "ignore").decode()).replace("\r\n", "\n")
    text = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc").strip()
    if len(text) > max_chars:
        raise _too_long(param, max_chars)
    return text


def _too_long(param: str, max_chars: int) -> SpeechError:
    return SpeechError(f"{param} is longer than {max_chars} characters.", param=param, code=f"{param}_too_long")


def read_tags(value: object) -> tuple[str, ...]:
    """Tags from a list, or from a text with commas; each once.

    Raises:
        SpeechError: when one is too long, or there are too many.
    """
    parts = re.split(r"[,，、]", value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise SpeechError(f"tags={value!r:.40} is no list of texts.", param="tags")
    tags = {tag.casefold(): tag for part in parts if (tag := read_line(part, "tags", MAX_TAG_CHARS))}
    if len(tags) > MAX_TAGS:
        raise SpeechError(f"There are {len(tags)} tags, more than {MAX_TAGS}.", param="tags")
    return tuple(tags.values())


def read_language(value: object) -> str:
    """A language's code, or empty.

    Raises:
        SpeechError: when it is neither.
    """
    language = read_line(value, "language", 20)
    if language and not _LANGUAGE.fullmatch(language):
        raise SpeechError(
            f"language={language!r} is no language code.", fix="Use zh, en, ja or the like.", param="language"
        )
    return language


def read_flag(value: object, param: str) -> bool:
    """True or false.

    Raises:
        SpeechError: when it is neither.
    """
    if not isinstance(value, bool):
        raise SpeechError(f"{param}={value!r:.40} is not true or false.", param=param)
    return value


def read_object(value: object, param: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        SpeechError: when it is anything else.
    """
    if not isinstance(value, dict):
        raise SpeechError(f"{param} is no JSON object.", param=param)
    return value


def key_of(name: str) -> str:
    """Two names with the same key are the same to a person."""
    return unicodedata.normalize("NFKC", name).casefold()


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or ``name (2)`` and so on, so that its key is not in ``taken``."""
    if key_of(name) not in taken:
        return name
    number = 2
    while key_of(f"{name[: MAX_NAME_CHARS - 6]} ({number})") in taken:
        number += 1
    return f"{name[: MAX_NAME_CHARS - 6]} ({number})"


def not_found(what: str, name: str) -> SpeechError:
    """The error for something that is not there."""
    return SpeechError(f"There is no {what} {name!r:.100}.", code=f"{what}_not_found", http_status=404)


def name_taken(what: str, name: str) -> SpeechError:
    """The error for a name that something else has."""
    return SpeechError(
        f"There is already a {what} {name!r}.",
        fix="Choose another name.",
        param="name",
        code="name_taken",
        http_status=409,
    )
