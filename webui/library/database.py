"""The library's one SQLite file: opening it, its schema's versions, and who may write when.

Invariants: every change is one transaction, on the disk when the method returns; a process that is killed leaves the
state before or after a change, never between; readers do not wait for writers (WAL); a damaged file is kept aside and
never overwritten; a file of a newer version is left alone; a full disk refuses changes, but those that make room.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.errors import DiskFullError, StorageError

_log = logging.getLogger(__name__)

FILE_NAME = "library.sqlite3"
#: How long a statement waits for another process's transaction: one page's process ends while the next one begins.
BUSY_S = 10.0

#: Kept beside the file, to be given up for a deletion when the disk has no room for it: it needs some pages, too.
RESERVE_BYTES = 1024 * 1024

#: One script per version, in order; a published one is never changed.
MIGRATIONS = (
    """
    CREATE TABLE pending_files (folder TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (folder, file)) WITHOUT ROWID;
    CREATE TABLE voices (
        id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, file TEXT NOT NULL, name TEXT NOT NULL,
        name_key TEXT NOT NULL UNIQUE, tags TEXT NOT NULL, language TEXT NOT NULL, consent TEXT NOT NULL,
        is_default INTEGER NOT NULL DEFAULT 0, uses INTEGER NOT NULL DEFAULT 0, last_used_at REAL,
        created_at REAL NOT NULL, duration_s REAL NOT NULL, sample_rate_hz INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, level_dbfs REAL NOT NULL, peak_dbfs REAL NOT NULL, noise_dbfs REAL NOT NULL,
        findings TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX voices_default ON voices (is_default) WHERE is_default = 1;
    CREATE TABLE presets (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
        created_at REAL NOT NULL, updated_at REAL NOT NULL, has_text INTEGER NOT NULL, state TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE terms (
        id INTEGER PRIMARY KEY, term TEXT NOT NULL, term_key TEXT NOT NULL UNIQUE,
        zh TEXT NOT NULL, en TEXT NOT NULL, updated_at REAL NOT NULL
    );
    CREATE TABLE takes (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, starred INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL, engine TEXT NOT NULL, voice TEXT NOT NULL, language TEXT NOT NULL,
        source TEXT NOT NULL, seed INTEGER, duration_s REAL NOT NULL, synthesis_s REAL NOT NULL,
        sample_rate_hz INTEGER NOT NULL, size_bytes INTEGER NOT NULL, file TEXT NOT NULL, text TEXT NOT NULL,
        weights TEXT NOT NULL, request TEXT NOT NULL, segments TEXT NOT NULL
    );
    CREATE INDEX takes_budget ON takes (starred, number, size_bytes);
    CREATE INDEX takes_voice ON takes (voice, number);
    CREATE INDEX takes_engine ON takes (engine, number);
    CREATE INDEX takes_created ON takes (created_at);
    """,
)


class Database:
    """One SQLite file, open for one process's threads.

    Args:
        path: the file; made when it is not there.
        migrations: as `MIGRATIONS`, for a file with tables of its own.

    Raises:
        StorageError: when it cannot be opened, or a newer version made it.
    """

    def __init__(self, path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> None:
        self.path = path
        self._reserve = path.with_name(f"{path.name}.reserve")
        self._migrations = migrations
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        with _as_storage_error(path):
            try:
                self._writer = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise  # no right to it, a full disk, somebody else's lock: the file may be as good as ever
                _keep_aside(path)
                self._writer = self._open()
            self._reader = self._connect()
        self.keep_reserve()

    def close(self) -> None:
        """Closes the file; nothing is lost without it."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees what was committed."""
        with self._read_lock, _as_storage_error(self.path):
            yield self._reader

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end, undone when anything is raised; may not be nested."""
        with self._write_lock, _as_storage_error(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise

    def delete(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """A transaction that makes room on the disk, and so is done on a full one, too: the reserve goes for it.

        Args:
            work: what it does; on a full disk it is begun twice.
        """
        try:
            with self.writing() as connection:
                work(connection)
        except DiskFullError:
            if not self._reserve.exists():
                raise
            with contextlib.suppress(OSError):
                self._reserve.unlink()
            with self.writing() as connection:
                work(connection)

    def keep_reserve(self) -> None:
        """Puts the reserve back where it is missing and there is room for it."""
        with contextlib.suppress(OSError):
            if self._reserve.exists():
                return
            try:
                # Random: zeros take no room where the file system compresses.
                self._reserve.write_bytes(os.urandom(RESERVE_BYTES))
            except OSError:
                self._reserve.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread writes meanwhile: for a change that needs files and several transactions."""
        with self._write_lock:
            yield

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("the file is damaged")
            _migrate(connection, self.path, self._migrations)
        except BaseException:
            connection.close()
            raise
        if os.name == "posix":
            self.path.chmod(0o600)
        return connection


def _migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[str, ...]) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        raise StorageError(
            f"{path} was made by a newer version (schema {version}, this one knows {len(migrations)}).",
            fix="Start the newer version, or move the file away to begin a new library.",
        )
    for number, script in enumerate(migrations[version:], version + 1):
        # executescript commits whatever is open, so the transaction is part of the script.
        connection.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT;")


def _keep_aside(path: Path) -> None:
    """A damaged database may still hold what a person wants back; the new one must not take its place."""
    stamp = f"damaged-{time.time_ns() // 1_000_000}"
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.{stamp}{suffix}"))
    _log.warning("%s was damaged; it is kept as %s.%s and a new library begins", path, path.name, stamp)


@contextlib.contextmanager
def _as_storage_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a rule of ours (a name that is taken): whoever wrote it knows what it means
    except sqlite3.Error as error:
        if "is full" in str(error):  # SQLite's code for it has a name in Python 3.11 and later only
            raise DiskFullError(
                f"The disk of {path} is full; nothing was changed.", fix="Free space there, then try again."
            ) from error
        raise StorageError(
            f"The library {path} cannot be used: {error}.", fix="Check that its disk has room and may be written to."
        ) from error
