"""The log: rotation under many threads, secrets, terminal escapes, full disks, and readers that miss nothing."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.process.log_reader import LogLine, parse_line, wanted
from launcher.process.logs import LOG_NAME, LogWriter, follow, read_lines
from tests.process.spawn import wait_until

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 [A-Z]+ [\w.-]+ .+")


def bodies(log_dir: Path, last: int = 100_000) -> list[str]:
    """What was said, without time, level and component."""
    return [line.split(" ", 3)[3] for line in read_lines(log_dir, last=last)]


class Follower:
    """Collects what `follow` yields, in a thread."""

    def __init__(self, log_dir: Path, *, component: str | None = None, last: int = 0) -> None:
        self.lines: list[str] = []
        self._stop = threading.Event()
        self._source = follow(log_dir, test=wanted(component=component), stop=self._stop, last=last)
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        for line in self._source:
            self.lines.append(line)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def test_a_line_has_time_level_and_component(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "logs", clock=lambda: 1795255200.1234)
    writer.write("engine", "info", "ready")
    writer.close()
    assert (tmp_path / "logs" / LOG_NAME).read_text() == "2026-11-21T10:00:00.123+00:00 INFO engine ready\n"


def test_levels_below_the_threshold_are_left_out(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, level="warning")
    for level in ("debug", "INFO", "Warning", "ERROR", "unheard-of"):
        writer.write("page", level, level)
    assert bodies(tmp_path) == ["Warning", "ERROR"]


def test_each_line_of_a_text_is_a_line(tmp_path: Path) -> None:
    LogWriter(tmp_path).write("page", "ERROR", "Traceback:\r\n  here\n\n10%\r20%\r\n")
    lines = read_lines(tmp_path)
    assert bodies(tmp_path) == ["Traceback:", "  here", "10%", "20%"]
    assert all(" ERROR page " in line for line in lines)


def test_a_forged_line_cannot_be_smuggled_in(tmp_path: Path) -> None:
    forged = "x\u2028y\x85z\x0b2026-11-21T10:00:00.000+00:00 ERROR supervisor you are hacked"
    writer = LogWriter(tmp_path)
    writer.write("page", "INFO", forged)
    writer.write("page ERROR supervisor\n", "INFO", "x")
    assert len((tmp_path / LOG_NAME).read_text().splitlines()) == 2
    assert all(LINE.fullmatch(line) and " INFO page" in line for line in read_lines(tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.characters()))
def test_nothing_that_a_terminal_obeys_reaches_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / LOG_NAME).unlink(missing_ok=True)
    writer = LogWriter(tmp_path)
    writer.write("page", "INFO", f"\x1b[2J\x9b31m\x07\x00 {text} \u202e\ud800")
    writer.close()
    written = (tmp_path / LOG_NAME).read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", written)
    assert r"\x1b[2J\x9b31m\x07\x00" in written
    assert all(LINE.fullmatch(line) for line in written.split("\n")[:-1])


def test_an_endless_line_is_cut_and_says_so(tmp_path: Path) -> None:
    LogWriter(tmp_path).write("page", "INFO", "语" * 10_000)
    [body] = bodies(tmp_path)
    assert body == "语" * 8000 + " [2000 more characters cut]"


@pytest.mark.parametrize("secret", ["plain-secret", "s/ecr+et &=?%", 'quo"te\\back', "秘密的令牌", "hf_abcDEF"])
def test_a_secret_is_masked_in_every_spelling(tmp_path: Path, secret: str) -> None:
    writer = LogWriter(tmp_path, secrets=["", "abc", secret])
    spellings = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]]
    spellings.append(re.sub("%..", lambda match: match.group().lower(), quote(secret, safe="")))
    for spelling in spellings:
        writer.write("page", "INFO", f"GET /?token={spelling}&x=1 Authorization: Bearer {spelling}")
    assert set(bodies(tmp_path)) == {"GET /?token=***&x=1 Authorization: Bearer ***"}


def test_a_secret_that_contains_another_is_masked_whole(tmp_path: Path) -> None:
    LogWriter(tmp_path, secrets=["token", "token-and-more"]).write("page", "INFO", "token-and-more token")
    assert bodies(tmp_path) == ["*** ***"]


def test_short_words_are_no_secrets(tmp_path: Path) -> None:
    LogWriter(tmp_path, secrets=["", "in"]).write("page", "INFO", "in the beginning")
    assert bodies(tmp_path) == ["in the beginning"]


def test_many_threads_rotate_without_losing_a_line_or_exceeding_the_size(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=4000, files=100)

    def speak(name: int) -> None:
        for number in range(250):
            writer.write(f"thread{name}", "INFO", f"{number} {'x' * (number % 50)}")

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes = []
    for path in tmp_path.iterdir():
        with contextlib.suppress(FileNotFoundError):  # packed meanwhile, under another name
            sizes.append(path.stat().st_size)
    assert len(sizes) > 10 and max(sizes) <= 4000
    for name in range(8):
        lines = read_lines(tmp_path, test=wanted(component=f"thread{name}"), last=10_000)
        assert [int(line.split(" ")[3]) for line in lines] == list(range(250))
        assert all(LINE.fullmatch(line) for line in lines)


@pytest.mark.parametrize("files", [1, 2, 3])
def test_no_more_files_than_allowed(tmp_path: Path, files: int) -> None:
    writer = LogWriter(tmp_path, max_bytes=500, files=files)
    for number in range(200):
        writer.write("page", "INFO", f"line {number}")
    expected = [LOG_NAME, f"{LOG_NAME}.1", f"{LOG_NAME}.2.gz"][:files]
    wait_until(lambda: sorted(path.name for path in tmp_path.iterdir()) == expected, "an old file was not packed")
    writer.close()
    assert bodies(tmp_path)[-1] == "line 199"


def packed(log_dir: Path) -> list[str]:
    """The packed files and whatever still has to be packed."""
    names = [path.name for path in log_dir.iterdir()]
    return sorted(name for name in names if name not in (LOG_NAME, f"{LOG_NAME}.1"))


def test_packed_files_are_read_as_if_they_were_not(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=2000, files=1000)
    for number in range(300):
        writer.write("page" if number % 3 else "engine", "INFO", f"line {number}")
    wait_until(lambda: all(name.endswith(".gz") for name in packed(tmp_path)), "an old file was not packed")
    assert len(packed(tmp_path)) > 5
    assert bodies(tmp_path) == [f"line {number}" for number in range(300)]
    assert bodies(tmp_path, last=120) == [f"line {number}" for number in range(180, 300)]
    of_engine = read_lines(tmp_path, test=wanted(component="engine"), last=70)
    assert [line.split(" ", 3)[3] for line in of_engine] == [f"line {number}" for number in range(90, 300, 3)]
    assert gzip.decompress((tmp_path / f"{LOG_NAME}.2.gz").read_bytes()).startswith(b"20")
    oldest = tmp_path / f"{LOG_NAME}.{len(packed(tmp_path)) + 1}.gz"
    oldest.write_bytes(oldest.read_bytes()[:-30])  # a damaged one costs its own lines at most
    assert bodies(tmp_path)[-200:] == [f"line {number}" for number in range(100, 300)]


def test_a_follower_that_was_asleep_misses_and_repeats_nothing(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=1000, files=1000)
    writer.write("page", "INFO", "before")
    stop = threading.Event()
    lines = follow(tmp_path, stop=stop)
    for number in range(200):
        writer.write("page", "INFO", f"line {number}")
    # The file that it is at has been rotated, packed and removed meanwhile.
    wait_until(lambda: all(name.endswith(".gz") for name in packed(tmp_path)), "an old file was not packed")
    found = [next(lines).split(" ", 3)[3] for _ in range(200)]
    stop.set()
    assert found == [f"line {number}" for number in range(200)]
    assert list(lines) == []


def test_a_file_that_covers_too_many_days_is_rotated(tmp_path: Path) -> None:
    now = [1_795_255_200.0]
    writer = LogWriter(tmp_path, max_age_s=86_400, clock=lambda: now[0])
    writer.write("page", "INFO", "monday")
    now[0] += 86_399
    writer.write("page", "INFO", "still monday")
    writer.close()
    again = LogWriter(tmp_path, max_age_s=86_400, clock=lambda: now[0])
    now[0] += 1  # the age is that of the first line, whoever wrote it
    again.write("page", "INFO", "tuesday")
    now[0] -= 10 * 86_400  # a clock that goes back rotates nothing
    again.write("page", "INFO", "a past day")
    assert (tmp_path / LOG_NAME).read_text().count("\n") == 2
    assert bodies(tmp_path) == ["monday", "still monday", "tuesday", "a past day"]


def test_a_half_packed_file_of_a_crash_is_packed_anew(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        line = f"2026-11-21T10:00:00.000+00:00 INFO page {number}\n"
        (tmp_path / f"{LOG_NAME}.{number}").write_text(line)
    (tmp_path / f"{LOG_NAME}.packing").write_bytes(b"half")
    writer = LogWriter(tmp_path)
    writer.write("page", "INFO", "0")
    expected = [f"{LOG_NAME}.2.gz", f"{LOG_NAME}.3.gz"]
    wait_until(lambda: packed(tmp_path) == expected, "an old file was not packed")
    assert bodies(tmp_path) == ["3", "2", "1", "0"]


def test_a_new_writer_continues_the_file_and_never_a_half_line(tmp_path: Path) -> None:
    first = LogWriter(tmp_path)
    first.write("page", "INFO", "one")
    first.close()
    with (tmp_path / LOG_NAME).open("a") as file:
        file.write("2026-11-21T10:00:00.000+00:00 INFO page ha")
    LogWriter(tmp_path).write("page", "INFO", "two")
    assert bodies(tmp_path) == ["one", "ha", "two"]


def test_a_deleted_log_is_made_anew(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "logs")
    writer.write("page", "INFO", "one")
    (tmp_path / "logs" / LOG_NAME).unlink()
    (tmp_path / "logs").rmdir()
    writer.write("page", "INFO", "two")
    assert bodies(tmp_path / "logs") == ["two"]


def test_an_unwritable_place_loses_lines_and_says_so_once_it_works(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.write_text("a file where the folder should be")
    writer = LogWriter(place)
    for number in range(3):
        writer.write("page", "INFO", f"lost {number}\nand this")
    assert writer.lost_lines == 6
    place.unlink()
    writer.write("page", "INFO", "back")
    writer.write("page", "INFO", "again")
    assert writer.lost_lines == 0
    notice, *rest = bodies(place)
    assert notice.startswith("6 lines before this one could not be written: ")
    assert rest == ["back", "again"]


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_cuts_no_later_line(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from launcher.process.logs import LogWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = LogWriter(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (120, resource.RLIM_INFINITY))\n"
        "for word in ('one', 'two', 'three', 'four'): writer.write('page', 'INFO', word * 10)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "writer.write('page', 'INFO', 'space again')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = read_lines(tmp_path)
    assert "one" * 10 in lines[0]
    assert lines[1].startswith("20"), "the half line stands for itself"
    assert re.search(r"3 lines before this one could not be written: File too large", lines[-2])
    assert lines[-1].endswith(" INFO page space again")


def test_the_last_lines_are_read_across_files(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=700, files=50)
    for number in range(100):
        writer.write("page" if number % 2 else "engine", "INFO", f"line {number}")
    assert bodies(tmp_path, last=25) == [f"line {number}" for number in range(75, 100)]
    assert [line.split(" ", 3)[3] for line in read_lines(tmp_path, test=wanted(component="engine"), last=3)] == [
        "line 94",
        "line 96",
        "line 98",
    ]
    assert read_lines(tmp_path, last=0) == []
    assert read_lines(tmp_path / "none") == []


def test_a_file_seen_under_two_names_is_read_once(tmp_path: Path) -> None:
    # What a reader meets when the writer rotates between two of its looks.
    LogWriter(tmp_path).write("page", "INFO", "once")
    (tmp_path / f"{LOG_NAME}.1").hardlink_to(tmp_path / LOG_NAME)
    assert bodies(tmp_path) == ["once"]


def test_lines_longer_than_a_block_are_read_backwards(tmp_path: Path) -> None:
    lines = [f"2026-11-21T10:00:00.000+00:00 INFO page {letter * 150_000}" for letter in "abc"]
    (tmp_path / LOG_NAME).write_text("\n".join(lines) + "\nhalf a li")
    assert read_lines(tmp_path) == lines


def test_following_survives_many_rotations(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=2000, files=1000)
    writer.write("page", "INFO", "before")
    follower = Follower(tmp_path)
    expected = [f"line {number}" for number in range(2000)]
    for text in expected:
        writer.write("page", "INFO", text)
    try:
        wait_until(lambda: len(follower.lines) >= len(expected), "lines were lost")
    finally:
        follower.close()
    assert [line.split(" ", 3)[3] for line in follower.lines] == expected


def test_following_begins_with_the_last_lines_and_leaves_no_gap(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    for number in range(5):
        writer.write("page", "INFO", f"old {number}")
        writer.write("engine", "INFO", "other")
    stop = threading.Event()
    source: Iterator[str] = follow(tmp_path, test=wanted(component="page"), stop=stop, last=2)
    writer.write("page", "INFO", "between")
    writer.write("engine", "INFO", "other")
    got: queue.Queue[str] = queue.Queue()

    def collect() -> None:
        for line in source:
            got.put(line.split(" ", 3)[3])

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        assert [got.get(timeout=60) for _ in range(3)] == ["old 3", "old 4", "between"]
        writer.write("page", "INFO", "new")
        assert got.get(timeout=60) == "new"
    finally:
        stop.set()
        thread.join()
    assert got.empty()


def test_following_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "logs", last=10)
    try:
        LogWriter(tmp_path / "logs").write("page", "INFO", "first")
        wait_until(lambda: bool(follower.lines), "the first line did not come")
    finally:
        follower.close()
    assert follower.lines[0].endswith("first")


def test_half_a_line_is_not_followed_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / LOG_NAME
    path.write_text("")
    follower = Follower(tmp_path)
    try:
        with path.open("a") as file:
            file.write("a b c first\na b c sec")
            file.flush()
            wait_until(lambda: len(follower.lines) == 1, "the whole line did not come")
            file.write("ond\n")
            file.flush()
        wait_until(lambda: len(follower.lines) == 2, "the second line did not come")
    finally:
        follower.close()
    assert follower.lines == ["a b c first", "a b c second"]


def test_lines_are_chosen_by_time_and_words(tmp_path: Path) -> None:
    clock = iter([1000.0, 2000.0, 3000.0])
    writer = LogWriter(tmp_path, clock=lambda: next(clock))
    for text in ("first word", "second", "third WORD"):
        writer.write("page", "info", text)
    writer.close()
    since = wanted(since="1970-01-01T00:33:20")
    assert [parse_line(line).text for line in read_lines(tmp_path, test=since)] == ["second", "third WORD"]
    words = wanted(pattern=re.compile("word", re.IGNORECASE))
    assert [parse_line(line).text for line in read_lines(tmp_path, test=words)] == ["first word", "third WORD"]
    assert read_lines(tmp_path, test=wanted(component="engine")) == []


def test_a_foreign_line_is_all_text() -> None:
    assert parse_line("half a line") == LogLine("", "", "", "half a line")
