"""Tables: a first line of names, then a row in each, whatever separates the cells."""

from __future__ import annotations

import csv
import io

from launcher.errors import SpeechError
from webui.emotion import EMOTIONS
from webui.jobs.formats.names import CELLS, TIMING, number, our_name, row_fields
from webui.jobs.rows import Reading

DELIMITERS = (",", ";", "\t", "|")
#: A first line that is longer names no columns.
MAX_HEADER_CHARS = 20_000
_KNOWN = {*CELLS, *TIMING, *EMOTIONS, "silence_after_ms"}


def has_header(line: str) -> bool:
    """Whether a line names columns that we know, the text among them."""
    return "text" in _names(line, _delimiter(line))


def read_rows(text: str, reading: Reading) -> None:
    """Reads a table; one without names must have one column, the text."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = _delimiter(first)
    names = _names(first, delimiter)
    has_names = "text" in names
    if not has_names and len(names) > 1 and set(names) & _KNOWN:
        reading.wrong(1, "No column has the name text.", "Name the column with what to say: text")
        return
    if not has_names and len(names) > 1 and delimiter != ",":
        reading.wrong(1, "The first line does not name the columns.", "Begin with a line such as text,voice,emotion")
        return
    for name in (name for name in names if has_names and name and name not in _KNOWN):
        reading.wrong(1, f"Column {name!r:.40} is not known and was left out.", f"Known are {', '.join(CELLS)}.")
    if has_names:
        _read_named(text, delimiter, names, reading)
    else:
        _read_texts(text, reading)


def _read_named(text: str, delimiter: str, names: list[str], reading: Reading) -> None:
    # Strict: a quote that is never closed would otherwise swallow the rest of the file as one cell.
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    seen_names, line = False, 0
    while True:
        begun = line + 1
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            reading.wrong(begun, f"The table cannot be read from here on ({error}).", "Close every quote.")
            return
        line = table.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not seen_names:
            seen_names = True
            continue
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            reading.wrong(begun, f"There are {len(cells)} cells, {len(names)} names.", "Quote a text with separators.")
            continue
        _take(begun, dict(zip(names, cells, strict=False)), reading)


def _take(line: int, cells: dict[str, str], reading: Reading) -> None:
    try:
        given = {name: _value(name, cell) for name, cell in cells.items() if name in _KNOWN and cell.strip()}
        fields, timing = row_fields(given)
    except SpeechError as error:
        reading.wrong(line, error.message, error.fix)
    else:
        reading.add(line, fields, **timing)


def _value(name: str, cell: str) -> object:
    if name == "random_emotion":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            cell.strip().lower(), cell
        )
    return cell if name == "text" else number(name, cell.strip())


def _read_texts(text: str, reading: Reading) -> None:
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            reading.add(line, {"text": content.strip().strip('"')})


def _names(line: str, delimiter: str) -> list[str]:
    if len(line) > MAX_HEADER_CHARS:
        return []
    try:
        return [our_name(cell) for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _delimiter(line: str) -> str:
    """The separator that gives the most known names, then the most cells."""
    return max(DELIMITERS, key=lambda one: (len(set(_names(line, one)) & _KNOWN), len(_names(line, one)), one == ","))
