"""Plain text: one row in each line that is not empty."""

from __future__ import annotations

from webui.jobs.rows import Reading


def read_rows(text: str, reading: Reading) -> None:
    """Reads every line."""
    for line, content in enumerate(text.split("\n"), 1):
        if content.strip():
            reading.add(line, {"text": content.strip()})
