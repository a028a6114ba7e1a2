"""The glossary: terms and how each is read in Chinese and in English.

Invariants: a term stands once, whatever the case of its letters; a reading that is empty leaves the term as it is in
that language; a request's own glossary wins over this one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from launcher.errors import SpeechError
from webui.engine.request import MAX_GLOSSARY_CHARS
from webui.library.archives import bad_archive
from webui.library.database import Database
from webui.library.fields import key_of, not_found, read_line

#: A request takes 500; of a larger glossary it gets those that its text holds.
MAX_TERMS = 5000
#: Of a file: as many terms with the longest readings. The reader is Python's own, a second for every 200 kB: the one
#: in C can be made to overflow its stack.
MAX_FILE_CHARS = 3_200_000


@dataclass(frozen=True)
class Term:
    """A term and its readings; an empty one leaves it as it is."""

    id: int
    term: str
    zh: str
    en: str
    updated_at: float

    def to_json(self) -> dict[str, Any]:
        """The term as the API shows it."""
        return asdict(self)


class GlossaryStore:
    """The glossary of one library.

    Args:
        database: where its rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Term]:
        """Every term, by name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id, term, zh, en, updated_at FROM terms ORDER BY term_key").fetchall()
        return [Term(*row) for row in rows]

    def add(self, entry: Mapping[str, Any]) -> tuple[Term, bool]:
        """Adds a term, or gives it new readings when it is there.

        Args:
            entry: ``term``, and ``zh``, ``en`` or both.

        Returns:
            The term, and whether it is new.

        Raises:
            SpeechError: when a field is wrong or the glossary is full.
        """
        values = _read(entry)
        with self._database.writing() as connection:
            is_new = _insert(connection, *values)
            _check_size(connection)
        return self._by_key(key_of(values[0])), is_new

    def change(self, term_id: int, changes: Mapping[str, Any]) -> Term:
        """Sets some of ``term``, ``zh`` and ``en``.

        Raises:
            SpeechError: when there is no such term, a field is wrong, or another entry has the term.
        """
        with self._database.alone():
            known = self._by_id(term_id)
            term, zh, en = _read({"term": known.term, "zh": known.zh, "en": known.en, **changes})
            try:
                with self._database.writing() as connection:
                    connection.execute(
                        "UPDATE terms SET term = ?, term_key = ?, zh = ?, en = ?, updated_at = ? WHERE id = ?",
                        (term, key_of(term), zh, en, time.time(), term_id),
                    )
            except sqlite3.IntegrityError:
                raise SpeechError(
                    f"The glossary has the term {term!r} already.",
                    fix="Change that entry.",
                    param="term",
                    code="term_taken",
                    http_status=409,
                ) from None
            return self._by_id(term_id)

    def remove(self, term_id: int) -> None:
        """Deletes a term.

        Raises:
            SpeechError: when there is none.
        """
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM terms WHERE id = ?", (term_id,)).rowcount:
                raise not_found("term", str(term_id))

    def merge(self, text: str, *, replace: bool = False) -> tuple[int, int]:
        """Takes in a ``glossary.yaml`` of IndexTTS; all of it or, when a line is wrong, nothing.

        Args:
            text: a mapping of each term to one reading, or to readings by language (``zh``, ``en``).
            replace: whether what was there goes.

        Returns:
            How many terms are new, and how many were there and have these readings now.

        Raises:
            SpeechError: naming the first entry that is wrong.
        """
        entries = [_read(entry) for entry in _parse(text)]
        with self._database.writing() as connection:
            if replace:
                connection.execute("DELETE FROM terms")
            added = sum(_insert(connection, *entry) for entry in entries)
            _check_size(connection)
        return added, len(entries) - added

    def to_yaml(self) -> str:
        """The glossary as a ``glossary.yaml``."""
        import yaml

        data: dict[str, Any] = {}
        for term in self.all():
            same = term.zh == term.en
            readings = {name: text for name, text in (("en", term.en), ("zh", term.zh)) if text}
            data[term.term] = term.zh if same else readings
        return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False)) if data else ""

    def readings(self, text: str, language: str) -> tuple[tuple[str, str], ...]:
        """The terms that a text holds, with their readings in a language other than ``zh`` the English ones."""
        folded = text.casefold()
        pairs = ((term.term, term.zh if language == "zh" else term.en) for term in self.all())
        return tuple((term, reading) for term, reading in pairs if reading and term.casefold() in folded)

    def _by_id(self, term_id: int) -> Term:
        return self._one("id = ?", term_id)

    def _by_key(self, key: str) -> Term:
        return self._one("term_key = ?", key)

    def _one(self, condition: str, value: object) -> Term:
        with self._database.reading() as connection:
            statement = f"SELECT id, term, zh, en, updated_at FROM terms WHERE {condition}"
            row = connection.execute(statement, (value,)).fetchone()
        if row is None:
            raise not_found("term", str(value))
        return Term(*row)


def _read(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    unknown = [name for name in entry if name not in {"term", "zh", "en"}]
    if unknown:
        raise SpeechError(f"field {unknown[0]!r:.40} is not known.", param=unknown[0], code="unknown_field")
    term, zh, en = (read_line(entry.get(name) or "", name, MAX_GLOSSARY_CHARS) for name in ("term", "zh", "en"))
    if not term:
        raise SpeechError("The entry has no term.", param="term", code="term_missing")
    if not (zh or en):
        raise SpeechError(f"The term {term!r} has no reading.", fix="Give zh, en or both.", code="reading_missing")
    return term, zh, en


def _insert(connection: sqlite3.Connection, term: str, zh: str, en: str) -> bool:
    """Whether the term is new."""
    key, now = key_of(term), time.time()
    changed = connection.execute(
        "UPDATE terms SET term = ?, zh = ?, en = ?, updated_at = ? WHERE term_key = ?", (term, zh, en, now, key)
    ).rowcount
    if not changed:
        connection.execute(
            "INSERT INTO terms (term, term_key, zh, en, updated_at) VALUES (?, ?, ?, ?, ?)", (term, key, zh, en, now)
        )
    return not changed


def _check_size(connection: sqlite3.Connection) -> None:
    count = connection.execute("SELECT COUNT(*) FROM terms").fetchone()[0]
    if count > MAX_TERMS:
        raise SpeechError(f"The glossary would have {count} terms, more than {MAX_TERMS}.", code="glossary_full")


def _parse(text: str) -> list[dict[str, str]]:
    import yaml

    if len(text) > MAX_FILE_CHARS:
        raise bad_archive(f"The file has {len(text)} characters, more than {MAX_FILE_CHARS}.")
    try:
        # The base loader makes texts, lists and mappings alone: no objects, and "ON" stays a term.
        data = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" (line {line + 1})"
        raise bad_archive(f"The file is no YAML{where}.") from error
    if not isinstance(data, dict):
        raise bad_archive("The file holds no glossary: it is no mapping of terms to readings.")
    if len(data) > MAX_TERMS:
        raise bad_archive(f"The file has {len(data)} terms, more than {MAX_TERMS}.")
    entries = []
    for term, value in data.items():
        readings = {"zh": value, "en": value} if isinstance(value, str) else value
        known = isinstance(readings, dict) and all(isinstance(item, str) for item in readings.values())
        if not isinstance(term, str) or not known:
            raise bad_archive(f"The term {str(term)!r:.60} has neither a reading nor readings by language.")
        entries.append({"term": term, "zh": readings.get("zh", ""), "en": readings.get("en", "")})
    return entries
