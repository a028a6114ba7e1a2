"""Sessions that somebody has ended, as two processes and a crash see them."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

from launcher.access.ended import EndedSessions, forget_expired

LATER = 2_000_000_000


def test_what_one_process_ends_the_other_knows(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    page, supervisor = EndedSessions(path), EndedSessions(path)
    page.end("a.cookie", LATER)
    assert "a.cookie" in supervisor
    supervisor.end("another", LATER)
    assert "another" in page
    assert "a.cookie" in EndedSessions(path)
    assert "a third" not in page
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "cookie" not in path.read_text()


def test_a_line_that_a_crash_has_cut_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    first = EndedSessions(path)
    first.end("one", LATER)
    with path.open("a") as file:
        file.write("20000")
    EndedSessions(path).end("two", LATER)
    again = EndedSessions(path)
    assert "one" in again and "two" in again


def test_what_has_ended_by_itself_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    ended = EndedSessions(path, clock=lambda: 1000.0)
    ended.end("short", 1500)
    ended.end("long", LATER)
    forget_expired(path, now=2000.0)
    assert len(path.read_text().split("\n")) == 2
    assert "long" in EndedSessions(path)
    forget_expired(tmp_path / "nothing")


def test_a_disk_that_refuses_keeps_nobody_from_logging_out(tmp_path: Path) -> None:
    ended = EndedSessions(tmp_path / "no folder" / "ended")
    ended.end("mine", LATER)
    assert "mine" in ended and "yours" not in ended


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    lists = [EndedSessions(path) for _ in range(4)]

    def end(number: int) -> None:
        for turn in range(50):
            lists[number].end(f"{number}-{turn}", LATER)

    threads = [threading.Thread(target=end, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"{number}-{turn}" in each for each in lists for number in range(4) for turn in range(50))
