"""Files that belong to rows: what lies in a folder is what the database names.

Invariants: a row is written after its file is complete on the disk, and goes before its file goes; what a crash leaves
between is on record (`pending_files`) and settled at the next start; a file that was never on record is never touched.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from webui.library.database import Database


class RowFiles:
    """The files of one table's rows (column ``file``).

    Args:
        database: where the rows are.
        folder: where the files lie; made when it is not there.
        table: ``voices`` or ``takes``.
    """

    def __init__(self, database: Database, folder: Path, table: str) -> None:
        self.folder = folder
        self._database = database
        self._table = table
        make_private(folder)

    def path(self, file: str) -> Path:
        """Where a row's file lies."""
        return self.folder / file

    def put(self, file: str, source: Path, insert: Callable[[sqlite3.Connection], object]) -> None:
        """Takes a complete file in and writes its row.

        Args:
            file: its name from now on.
            source: on the same disk; moved.
            insert: writes the row; when it raises, the file goes, too.
        """
        with self._database.alone():
            with self._database.writing() as connection:
                self._mark(connection, [file])
            try:
                _to_disk(source)
                source.replace(self.path(file))
                _to_disk(self.folder)
                with self._database.writing() as connection:
                    insert(connection)
                    self._unmark(connection, [file])
            except BaseException:
                self._settle([file])
                raise

    def remove(self, files: Iterable[str], delete: Callable[[sqlite3.Connection], object]) -> None:
        """Deletes rows, then their files; on a full disk, too.

        Args:
            files: of the rows.
            delete: deletes the rows.
        """
        files = list(files)

        def forget(connection: sqlite3.Connection) -> None:
            self._mark(connection, files)
            delete(connection)

        with self._database.alone():
            self._database.delete(forget)
            self._settle(files)
            self._database.keep_reserve()

    def settle(self) -> None:
        """Ends what a crash interrupted."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT file FROM pending_files WHERE folder = ?", (self._table,)).fetchall()
        with self._database.alone():
            self._settle([row["file"] for row in rows])

    def _settle(self, files: list[str]) -> None:
        if not files:
            return
        gone = []
        with self._database.writing() as connection:
            for file in files:
                known = connection.execute(f"SELECT 1 FROM {self._table} WHERE file = ?", (file,)).fetchone()
                with contextlib.suppress(OSError):  # a player holds it open (Windows): the next start tries again
                    if known is None:
                        self.path(file).unlink(missing_ok=True)
                    gone.append(file)
            self._unmark(connection, gone)

    def _mark(self, connection: sqlite3.Connection, files: list[str]) -> None:
        rows = [(self._table, file) for file in files]
        connection.executemany("INSERT OR IGNORE INTO pending_files (folder, file) VALUES (?, ?)", rows)

    def _unmark(self, connection: sqlite3.Connection, files: list[str]) -> None:
        rows = [(self._table, file) for file in files]
        connection.executemany("DELETE FROM pending_files WHERE folder = ? AND file = ?", rows)


def make_private(folder: Path) -> None:
    """Makes a folder that only its owner reads: recordings are people's voices."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def empty(folder: Path) -> None:
    """Removes what lies in a folder of unfinished files."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()


def _to_disk(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return  # Windows writes a folder's entries by itself, and opens no folder
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
