"""Files of rows: which kind one is, and what it holds.

Invariants: `read` takes any bytes; it gives rows that can be spoken and a list of what was wrong, or one clear error;
its time is linear in the file, and nothing that a file names is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from launcher.errors import SpeechError
from webui.jobs.formats import csv_table, jsonl, markdown, plain, subtitles
from webui.jobs.formats.decoding import decode
from webui.jobs.rows import MAX_ROWS, Reading, TooManyRowsError

READERS = {
    "jsonl": jsonl.read_rows,
    "csv": csv_table.read_rows,
    "txt": plain.read_rows,
    "markdown": markdown.read_rows,
    "srt": subtitles.read_rows,
    "vtt": subtitles.read_rows,
}
_ENDINGS = {
    **{".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "txt"},
    **{".md": "markdown", ".markdown": "markdown", ".srt": "srt", ".vtt": "vtt"},
}


def read(
    data: bytes, name: str, *, max_text_chars: int, kind: str = "", defaults: Mapping[str, Any] | None = None
) -> Reading:
    """The rows of a file.

    Args:
        data: its content.
        name: its name, whose ending says which kind it is.
        max_text_chars: longest text of a row.
        kind: one of `READERS`, when the name does not say.
        defaults: fields for rows that do not give them.

    Raises:
        SpeechError: when it is no text, or of no known kind.
    """
    text, _encoding = decode(data)
    kind = kind or _ENDINGS.get(PurePath(name).suffix.lower(), "") or guess(text)
    if kind not in READERS:
        raise SpeechError(f"format={kind!r:.40} is not known.", fix=f"Use one of {', '.join(READERS)}.", param="format")
    reading = Reading(kind, max_text_chars, defaults or {})
    try:
        READERS[kind](text, reading)
    except TooManyRowsError:
        reading.wrong(0, f"There are more than {MAX_ROWS} rows; those after are left out.", "Split the file.")
    return reading


def guess(text: str) -> str:
    """The kind of a text that has no name, by its beginning."""
    lines = [line.strip() for line in text[:4000].split("\n") if line.strip()] or [""]
    signs = {
        "vtt": lines[0].startswith("WEBVTT"),
        "srt": any(subtitles.is_timing(line) for line in lines[:3]),
        "jsonl": lines[0].startswith(("{", "[{")) or lines[0] == "[",
        "csv": csv_table.has_header(lines[0]),
        "markdown": any(line.startswith(("# ", "## ", "```")) for line in lines[:20]),
    }
    return next((kind for kind, is_there in signs.items() if is_there), "txt")
