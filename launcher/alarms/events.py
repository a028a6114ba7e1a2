"""What happened lately, as lines in a small file that every process of an installation may add to.

Invariants: adding never fails and never waits; a line is added in one step, so that two writers never mix; the file
stays small; a line that cannot be read is passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.alarms.names import MIRROR_TIMEOUT_EVENT, VERIFY_FAILURE_EVENT, VERIFY_SUCCESS_EVENT

FILE_NAME = "events.jsonl"
#: About 1,000 lines; then the older half goes.
_MAX_BYTES = 128 * 1024
#: What the parts that fetch say of a mirror that keeps people waiting; nobody at an address is the same to them.
_WAITED = re.compile(r"sent nothing for a while|in time|stall|timed out|too slow|cannot be reached|no connection")


@dataclass(frozen=True)
class Event:
    """One happening: when (seconds since 1970), what (see `launcher.alarms.names`), and with whom."""

    at: float
    kind: str
    subject: str


def note(cache: Path, kind: str, subject: str, *, at: float | None = None) -> None:
    """Adds a happening.

    Args:
        cache: root of the pinned cache, which holds the file.
        kind: what happened.
        subject: with whom or what: a mirror's address, a repository.
        at: seconds since 1970; ``None`` is now.
    """
    line = json.dumps({"at": round(time.time() if at is None else at, 3), "kind": kind, "subject": subject[:300]})
    path = cache / FILE_NAME
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size > _MAX_BYTES:
            _shorten(path)
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)


def note_mirror(cache: Path, url: str, reason: str) -> None:
    """Adds a mirror's time-out, when ``reason`` (a clause, why it was left out) tells of one."""
    if _WAITED.search(reason):
        note(cache, MIRROR_TIMEOUT_EVENT, url)


def note_verification(cache: Path, checked: Iterable[str], damaged: Iterable[str]) -> None:
    """Adds the outcome of a verification; what was always right makes no line.

    Args:
        cache: root of the pinned cache.
        checked: repositories that were looked at.
        damaged: those among them with damaged files.
    """
    bad = set(damaged)
    last = {one.subject: one.kind for one in recent(cache) if one.kind in (VERIFY_FAILURE_EVENT, VERIFY_SUCCESS_EVENT)}
    for repo in sorted(set(checked) | bad):
        if repo in bad:
            note(cache, VERIFY_FAILURE_EVENT, repo)
        elif last.get(repo) == VERIFY_FAILURE_EVENT:
            note(cache, VERIFY_SUCCESS_EVENT, repo)


def recent(cache: Path) -> list[Event]:
    """Every happening that is on record, oldest first."""
    try:
        lines = (cache / FILE_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            data = json.loads(line)
            found.append(Event(float(data["at"]), str(data["kind"]), str(data["subject"])))
    return found


def _shorten(path: Path) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text("".join(lines[len(lines) // 2 :]), encoding="utf-8")
    fresh.replace(path)
