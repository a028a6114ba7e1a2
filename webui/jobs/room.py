"""Room for results: a budget of bytes for all jobs together, and the disk itself.

Invariants: only sound of jobs that are over is let go, the oldest first; their rows stay and say so; whoever makes room
is alone in the database until it has used it, so that two who come at once do not use the same.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from launcher.errors import DiskFullError
from webui.jobs.schema import change_rows
from webui.library.database import Database
from webui.library.files import RowFiles

#: Room that a disk keeps beyond a result, in bytes.
SPARE_BYTES = 64 * 1024 * 1024
_GONE = ("Its sound made room for later jobs.", "Retry the row to speak it again.")


class Room:
    """Keeps the results within bounds.

    Args:
        database, files: of the jobs.
        folder: on the disk that is written to.
        budget_bytes: of all results together.
    """

    def __init__(self, database: Database, files: RowFiles, folder: Path, budget_bytes: int) -> None:
        self._database = database
        self._files = files
        self._folder = folder
        self._budget_bytes = budget_bytes

    def make(self, size_bytes: int, job_id: str) -> None:
        """Lets go of other jobs' sound until a result of ``job_id`` fits; in `Database.alone`.

        Raises:
            DiskFullError: when it does not.
        """
        used = self._used()
        for number, freed_bytes in [] if used + size_bytes <= self._budget_bytes else self._over(job_id):
            self._let_go(number)
            used -= freed_bytes
            if used + size_bytes <= self._budget_bytes:
                break
        if used + size_bytes > self._budget_bytes:
            raise DiskFullError(
                f"Results of jobs may have {self._budget_bytes} bytes, and they are used up.",
                fix="Download and delete jobs, or raise LAUNCHER_BATCH_BYTES.",
            )
        if shutil.disk_usage(self._folder).free < size_bytes + SPARE_BYTES:
            raise DiskFullError("The disk is full.", fix="Free space there, then resume the job.")

    def _used(self) -> int:
        with self._database.reading() as connection:
            return int(connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM rows").fetchone()[0])

    def _over(self, but: str) -> list[tuple[int, int]]:
        """Number and bytes of the jobs that are over, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT number, sum(size_bytes) AS size_bytes FROM jobs JOIN rows ON job_number = number WHERE id <> ?"
                " GROUP BY number HAVING sum(size_bytes) > 0"
                " AND sum(state = 'running' OR state = 'queued') = 0 ORDER BY number",
                (but,),
            ).fetchall()
        return [(row["number"], row["size_bytes"]) for row in found]

    def _let_go(self, number: int) -> None:
        def forget(connection: sqlite3.Connection) -> None:
            what = "file = '', size_bytes = 0, message = ?, fix = ?"
            change_rows(connection, what, "job_number = ? AND file <> ''", (number,), _GONE)

        self._files.remove(files_of(self._database, number), forget)


def files_of(database: Database, number: int) -> list[str]:
    """The files that the rows of a job name; what is done with them is done in `Database.alone`."""
    with database.reading() as connection:
        found = connection.execute("SELECT file FROM rows WHERE job_number = ? AND file <> ''", (number,)).fetchall()
    return [row["file"] for row in found]
