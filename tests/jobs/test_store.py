"""The store: what survives a kill, whose turn it is, and what goes when room is needed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from launcher.errors import LauncherError, SpeechError, StorageError
from tests.engine.processes import ROOT
from webui.api.job_bodies import changed_row
from webui.audio import wav_header
from webui.jobs.formats import read
from webui.jobs.joining import arrange, srt_of
from webui.jobs.records import Job, JobRow
from webui.jobs.results import all_rows, joined_of, names_of
from webui.jobs.rows import Row
from webui.jobs.store import JobStore, Result

OPTIONS = {"gap_s": 0.5, "max_tempo": 1.5, "use_glossary": True}
KILLS = 6


def made(store: JobStore, *texts: str) -> Job:
    return store.create("a job", read("\n".join(texts).encode(), "x.txt", max_text_chars=100), OPTIONS)


def spoken(store: JobStore, row: JobRow, samples: int = 1000) -> None:
    path = store.parts / f"{row.position}.wav"
    path.write_bytes(wav_header(24_000, 2 * samples) + bytes(2 * samples))
    store.finish(row, Result(path, samples, 24_000, 0.5, 7, {}))


def files(store: JobStore) -> set[str]:
    return {path.name for path in store.rows_folder.iterdir()}


def test_a_kill_at_any_moment_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    said: list[list[str]] = []
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.jobs.writing", str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(random.uniform(0.0, 0.25))
        process.kill()
        lines = process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        said += [line.split() for line in lines]
    store = JobStore(tmp_path)
    jobs = {job.id: job for job in store.jobs(limit=10_000)}
    removed = {words[1] for words in said if words[0] == "removing"}
    assert {words[1] for words in said if words[0] == "made"} - removed <= jobs.keys()
    named = set()
    for job_id, job in jobs.items():
        rows = all_rows(store, job)
        assert len(rows) == job.total == 6
        assert "running" not in job.counts
        for row in rows:
            if row.file:
                named.add(row.file)
                assert store.path(row).read_bytes()[44:] == row.position.to_bytes(2, "little") * 2000
            assert bool(row.file) == (row.state == "done")
        done = {int(words[2]) for words in said if words[:2] == ["done", job_id]}
        # Rows 1 and 2 may have been queued again.
        assert done - {1, 2} <= {row.position for row in rows if row.state == "done"}
    assert files(store) == named
    assert len(said) > KILLS
    store.close()


def test_rows_come_in_order_and_only_while_they_may(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = made(store, "one", "two", "three")
    first = store.take(job.id)
    assert first is not None and (first.position, store.job(job.id).state) == (1, "running")
    store.wish(job.id, "pause")
    assert store.take(job.id) is None and store.waiting() == []
    assert store.job(job.id).state == "paused"
    spoken(store, first)
    store.wish(job.id, "go")
    second = store.take(job.id)
    assert second is not None
    store.wish(job.id, "cancel")
    spoken(store, second)  # too late: nobody wants it any more
    assert store.job(job.id).counts == {"done": 1, "cancelled": 2}
    assert files(store) == {store.row(job.id, 1).file}
    store.retry(job.id)
    assert store.waiting() == [job.id]
    again = store.take(job.id)
    assert again is not None
    with pytest.raises(SpeechError, match="being spoken"):
        store.change(job.id, again.position, lambda _: read(b"x", "x.txt", max_text_chars=9).rows[0])
    store.put_back(again)
    assert (store.row(job.id, 2).state, store.row(job.id, 2).attempts) == ("queued", 0)
    store.close()


def test_what_was_given_up_and_begun_again_takes_no_sound_of_the_first_time(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = made(store, "one")
    first = store.take(job.id)
    store.wish(job.id, "cancel")
    store.retry(job.id)
    second = store.take(job.id)
    assert first is not None and second is not None
    store.fail(first, "too late")
    store.put_back(first)
    spoken(store, first, samples=500)
    assert store.row(job.id, 1).state == "running" and files(store) == set()
    spoken(store, second, samples=700)
    row = store.row(job.id, 1)
    assert (row.state, row.samples, row.message) == ("done", 700, "") and files(store) == {row.file}
    store.close()


def test_changes_at_the_same_time_undo_nothing(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = made(store, "one")

    def set_field(name: str, value: str) -> None:
        store.change(job.id, 1, lambda old: altered(old, name, value))

    def altered(old: JobRow, name: str, value: str) -> Row:
        time.sleep(0.02)  # the others have begun
        return changed_row(old, {name: value}, 100)

    fields = [("voice", "low"), ("language", "en"), ("name", "first"), ("text", "two")]
    threads = [threading.Thread(target=set_field, args=field) for field in fields]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = store.row(job.id, 1)
    assert row.request == {"text": "two", "voice": "low", "language": "en"} and row.name == "first"
    store.close()


def beside(store: JobStore, job: Job, *works: Callable[[], object], then: Callable[[], object] = int) -> list[str]:
    """Begins works while somebody else changes a row of a job, does ``then``, and lets them go; what they raised."""
    raised: list[str] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except LauncherError as error:
            raised.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]

    def altered(_old: JobRow) -> Row:
        for thread in threads:
            thread.start()
        time.sleep(0.2)  # they have come as far as they can
        then()
        raise SpeechError("It stays as it is.")

    with pytest.raises(SpeechError, match="stays"):
        store.change(job.id, 1, altered)
    for thread in threads:
        thread.join()
    return raised


def test_a_job_that_is_deleted_while_its_row_ends_leaves_no_sound(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job, other = made(store, "one", "two"), made(store, "other")
    row = store.take(job.id)
    assert row is not None
    raised = beside(store, other, lambda: store.remove(job.id), then=lambda: spoken(store, row))
    assert raised == [] and [one.id for one in store.jobs()] == [other.id]
    assert files(store) == set(), "nobody would ever find it, or take it away"
    store.close()


def test_two_that_come_at_once_do_not_use_the_same_room(tmp_path: Path) -> None:
    store = JobStore(tmp_path, budget_bytes=3000)
    job, other = made(store, "one", "two"), made(store, "other")
    rows = [row for row in (store.take(job.id), store.take(job.id)) if row is not None]
    works = [partial(spoken, store, row) for row in rows]
    assert beside(store, other, *works) == ["DiskFullError"]
    assert store.job(job.id).size_bytes <= 3000
    store.close()


def test_two_jobs_made_at_once_forget_the_oldest_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path, max_jobs=2)
    store.wish(made(store, "first").id, "cancel")
    for job in [made(store, "second"), made(store, "third")]:
        store.wish(job.id, "cancel")
    last = store.jobs()[0]
    assert beside(store, last, lambda: made(store, "one"), lambda: made(store, "two")) == []
    assert len(store.jobs()) == 3 and store.jobs()[-1].id == last.id
    store.close()


def test_the_oldest_finished_sound_makes_room(tmp_path: Path) -> None:
    store = JobStore(tmp_path, budget_bytes=5000)
    jobs = [made(store, "one"), made(store, "two"), made(store, "three", "four")]
    for job in jobs:
        row = store.take(job.id)
        assert row is not None
        spoken(store, row)
    gone, kept, last = (store.row(job.id, 1) for job in jobs)
    assert not gone.file and "room" in gone.message and gone.state == "done"
    assert kept.file and last.file and files(store) == {kept.file, last.file}
    row = store.take(jobs[2].id)
    assert row is not None
    with pytest.raises(StorageError, match="used up"):
        spoken(store, row, 10_000)
    store.close()


def test_names_of_files_are_each_there_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    table = 'text,name\n"one, two",Same\nthree,same.wav\n你好？,\n[emotion=happy]four[/emotion],\n'
    job = store.create("t", read(table.encode(), "x.csv", max_text_chars=100), OPTIONS)
    assert names_of(all_rows(store, job)) == {1: "Same", 2: "same-2", 3: "0003-你好？", 4: "0004-four"}
    store.close()


def test_rows_never_sound_at_the_same_time(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    times = [(0, 1), (0.5, 1), (3, 4)]
    clock = "\n\n".join(f"00:00:{a:06.3f} --> 00:00:{b:06.3f}\nrow --> {a}" for a, b in times)
    job = store.create("t", read(clock.encode(), "x.srt", max_text_chars=100), OPTIONS)
    for samples in (24_000, 36_000, 2_400):
        row = store.take(job.id)
        assert row is not None
        spoken(store, row, samples)
    whole = arrange(all_rows(store, job), 0.5)
    assert [(place.start, place.end) for place in whole.places] == [(0, 24_000), (24_000, 60_000), (72_000, 74_400)]
    assert srt_of(whole).startswith("1\n00:00:00,000 --> 00:00:01,000\nrow → 0\n\n2\n00:00:01,000 --> 00:00:02,500\n")
    store.close()


@pytest.mark.parametrize("audio_format", ["mp3", "flac", "opus"])
def test_who_leaves_while_rows_are_joined_ends_the_work(tmp_path: Path, audio_format: str) -> None:
    store = JobStore(tmp_path)
    job = made(store, *(f"row {number}" for number in range(20)))
    while row := store.take(job.id):
        spoken(store, row)
    whole = list(joined_of(store, store.job(job.id), audio_format))
    assert len(whole) >= 20 and len(b"".join(whole)) > 100
    steps = joined_of(store, store.job(job.id), audio_format)
    assert next(steps) == b"" and list(store.parts.iterdir())
    del steps  # as when nobody takes the answer any more
    assert not list(store.parts.iterdir())
    store.close()


def test_unfinished_jobs_are_bounded_and_finished_ones_make_room(tmp_path: Path) -> None:
    store = JobStore(tmp_path, max_jobs=3)
    jobs = [made(store, f"row {number}") for number in range(3)]
    with pytest.raises(SpeechError) as refused:
        made(store, "one too many")
    assert (refused.value.code, refused.value.http_status) == ("too_many_jobs", 409)
    store.wish(jobs[0].id, "cancel")
    made(store, "again")
    for job in store.jobs():
        store.wish(job.id, "cancel")
    for number in range(4):
        store.wish(made(store, f"later {number}").id, "cancel")
    assert len(store.jobs()) == 3
    store.close()
