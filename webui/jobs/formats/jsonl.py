"""JSON: one object in each line, or one list of objects; also the official command line's batch file as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from launcher.errors import SpeechError
from webui.jobs.formats.names import row_fields
from webui.jobs.rows import Reading


def read_rows(text: str, reading: Reading) -> None:
    """Reads every line, or the one list."""
    for line, value in _values(text, reading):
        take(line, value, reading)


def take(line: int, value: object, reading: Reading) -> None:
    """Takes one row: an object, or a text alone."""
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, Mapping):
        reading.wrong(line, "This is no JSON object.", 'Write {"text": "..."} in each line.')
        return
    if "text_file" in value:
        reading.wrong(
            line,
            "text_file names a file on your computer, which nobody here can read.",
            "Give text, or send the list with: tts-launcher batch FILE",
        )
        return
    try:
        fields, timing = row_fields(value)
    except SpeechError as error:
        reading.wrong(line, error.message, error.fix)
    else:
        reading.add(line, fields, **timing)


def _values(text: str, reading: Reading) -> Iterator[tuple[int, object]]:
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            pass  # then it may be one list in each line, each of which is told
        else:
            if isinstance(whole, list):
                yield from enumerate(whole, 1)
                return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or too large"
            reading.wrong(number, f"This line is not JSON ({reason}).", 'Write {"text": "..."} in each line.')
        else:
            yield number, value
