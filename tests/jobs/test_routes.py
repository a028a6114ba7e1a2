"""Jobs over HTTP: a real page's server in front of a real engine's process that speaks tones."""

from __future__ import annotations

import base64
import io
import json
import time
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.processes import PATIENCE_S, WorkerProcess, page, wait_until, worker
from webui.api.job_bodies import MAX_FIELD_BYTES
from webui.jobs.formats.decoding import MAX_FILE_BYTES
from webui.jobs.records import JobRow
from webui.jobs.store import JobStore


@pytest.fixture(scope="module")
def client(engine: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    store = JobStore(tmp_path_factory.mktemp("jobs") / "jobs")
    with (
        page(engine.address, jobs=store, max_text_chars=200) as address,
        httpx.Client(base_url=address, timeout=PATIENCE_S) as client,
    ):
        yield client
    store.close()


def finished(client: httpx.Client, job_id: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        return job if job["state"] in (states or ("done",)) else None

    return dict(wait_until(look, f"job {job_id}"))


def made(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    return dict(answer.json())


def sound(content: bytes) -> tuple[int, int]:
    """Sample rate and samples of a WAV file."""
    with wave.open(io.BytesIO(content)) as file:
        return file.getframerate(), file.getnframes()


def test_rows_are_spoken_and_taken_away(client: httpx.Client) -> None:
    rows = [{"text": "one two", "voice": "low", "name": "first"}, "three", {"text": "four", "gap_s": 2}, "five"]
    job = finished(client, made(client, rows=rows, title="Numbers", gap_s=1)["id"])
    assert job["counts"] == {"total": 4, "queued": 0, "running": 0, "done": 4, "failed": 0, "cancelled": 0}
    assert job["audio_s"] == pytest.approx(1.25)
    listed = client.get(f"/api/jobs/{job['id']}/rows", params={"offset": 1, "limit": 2}).json()
    assert [row["request"]["text"] for row in listed["data"]] == ["three", "four"]
    assert listed["total"] == 4

    one = client.get(f"/api/jobs/{job['id']}/rows/1/audio")
    assert sound(one.content) == (24_000, 12_000)
    assert "first.wav" in one.headers["content-disposition"]
    for audio_format, magic in (("mp3", b"\xff"), ("flac", b"fLaC"), ("opus", b"OggS")):
        for path in ("rows/2/audio", "joined"):
            answer = client.get(f"/api/jobs/{job['id']}/{path}", params={"format": audio_format})
            assert answer.content.startswith(magic), (path, audio_format)

    joined = client.get(f"/api/jobs/{job['id']}/joined")
    # 5 words of 0.25 s, 1 s after the first and the second row, 2 s after the third.
    assert sound(joined.content) == (24_000, int(24_000 * (1.25 + 1 + 1 + 2)))
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"/api/jobs/{job['id']}/zip").content))
    assert archive.testzip() is None
    names = archive.namelist()
    assert names == ["manifest.json", "joined.srt", "first.wav", "0002-three.wav", "0003-four.wav", "0004-five.wav"]
    assert archive.read("first.wav") == one.content
    assert len(json.loads(archive.read("manifest.json"))["rows"]) == 4
    vtt = client.get(f"/api/jobs/{job['id']}/subtitles", params={"format": "vtt"}).text
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.500\none two\n\n00:00:01.500 --> 00:00:01.750\nthree\n")


def test_a_file_is_taken_and_its_wrong_lines_are_listed(client: httpx.Client) -> None:
    table = "text;voice;speed\none;low;1\ntwo;low;quick\n[speed=banana]x;;\nthree;;\n".encode("gbk")
    answer = client.post("/api/jobs", params={"name": "表.csv", "start": "no"}, content=table)
    job = answer.json()
    assert answer.status_code == 201
    assert (job["title"], job["format"], job["state"]) == ("表.csv", "csv", "paused")
    assert job["counts"]["total"] == 2
    assert [(problem["line"], bool(problem["fix"])) for problem in job["problems"]] == [(3, True), (4, True)]
    path = f"/api/jobs/{job['id']}"

    assert client.get(f"{path}/joined").status_code == 409
    changed = client.patch(f"{path}/rows/2", json={"text": "three four", "voice": "low", "emotion": {"happy": 0.5}})
    assert changed.json()["request"] == {"text": "three four", "voice": "low", "emotion": {"happy": 0.5}}
    wrong = client.patch(f"{path}/rows/2", json={"speed": 9})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "speed")
    assert client.post(f"{path}/resume").json()["state"] in ("queued", "running")
    finished(client, job["id"])
    assert client.get(f"{path}/rows/2").json()["audio_s"] == 0.5
    assert "filename*=UTF-8''%E8%A1%A8.zip" in client.get(f"{path}/zip").headers["content-disposition"]

    listed = client.get("/api/jobs", params={"limit": 1}).json()
    assert [one["id"] for one in listed["data"]] == [job["id"]]
    assert client.get("/api/jobs", params={"before": listed["next"]}).json()["data"][0]["id"] != job["id"]
    assert client.delete(path).json() == {"removed": 1}
    assert client.get(path).status_code == 404
    assert client.get(f"/v1/jobs/{job['id']}").json()["error"]["type"] == "not_found_error"


def test_a_row_that_fails_says_why_and_can_be_retried(client: httpx.Client) -> None:
    job = made(client, rows=[{"text": "one", "voice": "nobody"}, "[raise]", "two"])
    path = f"/api/jobs/{job['id']}"
    ended = finished(client, job["id"], "failed")
    assert (ended["counts"]["failed"], ended["counts"]["done"]) == (2, 1)
    row = client.get(f"{path}/rows/1").json()
    assert "nobody" in row["error"]["message"] and row["error"]["fix"]
    assert client.get(f"{path}/rows/1/audio").status_code == 409
    client.patch(f"{path}/rows/1", json={"voice": "low"})
    wait_until(lambda: client.get(f"{path}/rows/1").json()["state"] == "done", "the row")
    client.patch(f"{path}/rows/2", json={"text": "three"})
    assert finished(client, job["id"])["counts"]["done"] == 3
    again = client.post(f"{path}/rows/3/retry").json()
    assert (again["state"], again["has_audio"]) in (("queued", False), ("running", False), ("done", True))
    finished(client, job["id"])


@pytest.mark.parametrize(
    ("params", "body", "param"),
    [
        ({}, {"rows": "x"}, "rows"),
        ({}, {"rows": []}, "rows"),
        ({}, {"rows": ["one"], "gap_s": -1}, "gap_s"),
        ({}, {"rows": ["one"], "nonsense": 1}, "nonsense"),
        ({}, {"rows": ["one"], "start": "maybe"}, "start"),
        ({}, {"rows": ["one"], "defaults": {"text": "x"}}, "defaults"),
        ({}, {"rows": ["one"], "defaults": {"speed": 99}}, "rows"),
        ({}, {"content": "one", "format": "doc"}, "format"),
        ({"name": "x.txt", "max_tempo": "quick"}, b"one", "max_tempo"),
        ({"name": "x.txt"}, b"", "file"),
        ({"name": "x.txt"}, b"\x89PNG\xff\x00", "file"),
        ({"name": "x.jsonl"}, b"{", "rows"),
    ],
)
def test_what_is_wrong_is_named(client: httpx.Client, params: dict[str, str], body: Any, param: str) -> None:
    given = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = client.post("/api/jobs", params=params, **given)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    openai = client.post("/v1/jobs", params=params, **given).json()["error"]
    assert (openai["param"], openai["type"]) == (param, "invalid_request_error")


def test_events_tell_every_row_and_the_end(client: httpx.Client) -> None:
    job = made(client, rows=[f"row {number}" for number in range(5)])
    states: dict[int, str] = {}
    with client.stream("GET", f"/api/jobs/{job['id']}/events", params={"since": 0}) as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if name == "rows":
                    states.update({row["position"]: row["state"] for row in data})
                elif data["state"] == "done":
                    break
    assert states == dict.fromkeys(range(1, 6), "done")


def test_a_job_that_goes_while_its_rows_are_told_is_told_as_gone(tmp_path: Path) -> None:
    class Going(JobStore):
        def rows(self, job_id: str, **how: Any) -> list[JobRow]:
            self.remove(job_id)
            return super().rows(job_id, **how)

    store = Going(tmp_path)
    with page("unix:/nowhere", jobs=store) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        job = made(client, rows=["one"], start=False)
        told = client.get(f"/api/jobs/{job['id']}/events", params={"since": 0}).text
    store.close()
    assert told.startswith("event: removed\n")


def test_a_row_whose_file_somebody_took_away_says_so(tmp_path: Path, engine: WorkerProcess) -> None:
    store = JobStore(tmp_path)
    with page(engine.address, jobs=store) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        job = finished(client, made(client, rows=["one"])["id"])
        store.path(store.row(job["id"], 1)).unlink()
        for audio_format in ("wav", "mp3"):
            answer = client.get(f"/api/jobs/{job['id']}/rows/1/audio", params={"format": audio_format})
            assert (answer.status_code, answer.json()["error"]["code"]) == (410, "sound_gone"), audio_format
    store.close()


def test_pausing_holds_the_rest_and_cancelling_gives_it_up(client: httpx.Client, engine: WorkerProcess) -> None:
    slow = engine.folder / "tone.json"
    before = slow.read_text()
    slow.write_text(json.dumps({"chunk_s": 0.2}))
    try:
        job = made(client, rows=[f"row {number}" for number in range(30)])
        path = f"/api/jobs/{job['id']}"
        wait_until(lambda: client.get(path).json()["counts"]["done"] >= 1, "a row")
        assert client.post(f"{path}/pause").json()["state"] == "paused"
        wait_until(lambda: client.get(path).json()["counts"]["running"] == 0, "the row that was being spoken")
        done = client.get(path).json()["counts"]["done"]
        # Somebody at the page is served at once.
        assert client.post("/api/speak", json={"text": "hello"}).status_code == 200
        assert client.get(path).json()["counts"]["done"] == done
        client.post(f"{path}/resume")
        wait_until(lambda: client.get(path).json()["counts"]["done"] > done, "another row")
        cancelled = client.post(f"{path}/cancel").json()
        assert (cancelled["state"], cancelled["counts"]["queued"], cancelled["counts"]["running"]) == (
            "cancelled",
            0,
            0,
        )
        assert cancelled["counts"]["done"] + cancelled["counts"]["cancelled"] == 30
    finally:
        slow.write_text(before)
    assert client.post(f"{path}/retry").json()["counts"]["cancelled"] == 0
    assert finished(client, job["id"])["counts"]["done"] == 30


def test_subtitles_are_fitted_to_their_times(client: httpx.Client) -> None:
    # A word is 0.25 s: the first row fits, the second one by stretching, the third one cannot.
    srt = (
        "1\n00:00:01,000 --> 00:00:02,000\none two\n\n2\n00:00:02,500 --> 00:00:02,920\na b\n\n"
        "3\n00:00:03,000 --> 00:00:03,500\na b c d e f\n\n4\n00:00:04,000 --> 00:00:05,000\nlast\n"
    )
    job = finished(client, made(client, content=srt, format="srt", max_tempo=1.5)["id"])
    assert job["overruns"] == 1
    rows = client.get(f"/api/jobs/{job['id']}/rows").json()["data"]
    assert "stretch" not in rows[0]["fit"] and rows[0]["audio_s"] == pytest.approx(0.5, abs=0.05)
    assert rows[1]["fit"]["stretch"] > 1 and rows[1]["audio_s"] <= 0.42 + 0.04
    assert rows[2]["fit"]["overrun_s"] == pytest.approx(rows[2]["audio_s"] - 0.5, abs=0.002)
    assert rows[2]["audio_s"] >= 1.5 / 1.5 - 0.05
    shown = client.get(f"/api/jobs/{job['id']}/subtitles").text.split("\n\n")
    assert [block.split("\n")[1].split(" --> ")[0] for block in shown] == [
        "00:00:01,000",
        "00:00:02,500",
        "00:00:03,000",
        f"00:00:0{max(4.0, 3 + rows[2]['audio_s']):.3f}".replace(".", ","),
    ]
    rate_hz, samples = sound(client.get(f"/api/jobs/{job['id']}/joined").content)
    assert samples / rate_hz == pytest.approx(max(4.0, 3 + rows[2]["audio_s"]) + rows[3]["audio_s"], abs=0.001)


SRT = b"1\n00:00:01,000 --> 00:00:03,000\none two\n\n2\n00:00:04,000 --> 00:00:05,000\nthree\n"


@pytest.mark.parametrize("path", ["/api/jobs", "/v1/jobs"])
def test_a_file_may_come_in_a_form(client: httpx.Client, path: str) -> None:
    fields = {"title": "Übung", "start": "no", "gap_s": "1.5", "defaults": '{"voice": "low"}'}
    answer = client.post(path, files={"file": ("../x.SRT", SRT, "text/plain")}, data=fields)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert (job["title"], job["format"], job["state"], job["options"]["gap_s"]) == ("Übung", "srt", "paused", 1.5)
    rows = client.get(f"{path}/{job['id']}/rows").json()["data"]
    assert [row["request"] for row in rows] == [{"text": text, "voice": "low"} for text in ("one two", "three")]
    # As curl sends it: the file's name says what it is, or the address does, or its beginning.
    for name, query in (("list.srt", ""), ("-", "?format=srt"), ("-", "")):
        assert client.post(path + query, files={"anything": (name, SRT)}).json()["format"] == "srt"


def test_a_wrong_form_is_refused(client: httpx.Client) -> None:
    file = ("a.txt", b"one")
    for said, parts in (
        ("no file", {"files": {"title": (None, "x")}}),
        ("Too many files", {"files": {"a": file, "b": file}}),
        ("'nonsense'", {"files": {"file": file}, "data": {"nonsense": "1"}}),
        ("start='perhaps'", {"files": {"file": file}, "data": {"start": "perhaps"}}),
        ("maximum size", {"files": {"file": file}, "data": {"defaults": "x" * (MAX_FIELD_BYTES + 1)}}),
        ("Too many fields", {"files": {"file": file}, "data": {f"field {n}": "" for n in range(20)}}),
        ("defaults='[", {"files": {"file": file}, "data": {"defaults": "[" * 100_000}}),
        ("empty", {"files": {"file": ("a.txt", b"")}}),
    ):
        for path in ("/api/jobs", "/v1/jobs"):
            answer = client.post(path, **parts)  # type: ignore[arg-type]
            assert (answer.status_code, said in answer.json()["error"]["message"]) == (400, True), answer.text
    large = client.post("/v1/jobs", files={"file": ("a.txt", b"one\n" * (MAX_FILE_BYTES // 4 + 1))})
    assert large.status_code == 413 and large.json()["error"]["type"] == "invalid_request_error"
    cut = client.post("/v1/jobs", content=b"--x\r\n", headers={"content-type": "multipart/form-data"})
    assert cut.status_code == 400 and cut.json()["error"]["message"]


def test_the_batch_of_the_speech_api(client: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "onyx", "response_format": "wav", "items": [{"input": "one two"}, "three"]}
    answer = client.post("/v1/audio/speech/batch", json=body).json()
    assert (answer["total"], answer["succeeded"], answer["failed"]) == (2, 2, 0)
    assert [sound(base64.b64decode(item["audio_data"]))[1] for item in answer["results"]] == [12_000, 6_000]
    assert answer["results"][0]["media_type"] == "audio/wav"
    assert client.get(f"/v1/jobs/{answer['id']}").status_code == 404
    mixed = client.post("/v1/audio/speech/batch", json={"items": [{"input": "one", "voice": "nobody"}, "two"]}).json()
    assert [item["status"] for item in mixed["results"]] == ["error", "success"]
    assert "nobody" in mixed["results"][0]["error"]
    for wrong in (
        {"items": []},
        {"items": [{"input": ""}]},
        {"items": ["x"], "response_format": "doc"},
        {"items": [1]},
    ):
        refused = client.post("/v1/audio/speech/batch", json=wrong)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error"), wrong
    later = client.post("/v1/audio/speech/batch", json={**body, "background": True})
    assert later.status_code == 202
    assert later.headers["location"] == f"/v1/jobs/{later.json()['id']}"
    finished(client, later.json()["id"])


def test_the_instructions_of_a_batch_are_followed_word_for_word(client: httpx.Client) -> None:
    items = [
        "one",
        {"input": "two", "instructions": "Very happy, please."},
        {"input": "three", "instructions": "Like a pirate."},
        {"input": "four", "emotion": {"calm": 1}, "speed": 1},
        {"input": "five", "instructions": ""},
    ]
    body = {"items": items, "instructions": "Say it sadly, slowly.", "response_format": "flac"}
    answer = client.post("/v1/audio/speech/batch", json=body).json()
    assert answer["succeeded"] == 5
    told = [(item.get("instructions"), item.get("ignored_fields")) for item in answer["results"]]
    assert told == [
        ("sad=0.6,speed=0.85", None),
        ("happy=0.9", None),
        *[(None, ["instructions"])] * 2,
        (None, None),
    ]
    job = finished(client, client.post("/v1/audio/speech/batch", json={**body, "background": True}).json()["id"])
    requests = [row["request"] for row in client.get(f"/v1/jobs/{job['id']}/rows").json()["data"]]
    assert [request.get("emotion") for request in requests] == [
        {"sad": 0.6},
        {"happy": 0.9},
        None,
        {"calm": 1},
        None,
    ]
    assert requests[0]["speed"] == 0.85


def test_another_page_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    with worker(tmp_path, chunk_s=0.05) as engine:
        with page(engine.address, jobs=store) as address:
            answer = httpx.post(f"{address}/api/jobs", json={"rows": [f"row {number}" for number in range(12)]})
            path = f"/api/jobs/{answer.json()['id']}"
            wait_until(lambda: httpx.get(address + path).json()["counts"]["done"] >= 2, "two rows")
        before = store.job(answer.json()["id"]).counts
        assert before["queued"] + before["done"] == 12 and before["queued"]
        store.close()
        store = JobStore(tmp_path / "jobs")
        with page(engine.address, jobs=store) as address:
            wait_until(lambda: httpx.get(address + path).json()["state"] == "done", "all rows")
            assert [row.attempts for row in store.rows(answer.json()["id"])] == [1] * 12
        begun = [line for line in engine.log() if line.startswith("begin")]
    store.close()
    assert 12 <= len(begun) <= 13  # the one that was being spoken is spoken again


def test_an_engine_that_dies_costs_a_row_nothing_unless_the_row_kills_it(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    with worker(tmp_path) as engine, page(engine.address, jobs=store, patience_s=0.2) as address:
        answer = httpx.post(f"{address}/api/jobs", json={"rows": ["one", "[crash]", "two"]})
        path = f"{address}/api/jobs/{answer.json()['id']}"
        deaths = 0
        while httpx.get(path).json()["state"] != "failed":
            if engine.process.poll() is not None:
                deaths += 1
                engine.start()
            time.sleep(0.05)
        rows = httpx.get(f"{path}/rows").json()["data"]
    store.close()
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert "every time" in rows[1]["error"]["message"] and rows[1]["error"]["fix"]
    assert deaths >= 2


def test_as_many_rows_at_once_as_there_are_engines(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    store = JobStore(tmp_path / "jobs")
    with (
        worker(folders[0], chunk_s=0.1) as first,
        worker(folders[1], chunk_s=0.1) as second,
        page(first.address, jobs=store, further_engine_addresses=(second.address,)) as address,
    ):
        answer = httpx.post(f"{address}/api/jobs", json={"rows": [f"row {number}" for number in range(8)]})
        path = f"{address}/api/jobs/{answer.json()['id']}"
        wait_until(lambda: httpx.get(path).json()["counts"]["running"] == 2, "two rows at once")
        wait_until(lambda: httpx.get(path).json()["state"] == "done", "all rows")
        begun = [sum(line.startswith("begin") for line in engine.log()) for engine in (first, second)]
    store.close()
    assert sum(begun) == 8 and min(begun) >= 2
