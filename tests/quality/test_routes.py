"""The quality loop over the real path: an engine that stumbles in its process, the page, its API and its history."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from launcher.frames import PCM, FrameReader
from tests.engine.processes import PATIENCE_S, WorkerProcess, page, wait_until
from tests.metrics.test_numbers import parsed
from tests.quality.stumbling import RATE_HZ, StumblingEngine, by_chance, lines
from webui.engine.checking import MAX_TRIES, further_seed
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.quality.findings import badness
from webui.quality.inspection import Asked, inspect

SHARE = 0.6
ENGINE = StumblingEngine(defect=by_chance(SHARE))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stumbling")
    (folder / "stumbling.json").write_text(json.dumps({"share": SHARE}))
    options = {"quality": "mark"}
    worker = WorkerProcess(folder, engine="tests.quality.stumbling:StumblingEngine", options=options).start()
    library = Library(folder / "library", history_bytes=100_000_000)
    jobs = JobStore(folder / "jobs", 100_000_000)
    with contextlib.ExitStack() as stack:
        stack.callback(worker.close)
        stack.callback(library.close)
        stack.callback(jobs.close)
        worker.wait_ready()
        yield stack.enter_context(page(worker.address, library=library, jobs=jobs))


@pytest.fixture
def person(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, timeout=PATIENCE_S) as client:
        yield client


def speak(person: httpx.Client, **fields: Any) -> tuple[list[dict[str, Any]], bytes]:
    answer = person.post("/api/speak", json={"text": lines(4), "seed": 11, **fields})
    assert answer.status_code == 200, answer.text
    frames = FrameReader().feed(answer.content)
    sound = b"".join(frame.payload for frame in frames if frame.kind == PCM)
    return [frame.event for frame in frames if frame.kind != PCM], sound


def suspicious(seed: int, index: int) -> float:
    return badness(inspect(ENGINE.sound(seed, index), RATE_HZ, Asked(lines(1), "mixed"))[0])


def test_what_the_instance_usually_does_and_what_a_request_may_say(person: httpx.Client) -> None:
    usual, sound = speak(person)
    off, plain = speak(person, quality="off")
    assert (usual[0]["quality"], off[0]["quality"]) == ("mark", "off") and sound == plain
    assert usual[-1]["marked"] > 0 and not any(event["event"] == "mark" for event in off)
    for wrong in ({"quality": "best"}, {"quality": 3}, {"redos": -1}, {"redos": 1.5}, {"redos": 101}):
        answer = person.post("/api/speak", json={"text": "a", **wrong})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == next(iter(wrong))


def test_segments_are_spoken_again_and_the_best_goes_out(person: httpx.Client) -> None:
    events, sound = speak(person, quality="redo", redos=20)
    marks = {event["index"]: event for event in events if event["event"] == "mark"}
    assert marks and events[-1]["redos"] == sum(mark["redos"] for mark in marks.values()) > 0
    expected = []
    for index in range(4):
        seed = marks.get(index, {}).get("seed", 11)
        tries = [11, *(further_seed(11, index, number) for number in range(1, MAX_TRIES))]
        assert seed in tries and suspicious(seed, index) <= suspicious(11, index)
        expected.append(ENGINE.sound(seed, index))
    assert sound == np.concatenate(expected).astype("<i2").tobytes()
    assert speak(person, quality="redo", redos=20)[1] == sound, "the same request, the same sound"


def test_the_history_keeps_what_was_found_and_how_it_was_asked(person: httpx.Client) -> None:
    events, _ = speak(person, quality="redo", redos=2)
    take = wait_until(lambda: person.get(f"/api/history/{events[0]['take']}").json().get("id"), "the take")
    kept = person.get(f"/api/history/{take}").json()
    assert (kept["request"]["quality"], kept["request"]["redos"], kept["seed"]) == ("redo", 2, 11)
    marks = {event["index"]: event for event in events if event["event"] == "mark"}
    for segment in kept["segments"]:
        mark = marks.get(segment["index"], {})
        assert segment.get("findings", []) == mark.get("findings", [])
        assert segment.get("redos", 0) == mark.get("redos", 0) and segment.get("seed") == mark.get("seed")


def test_presets_keep_it(person: httpx.Client) -> None:
    state = {"request": {"text": "a", "quality": "redo", "redos": 5}}
    made = person.post("/api/presets", json={"name": "careful", "state": state}).json()
    assert made["state"]["request"] == {**made["state"]["request"], "quality": "redo", "redos": 5}


def test_the_openai_route_says_what_was_found(person: httpx.Client) -> None:
    body = {"model": "tts-1", "input": lines(4), "voice": "first", "seed": 11, "response_format": "flac"}
    redone = person.post("/v1/audio/speech", json={**body, "quality": "redo", "redos": 3})
    found = dict(pair.split("=") for pair in redone.headers["X-Quality"].split(","))
    assert found["redos"] == "3" and int(found["marked"]) >= 0
    assert "X-Quality" not in person.post("/v1/audio/speech", json={**body, "quality": "off"}).headers
    refused = person.post("/v1/audio/speech", json={**body, "quality": "perfect"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "quality"


def test_findings_and_redos_are_counted(person: httpx.Client) -> None:
    before = parsed(person.get("/metrics").text)
    events, _ = speak(person, quality="redo", redos=3)
    after = parsed(person.get("/metrics").text)
    kinds = [one["kind"] for event in events if event["event"] == "mark" for one in event["findings"]]
    risen = {key: after[key] - before.get(key, 0) for key in after if key[0].startswith(("tts_marked", "tts_redone"))}
    assert risen["tts_redone_segments_total", ()] == events[-1]["redos"] == 3
    for kind in set(kinds):
        assert risen["tts_marked_segments_total", (kind,)] == kinds.count(kind)


def test_a_row_of_a_job_says_what_sounds_wrong(person: httpx.Client) -> None:
    rows = [{"text": lines(1), "seed": seed} for seed in range(8)]
    job = person.post("/api/jobs", json={"rows": rows, "defaults": {"quality": "mark"}}).json()["id"]
    wait_until(lambda: person.get(f"/api/jobs/{job}").json()["state"] == "done", "the job")
    for row in person.get(f"/api/jobs/{job}/rows").json()["data"]:
        assert row["request"]["quality"] == "mark"
        assert bool((row["fit"] or {}).get("findings")) == (suspicious(row["seed"], 0) > 0)
