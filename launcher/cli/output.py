"""The one place that prints: text for people, JSON for programs, the same facts in both.

Invariants: results go to standard output, everything else to standard error; with ``--json`` standard output holds
JSON and nothing else; a character that a terminal cannot show is escaped and never an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from launcher.errors import LauncherError
from launcher.progress import Progress

_BYTES_PER_MB = 1_000_000


class Output:
    """Where a command's words go.

    Args:
        json: print JSON objects instead of text.
        stdout, stderr: text streams.
        stdin: where a person answers; ``None`` when nobody does.
    """

    def __init__(self, *, json: bool, stdout: TextIO, stderr: TextIO, stdin: TextIO | None = None) -> None:
        self.json = json
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._progress_shown = ""

    def result(self, data: dict[str, Any], text: str | Callable[[], str]) -> None:
        """The command's answer: ``data`` as JSON, or ``text`` (built only when it is needed)."""
        if self.json:
            self._write(self._stdout, json.dumps(data, ensure_ascii=False))
        else:
            self._write(self._stdout, text if isinstance(text, str) else text())

    def line(self, text: str) -> None:
        """One line of text on standard output (log lines); with ``--json`` as ``{"line": ...}``."""
        self._write(self._stdout, json.dumps({"line": text}, ensure_ascii=False) if self.json else text)

    def note(self, text: str) -> None:
        """A remark for the person, on standard error."""
        self._write(self._stderr, text)

    def warnings(self, warnings: Iterable[str]) -> None:
        """One ``Warning: ...`` each, on standard error."""
        for warning in warnings:
            self.note(f"Warning: {warning}")

    def error(self, error: LauncherError) -> None:
        """What went wrong and what to do, on standard error; with ``--json`` also as the object on standard output."""
        if self.json:
            body = {"message": error.message, "fix": error.fix, "exit_code": error.exit_code}
            self._write(self._stdout, json.dumps({"error": body}, ensure_ascii=False))
            return
        self._write(self._stderr, "\n".join(f"Error: {line}" for line in str(error).splitlines()))

    def confirm(self, question: str) -> bool:
        """Asks a person; only ``y`` or ``yes`` is yes, and where nobody can answer it is no.

        Nobody can with ``--json``, or when standard input is no terminal.
        """
        if self.json or self._stdin is None or not self._stdin.isatty():
            return False
        self._raw(self._stderr, f"{question} [y/N] ")
        return self._stdin.readline().strip().lower() in ("y", "yes")

    def progress(self, progress: Progress) -> None:
        """How far a long step is, on standard error: redrawn in a terminal, a line per stage elsewhere."""
        if self.json:
            self._write(self._stderr, json.dumps({"progress": progress.to_json()}, ensure_ascii=False))
            return
        if self._stderr.isatty():
            self._raw(self._stderr, f"\r\x1b[K{_progress_text(progress)}")
            self._progress_shown = progress.stage
        elif progress.stage != self._progress_shown:
            self._progress_shown = progress.stage
            self._write(self._stderr, _progress_text(progress))

    def _write(self, stream: TextIO, text: str) -> None:
        if self._progress_shown and self._stderr.isatty():
            self._raw(self._stderr, "\r\x1b[K")
            self._progress_shown = ""
        self._raw(stream, f"{text}\n")

    @staticmethod
    def _raw(stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, errors="backslashreplace").decode(encoding))
        stream.flush()


def _progress_text(progress: Progress) -> str:
    parts = [progress.stage]
    if progress.total:
        parts.append(f"{100 * min(progress.done / progress.total, 1.0):.0f} %")
    if progress.unit == "bytes" and progress.rate_per_s:
        parts.append(f"{progress.rate_per_s / _BYTES_PER_MB:.1f} MB/s")
    if progress.eta_s is not None:
        parts.append(f"{progress.eta_s:.0f} s left")
    return "  ".join(parts)
