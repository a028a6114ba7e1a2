"""The end of the log, for a person who looks at the page.

Invariants: the log's writer has masked every secret already; only the last part of a file is read, whatever its size.
"""

from __future__ import annotations

from pathlib import Path

#: The newest file and the one before it (`launcher.process.logs` writes them).
_NAMES = ("launcher.log", "launcher.log.1")
_MAX_BYTES = 128 * 1024
_FIELDS = 4


def tail(folder: Path, count: int, *, level: str = "") -> list[dict[str, str]]:
    """The last lines, oldest first, as ``{"time", "level", "component", "text"}``.

    Args:
        folder: of the log.
        count: at most so many.
        level: only lines of this level; empty for all.
    """
    found: list[dict[str, str]] = []
    for name in _NAMES:
        found = [*(_read(folder / name, level)), *found]
        if len(found) >= count:
            break
    return found[-count:]


def _read(path: Path, level: str) -> list[dict[str, str]]:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _MAX_BYTES))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = (line.split(" ", _FIELDS - 1) for line in (lines[1:] if size > _MAX_BYTES else lines))
    return [
        {"time": row[0], "level": row[1], "component": row[2], "text": row[3]}
        for row in rows
        if len(row) == _FIELDS and (not level or row[1] == level)
    ]
