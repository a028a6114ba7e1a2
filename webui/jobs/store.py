"""The jobs on the disk: one SQLite file and a folder of sound.

Invariants: every change is one transaction, and a killed process leaves the state before or after it; a row that was
being spoken then is queued again; a file of sound is complete when a row names it, and goes when none does; a job that
is cancelled begins no row.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError, StorageError
from webui.jobs.records import Job, JobRow, job_from, row_from
from webui.jobs.room import Room, files_of
from webui.jobs.rows import Reading, Row
from webui.jobs.schema import MIGRATIONS, change_rows, columns, sums, tick
from webui.library.database import Database
from webui.library.files import RowFiles, empty, make_private

FILE_NAME = "jobs.sqlite3"
#: Finished jobs that are kept, the oldest go when more come; and unfinished ones, of which no more are taken.
MAX_JOBS = 500
#: What a row becomes when it is to be spoken again.
_AFRESH = "state = 'queued', attempts = 0, message = '', fix = ''"
#: A row as `JobStore.take` gave it: one that was cancelled meanwhile and taken again is running, too, and is another's.
_STILL_TAKEN = "job = ? AND position = ? AND state = 'running' AND changed = ?"


@dataclass(frozen=True)
class Result:
    """What was spoken of a row.

    Attributes:
        path: of a complete WAV file in `JobStore.parts`, which is moved.
        samples, sample_rate_hz: of it.
        synthesis_s: what it took.
        seed: with which it was spoken, where that is known.
        fit: see `webui.jobs.fitting`.
    """

    path: Path
    samples: int
    sample_rate_hz: int
    synthesis_s: float
    seed: int | None
    fit: Mapping[str, Any]


class JobStore:
    """The jobs of one instance. Its methods may be called from any thread.

    Args:
        folder: private; made when it is not there.
        budget_bytes: of all results together; those of the oldest finished jobs go first.
        max_jobs: finished ones that are kept, and unfinished ones that are taken.

    Raises:
        StorageError: when it cannot be opened.
    """

    def __init__(self, folder: Path, budget_bytes: int = 4 * 10**9, *, max_jobs: int = MAX_JOBS) -> None:
        self._max_jobs = max_jobs
        self.parts = folder / "parts"
        try:
            for path in (folder, self.parts):
                make_private(path)
            empty(self.parts)
            self._database = Database(folder / FILE_NAME, MIGRATIONS)
            self._files = RowFiles(self._database, folder / "rows", "rows")
        except OSError as error:
            raise StorageError(
                f"The folder of jobs {folder} cannot be used: {error.strerror}.",
                fix="Make it writable, or set LAUNCHER_DATA_DIR to another folder.",
            ) from error
        self._files.settle()
        self._room = Room(self._database, self._files, folder, budget_bytes)
        with self._database.writing() as connection:
            change_rows(connection, "state = 'queued'", "state = 'running'", ())

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        self._database.close()

    # Making and finding

    def create(self, title: str, reading: Reading, options: Mapping[str, Any], *, wish: str = "go") -> Job:
        """A new job of a file's rows.

        Args:
            title: shown to people.
            reading: rows and problems.
            options: see `Job`.
            wish: ``go`` or ``pause``.

        Raises:
            SpeechError: when too many others have not come to their end yet.
        """
        job_id = uuid.uuid4().hex
        with self._database.alone():
            self._forget_oldest()
            if self._unfinished() >= self._max_jobs:
                raise SpeechError(
                    f"{self._max_jobs} jobs are not finished.",
                    fix="Cancel or delete some.",
                    code="too_many_jobs",
                    http_status=409,
                )
            self._insert(job_id, title, reading, options, wish)
            return self.job(job_id)

    def _insert(self, job_id: str, title: str, reading: Reading, options: Mapping[str, Any], wish: str) -> None:
        problems = json.dumps([problem.to_json() for problem in reading.problems])
        with self._database.writing() as connection:
            now = tick(connection)
            number = connection.execute(
                "INSERT INTO jobs (id, created_at, title, kind, wish, options, problems, problem_count)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job_id, time.time(), title, reading.kind, wish, json.dumps(options), problems, reading.problem_count),
            ).lastrowid
            connection.executemany(
                "INSERT INTO rows (job_number, position, job, line, name, request, chars, state, start_s, end_s, gap_s,"
                " changed) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                [(number, position, job_id, *columns(row), now) for position, row in enumerate(reading.rows, 1)],
            )

    def jobs(self, *, before: int | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs; ``before``: only those with a smaller number."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?", (before or 2**62, limit)
            ).fetchall()
            return [job_from(row, sums(connection, row["number"])) for row in found]

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            SpeechError: when there is none of that id.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None:
                raise _no_job(job_id)
            return job_from(row, sums(connection, row["number"]))

    def rows(self, job_id: str, *, offset: int = 0, limit: int = 100, state: str = "", since: int = 0) -> list[JobRow]:
        """Rows in order.

        Args:
            job_id: of the job.
            offset, limit: which of them.
            state: only those in it; empty: all.
            since: only those whose `JobRow.changed` is larger.
        """
        job = self.job(job_id)
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT * FROM rows WHERE job_number = ? AND (? = '' OR state = ?) AND changed > ?"
                " ORDER BY position LIMIT ? OFFSET ?",
                (job.number, state, state, since, limit, offset),
            ).fetchall()
        return [row_from(row) for row in found]

    def row(self, job_id: str, position: int) -> JobRow:
        """One row.

        Raises:
            SpeechError: when there is none.
        """
        job = self.job(job_id)
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT * FROM rows WHERE job_number = ? AND position = ?", (job.number, position)
            ).fetchone()
        if row is None:
            raise SpeechError(
                f"The job has no row {position}.", fix=f"It has {job.total}.", code="no_such_row", http_status=404
            )
        return row_from(row)

    @property
    def rows_folder(self) -> Path:
        """Where the sound of rows lies."""
        return self._files.folder

    def path(self, row: JobRow) -> Path:
        """Where a row's sound lies."""
        return self._files.path(row.file)

    # Speaking

    def waiting(self) -> list[str]:
        """Ids of the jobs that have a row to speak now, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id FROM jobs WHERE wish = 'go' AND EXISTS (SELECT 1 FROM rows WHERE job_number = number"
                " AND state = 'queued') ORDER BY number"
            ).fetchall()
        return [row["id"] for row in found]

    def take(self, job_id: str) -> JobRow | None:
        """The job's next row, which is running from now on; ``None`` when there is none or it may not begin."""
        with self._database.writing() as connection:
            row = connection.execute(
                "SELECT rows.* FROM rows JOIN jobs ON number = job_number WHERE id = ? AND wish = 'go'"
                " AND state = 'queued' ORDER BY position LIMIT 1",
                (job_id,),
            ).fetchone()
            if row is None:
                return None
            where = (row["job_number"], row["position"])
            change_rows(
                connection, "state = 'running', attempts = attempts + 1", "job_number = ? AND position = ?", where
            )
            taken = connection.execute("SELECT * FROM rows WHERE job_number = ? AND position = ?", where).fetchone()
            return row_from(taken)

    def finish(self, row: JobRow, result: Result) -> None:
        """Keeps a row's sound. A row that was cancelled or changed meanwhile loses it.

        Raises:
            StorageError: when there is no room for it.
        """
        size_bytes = result.path.stat().st_size
        file = f"{row.job}-{row.position}-{uuid.uuid4().hex[:8]}.wav"
        facts = (file, result.samples, result.sample_rate_hz, size_bytes, result.synthesis_s, result.seed)

        def write(connection: sqlite3.Connection) -> None:
            changed = change_rows(
                connection,
                "state = 'done', message = '', fix = '', file = ?, samples = ?, sample_rate_hz = ?, size_bytes = ?,"
                " synthesis_s = ?, seed = ?, fit = ?",
                _STILL_TAKEN,
                _taken(row),
                (*facts, json.dumps(dict(result.fit)) if result.fit else ""),
            )
            if not changed:
                raise _Unwanted

        try:
            # Nobody else takes the room in between.
            with self._database.alone():
                self._room.make(size_bytes, row.job)
                self._files.put(file, result.path, write)
        except _Unwanted:
            result.path.unlink(missing_ok=True)

    def fail(self, row: JobRow, message: str, fix: str = "") -> None:
        """Notes why a row could not be spoken."""
        self._if_running(row, "state = 'failed', message = ?, fix = ?", (message, fix))

    def put_back(self, row: JobRow, *, counts: bool = False) -> None:
        """Queues a row again that was not spoken; ``counts``: whether that was an attempt."""
        self._if_running(row, "state = 'queued'" if counts else "state = 'queued', attempts = attempts - 1", ())

    def _if_running(self, row: JobRow, what: str, values: tuple[object, ...]) -> None:
        with self._database.writing() as connection:
            change_rows(connection, what, _STILL_TAKEN, _taken(row), values)

    # What people wish

    def wish(self, job_id: str, wish: str, *, note: Mapping[str, str] | None = None) -> Job:
        """``pause``, ``go`` or ``cancel``; cancelling gives every row up that is not done.

        Raises:
            SpeechError: when there is no such job.
        """
        job = self.job(job_id)
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE jobs SET wish = ?, note = ? WHERE number = ?",
                (wish, json.dumps(dict(note)) if note else "", job.number),
            )
            if wish == "cancel":
                where = "job_number = ? AND state IN ('queued', 'running')"
                change_rows(connection, "state = 'cancelled'", where, (job.number,))
            else:
                tick(connection)
        return self.job(job_id)

    def retry(self, job_id: str, positions: Sequence[int] | None = None) -> Job:
        """Queues rows again: those that are named, whatever became of them, or all that failed or were cancelled."""
        with self._database.alone():
            job = self.job(job_id)
            if positions is not None:
                files = [self.row(job_id, position).file for position in positions]
            with self._database.writing() as connection:
                connection.execute("UPDATE jobs SET wish = 'go', note = '' WHERE number = ?", (job.number,))
                if positions is None:
                    where = "job_number = ? AND state IN ('failed', 'cancelled')"
                    change_rows(connection, _AFRESH, where, (job.number,))
            if positions is not None:
                self._files.remove(filter(None, files), lambda connection: self._again(connection, job, positions))
            return self.job(job_id)

    def change(self, job_id: str, position: int, altered: Callable[[JobRow], Row]) -> JobRow:
        """Gives a row other fields; it is spoken anew.

        Args:
            job_id, position: of the row.
            altered: makes the new row of what it is now. Nobody else writes meanwhile, so that of two changes at once
                neither undoes the other.

        Raises:
            SpeechError: when there is none, it is being spoken, or `altered` raises it.
        """
        with self._database.alone():
            job, old = self.job(job_id), self.row(job_id, position)
            if old.state == "running":
                raise SpeechError(
                    "This row is being spoken.", fix="Change it when it is done.", code="row_running", http_status=409
                )
            _line, name, request, chars, start_s, end_s, gap_s = columns(altered(old))

            def write(connection: sqlite3.Connection) -> None:
                values = (name, request, chars, start_s, end_s, gap_s)
                what = "name = ?, request = ?, chars = ?, start_s = ?, end_s = ?, gap_s = ?"
                change_rows(connection, what, "job_number = ? AND position = ?", (job.number, position), values)
                self._again(connection, job, [position])

            self._files.remove(filter(None, [old.file]), write)
            return self.row(job_id, position)

    def remove(self, job_id: str) -> None:
        """Forgets a job, its rows and its sound.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.alone():
            job = self.job(job_id)

            def delete(connection: sqlite3.Connection) -> None:
                connection.execute("DELETE FROM rows WHERE job_number = ?", (job.number,))
                connection.execute("DELETE FROM jobs WHERE number = ?", (job.number,))

            self._files.remove(files_of(self._database, job.number), delete)

    def _again(self, connection: sqlite3.Connection, job: Job, positions: Sequence[int]) -> None:
        for position in positions:
            change_rows(
                connection,
                f"{_AFRESH}, file = '', samples = 0, size_bytes = 0, synthesis_s = 0, fit = '', seed = NULL",
                "job_number = ? AND position = ? AND state <> 'running'",
                (job.number, position),
            )

    def _unfinished(self) -> int:
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT COUNT(DISTINCT job_number) FROM rows WHERE state IN ('queued', 'running')"
            ).fetchone()
        return int(found[0])

    def _forget_oldest(self) -> None:
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id FROM jobs WHERE NOT EXISTS (SELECT 1 FROM rows WHERE job_number = number"
                " AND state IN ('queued', 'running')) ORDER BY number DESC LIMIT -1 OFFSET ?",
                (self._max_jobs - 1,),
            ).fetchall()
        for row in found:
            self.remove(row["id"])


def _taken(row: JobRow) -> tuple[str, int, int]:
    return (row.job, row.position, row.changed)


class _Unwanted(Exception):  # noqa: N818 - a signal, not an error
    """The row whose sound was to be kept is not running any more."""


def _no_job(job_id: str) -> SpeechError:
    return SpeechError(
        f"There is no job {job_id!r:.60}.", fix="GET /api/jobs lists them.", code="no_such_job", http_status=404
    )
