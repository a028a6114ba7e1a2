"""Jobs and rows as the store gives them: values, and how they are shown.

Invariant: the state of a job follows from what somebody wishes and from its rows' states, so the two cannot disagree.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROW_STATES = ("queued", "running", "done", "failed", "cancelled")


@dataclass(frozen=True)
class Job:
    """A list of rows that are spoken one by one.

    Attributes:
        id: of the job.
        number: in order of making.
        created_at: seconds since 1970.
        title: shown to people; a file's name.
        kind: of the file, see `webui.jobs.formats`; ``rows`` when it was none.
        wish: ``go``, ``pause`` or ``cancel``.
        note: why it pauses by itself: a sentence and a fix; empty otherwise.
        options: ``gap_s``, ``max_tempo``, ``use_glossary``.
        problems: of the file's lines; ``problem_count``: all of them.
        counts: rows by state.
        audio_s: speech so far; ``synthesis_s``: what it took.
        chars_done, chars_left: of the texts.
        size_bytes: of its results.
    """

    id: str
    number: int
    created_at: float
    title: str
    kind: str
    wish: str
    note: str
    options: Mapping[str, Any]
    problems: tuple[Mapping[str, Any], ...]
    problem_count: int
    counts: Mapping[str, int] = field(default_factory=dict)
    audio_s: float = 0.0
    synthesis_s: float = 0.0
    chars_done: int = 0
    chars_left: int = 0
    size_bytes: int = 0
    overruns: int = 0
    changed: int = 0

    @property
    def total(self) -> int:
        """Rows."""
        return sum(self.counts.values())

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``paused``, ``cancelled``, ``done`` or ``failed`` (some row is)."""
        running, queued = self.counts.get("running", 0), self.counts.get("queued", 0)
        if queued and self.wish == "pause":
            return "paused"
        if running:
            return "running"
        if queued:
            return "running" if self.counts.get("done", 0) + self.counts.get("failed", 0) else "queued"
        if self.wish == "cancel" and self.counts.get("cancelled", 0):
            return "cancelled"
        return "failed" if self.counts.get("failed", 0) else "done"

    def to_json(self, width: int = 1) -> dict[str, Any]:
        """The job for programs and for the page; ``width``: rows that are spoken at once."""
        eta_s = None
        if self.chars_left and self.chars_done and self.state in ("running", "queued"):
            eta_s = round(self.synthesis_s / self.chars_done * self.chars_left / max(width, 1), 1)
        note = json.loads(self.note) if self.note else None
        return {
            **{"id": self.id, "object": "speech.job", "created_at": self.created_at, "title": self.title},
            **{"format": self.kind, "state": self.state, "note": note, "options": dict(self.options)},
            "counts": {"total": self.total, **{state: self.counts.get(state, 0) for state in ROW_STATES}},
            **{"problems": list(self.problems), "problem_count": self.problem_count, "overruns": self.overruns},
            **{"audio_s": round(self.audio_s, 3), "size_bytes": self.size_bytes, "eta_s": eta_s},
        }


@dataclass(frozen=True)
class JobRow:
    """A row of a job.

    Attributes:
        job: the job's id.
        position: from 1.
        line: in its file.
        name: as the file gave it, made safe; may be empty.
        request: a `SpeechRequest`'s object.
        state: one of `ROW_STATES`.
        attempts: how often it was begun.
        message, fix: why it failed.
        file: of its sound; empty when there is none.
        samples, sample_rate_hz: of its sound.
        fit: how it was fitted to its times, see `webui.jobs.fitting`; ``findings``: what is suspicious about it.
        changed: larger after every change.
    """

    job: str
    position: int
    line: int
    name: str
    request: Mapping[str, Any]
    state: str
    attempts: int = 0
    message: str = ""
    fix: str = ""
    file: str = ""
    samples: int = 0
    sample_rate_hz: int = 0
    size_bytes: int = 0
    synthesis_s: float = 0.0
    seed: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    gap_s: float | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)
    changed: int = 0

    @property
    def audio_s(self) -> float:
        """Seconds of its sound."""
        return self.samples / self.sample_rate_hz if self.sample_rate_hz else 0.0

    def to_json(self) -> dict[str, Any]:
        """The row for programs and for the page."""
        error = {"message": self.message, "fix": self.fix} if self.message else None
        return {
            **{"position": self.position, "line": self.line, "name": self.name, "state": self.state},
            **{"request": dict(self.request), "error": error, "attempts": self.attempts, "seed": self.seed},
            **{"audio_s": round(self.audio_s, 3), "has_audio": bool(self.file), "start_s": self.start_s},
            **{"end_s": self.end_s, "gap_s": self.gap_s, "fit": dict(self.fit) or None, "changed": self.changed},
        }


def job_from(row: sqlite3.Row, sums: Mapping[str, Any]) -> Job:
    """The value of a table's row; ``sums`` are what its rows add up to."""
    plain = ("id", "number", "created_at", "title", "kind", "wish", "note", "problem_count")
    return Job(
        **{name: row[name] for name in plain},
        options=json.loads(row["options"]),
        problems=tuple(json.loads(row["problems"])),
        **sums,
    )


def row_from(row: sqlite3.Row) -> JobRow:
    """The value of a table's row."""
    values = {name: row[name] for name in row.keys() if name not in ("job_number", "chars")}  # noqa: SIM118
    return JobRow(**{**values, "request": json.loads(row["request"]), "fit": json.loads(row["fit"] or "{}")})
