"""The one place that prints: text for people, JSON for programs, the same facts in both.

Invariants: results go to standard output, everything else to standard error; with ``--json`` standard output holds
JSON and nothing else; a character that a terminal cannot show is escaped and never an error.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from launcher.cli.bars import ASCII_BLOCKS, BLOCKS, USUAL_WIDTH, bars, percent, plain
from launcher.errors import LauncherError, StorageError
from launcher.progress import Progress

#: Between two lines about one stage where there are no bars.
_PLAIN_EVERY_S = 2.0


class UnwritableError(StorageError):
    """Standard output or error takes nothing more."""


class Output:
    """Where a command's words go.

    Args:
        json: print JSON objects instead of text.
        stdout, stderr: text streams.
        stdin: where a person answers; ``None`` when nobody does.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        json: bool,
        stdout: TextIO,
        stderr: TextIO,
        stdin: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.json = json
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._bars = 0
        self._told = ("", 0)
        self._told_at = 0.0
        self._clock = clock

    @property
    def has_terminal(self) -> bool:
        """Whether a person watches progress as bars."""
        return not self.json and self._stderr.isatty()

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
        """How far a long step is, on standard error: bars in a terminal, elsewhere a line per stage and tenth of it."""
        if self.json:
            self._write(self._stderr, json.dumps({"progress": progress.to_json()}, ensure_ascii=False))
        elif self._stderr.isatty():
            lines = bars(progress, _width(self._stderr), _blocks(self._stderr))
            self._erase_bars()
            self._raw(self._stderr, "\n".join(lines))
            self._bars = len(lines)
        else:
            tenth = percent(progress) // 10 if progress.unit == "bytes" else 0
            soon = self._clock() - self._told_at < _PLAIN_EVERY_S and progress.stage == self._told[0]
            if (progress.stage, tenth) != self._told and not soon:
                self._told, self._told_at = (progress.stage, tenth), self._clock()
                self._write(self._stderr, plain(progress))

    def _write(self, stream: TextIO, text: str) -> None:
        self._erase_bars()
        self._raw(stream, f"{text}\n")

    def _erase_bars(self) -> None:
        """Takes the bars away; whatever comes stands where they began."""
        if self._bars:
            up = f"\x1b[{self._bars - 1}A" if self._bars > 1 else ""
            self._raw(self._stderr, f"\r{up}\x1b[J")
            self._bars = 0

    @staticmethod
    def _raw(stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(text.encode(encoding, errors="backslashreplace").decode(encoding))
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UnwritableError(
                f"What this command says cannot be written ({error.strerror or error}).",
                fix="Free some space where it goes, or send it elsewhere.",
            ) from None


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except (OSError, ValueError):
        return USUAL_WIDTH


def _blocks(stream: TextIO) -> str:
    try:
        BLOCKS.encode(stream.encoding or "utf-8")
    except UnicodeError:
        return ASCII_BLOCKS
    return BLOCKS
