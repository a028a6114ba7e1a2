"""History: every take, with what made it and its sound, until the disk budget ends its time.

Invariants: a take is either whole (row and sound) or not there; when the sound takes more than the budget, the
oldest takes without a star go first, and starred ones never go by themselves.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError
from webui.library.archives import stream_zip
from webui.library.database import Database
from webui.library.fields import not_found
from webui.library.files import RowFiles

#: Most takes of one page of a listing, and how many when nobody says.
MAX_PAGE, PAGE = 200, 50
#: Takes removed in one transaction.
_BATCH = 500
_OBJECTS = ("weights", "request", "segments")


@dataclass(frozen=True)
class Take:
    """One thing that was spoken.

    Attributes:
        created_at: seconds since 1970.
        voice: a voice's id; empty: the engine's default.
        source: ``page`` (`/api/speak`) or ``api`` (`/v1/audio/speech`).
        synthesis_s: seconds that it took; ``duration_s``: that it lasts.
        text: as it was given; ``request``: the whole request, with ids of voices and no path.
        weights: commit of each repository that the engine spoke with, where it says.
        segments: ``index``, ``text``, ``language``, ``start_s`` of each.
    """

    id: str
    created_at: float
    engine: str
    voice: str
    language: str
    source: str
    seed: int | None
    duration_s: float
    synthesis_s: float
    sample_rate_hz: int
    size_bytes: int
    file: str
    text: str
    weights: Mapping[str, str]
    request: Mapping[str, Any]
    segments: Sequence[Mapping[str, Any]]
    starred: bool = False

    @property
    def rtf(self) -> float:
        """Real-time factor: below 1 is faster than it is heard."""
        return round(self.synthesis_s / self.duration_s, 4) if self.duration_s else 0.0

    def to_json(self) -> dict[str, Any]:
        """The take as the API shows it."""
        data = asdict(self)
        del data["file"]
        return {**data, "rtf": self.rtf}


@dataclass(frozen=True)
class Wanted:
    """Which takes a listing is about; what is ``None`` or empty does not matter.

    Attributes:
        words: each must stand in the text.
        since, until: seconds since 1970.
        ids: these alone.
    """

    words: tuple[str, ...] = ()
    starred: bool | None = None
    voice: str = ""
    engine: str = ""
    language: str = ""
    source: str = ""
    since: float | None = None
    until: float | None = None
    ids: tuple[str, ...] | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """SQL and its values."""
        parts: list[str] = ["1"]
        values: list[Any] = []
        for word in self.words:
            parts.append("text LIKE ? ESCAPE '\\'")
            values.append(f"%{word.translate(_LIKE)}%")
        for column in ("voice", "engine", "language", "source"):
            if getattr(self, column):
                parts.append(f"{column} = ?")
                values.append(getattr(self, column))
        if self.starred is not None:
            parts.append("starred = ?")
            values.append(int(self.starred))
        if self.since is not None:
            parts.append("created_at >= ?")
            values.append(self.since)
        if self.until is not None:
            parts.append("created_at < ?")
            values.append(self.until)
        if self.ids is not None:
            parts.append("id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(self.ids))
        return " AND ".join(parts), values


_LIKE = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})


class HistoryStore:
    """The takes of one library.

    Args:
        database: where their rows are.
        files: where their sound is.
        budget_bytes: how much sound is kept.
    """

    def __init__(self, database: Database, files: RowFiles, budget_bytes: int) -> None:
        self._database = database
        self._files = files
        self.budget_bytes = budget_bytes

    def page(self, wanted: Wanted, *, before: int | None = None, limit: int = PAGE) -> tuple[list[Take], int | None]:
        """Takes, newest first.

        Args:
            wanted: which.
            before: the mark that the page before ended with; ``None``: the newest.
            limit: how many, 1 to `MAX_PAGE`.

        Returns:
            The takes, and the mark for the next page; ``None`` when this is the last.
        """
        condition, values = wanted.condition()
        if before is not None:
            condition, values = f"{condition} AND number < ?", [*values, before]
        statement = f"SELECT * FROM takes WHERE {condition} ORDER BY number DESC LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(statement, (*values, limit + 1)).fetchall()
        mark = rows[limit - 1]["number"] if len(rows) > limit else None
        return [_take(row) for row in rows[:limit]], mark

    def totals(self, wanted: Wanted) -> dict[str, int]:
        """How many takes these are, and what all takes use of the disk."""
        condition, values = wanted.condition()
        with self._database.reading() as connection:
            count = connection.execute(f"SELECT COUNT(*) FROM takes WHERE {condition}", values).fetchone()[0]
            everything = _totals(connection)
        return {"total": count, "used_bytes": everything, "budget_bytes": self.budget_bytes}

    def get(self, take_id: str) -> Take:
        """One take.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM takes WHERE id = ?", (take_id,)).fetchone()
        if row is None:
            raise not_found("take", take_id)
        return _take(row)

    def path(self, take: Take) -> Path:
        """The take's sound, FLAC.

        Raises:
            SpeechError: when somebody has taken it away.
        """
        path = self._files.path(take.file)
        if not path.is_file():
            raise SpeechError("The take's sound is gone.", fix="Delete the take.", code="sound_gone", http_status=410)
        return path

    def add(self, take: Take, sound: Path) -> bool:
        """Keeps a take and ends the time of what is beyond the budget.

        Args:
            take: with ``file`` and ``size_bytes`` of its sound.
            sound: the complete file, on the library's disk; moved.

        Returns:
            Whether it was kept: a take that is larger than the whole budget is not.
        """
        if take.size_bytes > self.budget_bytes:
            return False
        self._files.put(take.file, sound, lambda connection: _insert(connection, take))
        self.keep_budget()
        return True

    def keep_budget(self) -> int:
        """Removes the oldest takes without a star while there is more sound than the budget; returns how many."""
        removed = 0
        while True:
            with self._database.reading() as connection:
                over_bytes = _totals(connection) - self.budget_bytes
                if over_bytes <= 0:
                    return removed
                rows = connection.execute(
                    "SELECT id, size_bytes FROM takes WHERE starred = 0 ORDER BY number LIMIT ?", (_BATCH,)
                ).fetchall()
            going = []
            for row in rows:
                if over_bytes <= 0:
                    break
                over_bytes -= row["size_bytes"]
                going.append(row["id"])
            if not going:
                return removed
            removed += self.remove(going, starred=False)

    def star(self, take_id: str, starred: bool) -> Take:
        """Gives a take a star, or takes it.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.writing() as connection:
            changed = connection.execute("UPDATE takes SET starred = ? WHERE id = ?", (int(starred), take_id)).rowcount
        if not changed:
            raise not_found("take", take_id)
        return self.get(take_id)

    def remove(self, take_ids: Iterable[str], *, starred: bool = True) -> int:
        """Deletes takes and their sound.

        Args:
            take_ids: of the takes; one that is not there is passed over.
            starred: whether takes with a star go, too.

        Returns:
            How many went.
        """
        ids, removed = list(take_ids), 0
        for start in range(0, len(ids), _BATCH):
            listed = json.dumps(ids[start : start + _BATCH])
            chosen = "id IN (SELECT value FROM json_each(?))" + ("" if starred else " AND starred = 0")
            with self._database.alone():
                with self._database.reading() as connection:
                    rows = connection.execute(f"SELECT file FROM takes WHERE {chosen}", (listed,)).fetchall()
                delete = _Deletion(f"DELETE FROM takes WHERE {chosen}", listed)
                self._files.remove([row["file"] for row in rows], delete)
            removed += len(rows)
        return removed

    def export(self, wanted: Wanted) -> Iterator[bytes]:
        """The bytes of a zip file: ``takes.json`` and the sound of each take, newest first."""
        takes = [take for page in self._pages(wanted) for take in page]
        listing = json.dumps(
            [{**take.to_json(), "file": f"sound/{take.file}"} for take in takes], ensure_ascii=False, indent=1
        )
        return stream_zip(
            [("takes.json", listing)], ((f"sound/{take.file}", self._files.path(take.file)) for take in takes)
        )

    def export_lines(self, wanted: Wanted) -> Iterator[bytes]:
        """The bytes of a JSONL file, one take a line, newest first; no sound."""
        for page in self._pages(wanted):
            yield "".join(json.dumps(take.to_json(), ensure_ascii=False) + "\n" for take in page).encode()

    def _pages(self, wanted: Wanted) -> Iterator[list[Take]]:
        mark: int | None = None
        while True:
            found, mark = self.page(wanted, before=mark, limit=MAX_PAGE)
            yield found
            if mark is None:
                return


@dataclass(frozen=True)
class _Deletion:
    statement: str
    ids: str

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.execute(self.statement, (self.ids,))


def _totals(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(SUM(size_bytes), 0) FROM takes").fetchone()[0])


def _insert(connection: sqlite3.Connection, take: Take) -> None:
    values = asdict(take)
    values["starred"] = int(take.starred)
    for name in _OBJECTS:
        values[name] = json.dumps(values[name], ensure_ascii=False)
    connection.execute(
        f"INSERT INTO takes ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
    )


def _take(row: sqlite3.Row) -> Take:
    values = {field.name: row[field.name] for field in fields(Take)}
    for name in _OBJECTS:
        values[name] = json.loads(values[name])
    values["starred"] = bool(values["starred"])
    return Take(**values)
