"""A disk of the library's own that is full: every change is refused in one sentence, and nothing is lost."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.engine.processes import WorkerProcess, page, wait_until
from tests.mounting import fill, mount
from webui.jobs.store import JobStore
from webui.library.library import Library

TEXT = "word " * 3000


def recording(seed: int) -> bytes:
    """Four seconds of something loud."""
    noise = np.random.default_rng(seed).normal(0, 4000, 4 * 48_000)
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(np.clip(noise, -32768, 32767).astype("<i2").tobytes())
    return target.getvalue()


def kept(client: httpx.Client) -> dict[str, Any]:
    """Everything that is stored, but for when it was looked at."""
    return {path: client.get(path).json() for path in ("/api/presets", "/api/glossary", "/api/voices", "/api/jobs")}


def refused_changes(preset_id: str, voices: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything that needs room."""
    many = {"rows": [TEXT] * 40}
    terms = "".join(f"term {n}: {'x' * 90}\n" for n in range(900))
    return [
        ("POST", "/api/presets", {"json": {"name": "two", "state": {"request": {"text": TEXT}}}}),
        ("PATCH", f"/api/presets/{preset_id}", {"json": {"state": {"request": {"text": TEXT}}}}),
        ("POST", "/api/presets/import?name=three", {"content": recording(2)}),
        ("POST", "/api/glossary/import", {"content": terms}),
        ("POST", "/api/voices?name=more", {"content": recording(3)}),
        ("POST", "/v1/audio/voices", {"data": {"name": "other"}, "files": {"audio_sample": ("a.wav", recording(4))}}),
        ("POST", "/api/voices/import", {"content": voices}),
        ("POST", "/api/jobs", {"json": many}),
        ("POST", "/v1/audio/speech/batch", {"json": {"items": many["rows"], "background": True}}),
    ]


def test_a_full_disk_refuses_in_a_sentence_and_loses_nothing(engine: WorkerProcess, mounted: Path) -> None:
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mounted))
    filler = mounted / "filler"
    library, jobs = Library(mounted / "library"), JobStore(mounted / "jobs")
    with (
        page(engine.address, library=library, jobs=jobs) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        preset = client.post("/api/presets", json={"name": "one", "state": {"request": {"text": "one"}}}).json()
        term = client.post("/api/glossary", json={"term": "GPU", "en": "gee pee you"}).json()
        voice = client.post("/api/voices?name=mine", content=recording(1)).json()
        job = client.post("/api/jobs", json={"rows": ["one"], "start": False}).json()
        assert client.post("/api/speak", json={"text": "one two"}).status_code == 200
        take = wait_until(lambda: client.get("/api/history").json()["takes"], "the take")[0]
        before = kept(client)
        fill(filler)
        changes = refused_changes(preset["id"], client.get("/api/voices/export").content)
        for method, path, body in changes:
            answer = client.request(method, path, **body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (507, "disk_full"), (path, answer.text)
            said = f"{error['message']} {error.get('fix', '')}"
            assert "is full" in said and "Free space there" in said, said
        # What is there stays, is found, and can be heard; and who asks for speech does not notice.
        assert kept(client) == before
        assert client.get(f"/api/history/{take['id']}/audio?format=wav").status_code == 200
        assert client.post("/api/speak", json={"text": "one two"}).status_code == 200
        filler.unlink()
        for method, path, body in changes:
            if "import?" not in path:  # a recording is no preset
                assert client.request(method, path, **body).is_success, path
        assert len(client.get("/api/presets").json()["presets"]) == 2
        assert client.delete(f"/api/glossary/{term['id']}").is_success
        assert client.delete(f"/api/voices/{voice['id']}").is_success
        assert client.post(f"/api/jobs/{job['id']}/cancel").is_success
    library.close()
    jobs.close()
    assert not list(mounted.rglob("parts/*"))


def test_what_takes_room_can_be_deleted_on_a_full_disk(engine: WorkerProcess, mounted: Path) -> None:
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mounted))
    library = Library(mounted / "library")
    with (
        page(engine.address, library=library) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        for _ in range(3):
            assert client.post("/api/speak", json={"text": "one two"}).status_code == 200
        takes = wait_until(lambda: len(found := client.get("/api/history").json()["takes"]) == 3 and found, "takes")
        fill(mounted / "filler")
        assert client.delete(f"/api/history/{takes[0]['id']}").is_success
        assert client.post("/api/history/delete", json={"ids": [take["id"] for take in takes[1:]]}).is_success
        assert client.get("/api/history").json()["total"] == 0
        assert not list((mounted / "library" / "takes").iterdir())
    library.close()


def test_a_form_that_the_disk_cannot_hold_is_told_so(
    engine: WorkerProcess, tmp_path: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mounted))
    library, jobs = Library(tmp_path / "library"), JobStore(tmp_path / "jobs")
    with page(engine.address, library=library, jobs=jobs) as address:
        monkeypatch.setattr("tempfile.tempdir", str(mounted))
        for path, name in (("/api/jobs", "file"), ("/v1/audio/voices", "audio_sample")):
            answer = httpx.post(address + path, files={name: ("a.txt", b"one\n" * 600_000)}, timeout=60)
            assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full"), answer.text
    library.close()
    jobs.close()


def test_a_batch_waits_for_room_and_then_speaks_every_row(engine: WorkerProcess, mounted: Path) -> None:
    mount("-t", "tmpfs", "-o", "size=90m", "tmpfs", str(mounted))
    filler, jobs = mounted / "filler", JobStore(mounted / "jobs")
    with page(engine.address, jobs=jobs) as address, httpx.Client(base_url=address, timeout=60) as client:
        job = f"/api/jobs/{client.post('/api/jobs', json={'rows': ['one two three'] * 60}).json()['id']}"
        wait_until(lambda: client.get(job).json()["counts"].get("done", 0) > 2, "some rows")
        fill(filler)
        told = wait_until(lambda: said_of(client.get(job).json()), "why it does not go on")
        assert "is full" in told, told
        filler.unlink()
        stopped = wait_until(lambda: stands(client.get(job).json(), "paused", "done"), "its end")
        assert stopped["state"] == "done" or "resume" in stopped["note"]["fix"], stopped
        client.post(f"{job}/resume")
        assert wait_until(lambda: stands(client.get(job).json(), "done"), "every row")["counts"]["done"] == 60
    jobs.close()


def said_of(job: dict[str, Any]) -> str:
    """Why a job does not go on."""
    return str(job.get("waiting_for") or (job.get("note") or {}).get("message") or "")


def stands(job: dict[str, Any], *states: str) -> dict[str, Any] | None:
    """The job, when it is in one of these states."""
    return job if job["state"] in states else None
