"""Jobs over HTTP: a real page's server in front of a real engine's process that speaks tones."""

from __future__ import annotations

import io
import json
import wave
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.engine.processes import PATIENCE_S, WorkerProcess, page, wait_until, worker
from webui.jobs.store import JobStore


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with worker(tmp_path_factory.mktemp("engine")) as process:
        yield process


@pytest.fixture(scope="module")
def client(engine: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    store = JobStore(tmp_path_factory.mktemp("jobs") / "jobs")
    with page(engine.address, jobs=store, max_text_chars=200) as address:
        with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
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
