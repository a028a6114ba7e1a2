"""The tables of jobs and rows, and the few statements that everything else is made of.

Invariant: whatever changes a row also moves the clock and notes its time, so that "what changed since" is one query.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from webui.jobs.records import ROW_STATES
from webui.jobs.rows import Row

MIGRATIONS = (
    """
    CREATE TABLE pending_files (folder TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (folder, file)) WITHOUT ROWID;
    CREATE TABLE clock (now INTEGER NOT NULL);
    INSERT INTO clock VALUES (0);
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at REAL NOT NULL,
        title TEXT NOT NULL, kind TEXT NOT NULL, wish TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
        options TEXT NOT NULL, problems TEXT NOT NULL, problem_count INTEGER NOT NULL
    );
    CREATE TABLE rows (
        job_number INTEGER NOT NULL REFERENCES jobs (number), position INTEGER NOT NULL, job TEXT NOT NULL,
        line INTEGER NOT NULL, name TEXT NOT NULL, request TEXT NOT NULL, chars INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
        fix TEXT NOT NULL DEFAULT '', file TEXT NOT NULL DEFAULT '', samples INTEGER NOT NULL DEFAULT 0,
        sample_rate_hz INTEGER NOT NULL DEFAULT 0, size_bytes INTEGER NOT NULL DEFAULT 0,
        synthesis_s REAL NOT NULL DEFAULT 0, seed INTEGER, start_s REAL, end_s REAL, gap_s REAL,
        fit TEXT NOT NULL DEFAULT '', changed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job_number, position)
    ) WITHOUT ROWID;
    CREATE INDEX rows_state ON rows (job_number, state, position);
    CREATE INDEX rows_changed ON rows (job_number, changed);
    CREATE INDEX rows_file ON rows (file) WHERE file <> '';
    """,
)


def tick(connection: sqlite3.Connection) -> int:
    """Moves the clock; returns its new time."""
    connection.execute("UPDATE clock SET now = now + 1")
    return int(connection.execute("SELECT now FROM clock").fetchone()[0])


def columns(row: Row) -> tuple[int, str, str, int, float | None, float | None, float | None]:
    """A row's line, name, request, characters, start, end and gap, as the table holds them."""
    text = str(row.fields["text"])
    return (row.line, row.name, json.dumps(dict(row.fields)), len(text), row.start_s, row.end_s, row.gap_s)


def sums(connection: sqlite3.Connection, number: int) -> dict[str, Any]:
    """What the rows of a job add up to: fields of `webui.jobs.records.Job`."""
    found = connection.execute(
        "SELECT state, count(*) AS rows, sum(chars) AS chars, sum(size_bytes) AS size_bytes, sum(synthesis_s) AS s,"
        " sum(CASE WHEN sample_rate_hz > 0 THEN 1.0 * samples / sample_rate_hz ELSE 0 END) AS audio_s,"
        " max(changed) AS changed, sum(fit LIKE '%overrun_s%') AS overruns FROM rows WHERE job_number = ?"
        " GROUP BY state",
        (number,),
    ).fetchall()
    by_state = {row["state"]: row for row in found}
    done = by_state.get("done")
    return {
        "counts": {state: by_state[state]["rows"] for state in ROW_STATES if state in by_state},
        "audio_s": done["audio_s"] if done else 0.0,
        "synthesis_s": done["s"] if done else 0.0,
        "chars_done": done["chars"] if done else 0,
        "chars_left": sum(by_state[state]["chars"] for state in ("queued", "running") if state in by_state),
        "size_bytes": sum(row["size_bytes"] for row in found),
        "overruns": sum(row["overruns"] for row in found),
        "changed": max((row["changed"] for row in found), default=0),
    }


def change_rows(
    connection: sqlite3.Connection,
    what: str,
    where: str,
    which: tuple[object, ...],
    values: tuple[object, ...] = (),
) -> int:
    """Changes rows, and when they changed; returns how many."""
    now = tick(connection)
    done = connection.execute(f"UPDATE rows SET {what}, changed = ? WHERE {where}", (*values, now, *which))
    return done.rowcount
