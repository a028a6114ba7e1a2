"""The library over HTTP, with engines that clone and that do not; takes kept on the way."""

from __future__ import annotations

import io
import json
import os
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from launcher.frames import PCM, FrameReader
from tests.engine.processes import PATIENCE_S, WorkerProcess, page, wait_until
from tests.library.recordings import voiced, write
from webui.library.library import Library

CLONER = "tests.library.cloning_engine:CloningEngine"
MARKUP = '<img src=x onerror="window.broken=1">'


@dataclass
class Place:
    """A page with a library."""

    http: httpx.Client
    engine: WorkerProcess
    library: Library
    folder: Path

    def sound(self, pitch: float = 150.0) -> bytes:
        return write(self.folder / "given.wav", voiced(3.5, pitch=pitch)).read_bytes()

    def add_voice(self, name: str, pitch: float = 150.0, **given: str) -> dict[str, Any]:
        answer = self.http.post("/api/voices", params={"name": name, **given}, content=self.sound(pitch))
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def speak(self, **request: Any) -> tuple[list[Any], httpx.Response]:
        answer = self.http.post("/api/speak", json=request)
        return FrameReader().feed(answer.content) if answer.status_code == 200 else [], answer

    def given(self) -> list[str]:
        return [line.removeprefix("given ") for line in self.engine.log() if line.startswith("given ")]

    def takes(self, **wanted: str) -> list[dict[str, Any]]:
        return list(self.http.get("/api/history", params=wanted).json()["takes"])

    def take(self, take_id: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            answer = self.http.get(f"/api/history/{take_id}")
            return dict(answer.json()) if answer.status_code == 200 else None

        return dict(wait_until(found, "the take"))


def place_of(folder: Path, engine: str) -> Iterator[Place]:
    (folder / "tone.json").write_text("{}")
    worker = WorkerProcess(folder, engine=engine).start()
    library = Library(folder / "library")
    try:
        worker.wait_ready()
        how = {"library": library, "max_body_bytes": 4_000_000, "temp_dir": str(folder / "temporary")}
        with page(worker.address, **how) as address:
            yield Place(httpx.Client(base_url=address, timeout=PATIENCE_S), worker, library, folder)
    finally:
        worker.close()
        library.close()


@pytest.fixture(scope="module")
def cloning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from place_of(tmp_path_factory.mktemp("cloning"), CLONER)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from place_of(tmp_path_factory.mktemp("plain"), "tests.engine.tone_engine:ToneEngine")


def test_a_recording_is_checked_and_becomes_a_voice(cloning: Place) -> None:
    checked = cloning.http.post("/api/voices/check", content=cloning.sound(140))
    assert checked.json()["duration_s"] == pytest.approx(3.5, abs=0.4)
    assert checked.json()["findings"] == []
    voice = cloning.add_voice(MARKUP, 140, tags="warm，low", language="zh", consent="Me.")
    assert (voice["name"], voice["tags"], voice["new"]) == (MARKUP, ["warm", "low"], True)
    assert cloning.add_voice("another name", 140)["new"] is False
    sound = cloning.http.get(f"/api/voices/{voice['id']}/audio")
    assert sound.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(voice["duration_s"], abs=0.001)
    changed = cloning.http.patch(f"/api/voices/{voice['id']}", json={"name": "Mia", "tags": []})
    assert (changed.json()["name"], changed.json()["tags"]) == ("Mia", [])
    assert cloning.http.delete(f"/api/voices/{voice['id']}").json() == {"removed": 1}
    assert cloning.http.get(f"/api/voices/{voice['id']}").status_code == 404


@pytest.mark.parametrize(
    ("params", "content", "status", "code"),
    [
        ({"name": "a"}, b"", 400, "empty_body"),
        ({"name": "a"}, b"no sound", 400, "unreadable_recording"),
        ({"name": "a", "start_s": "-1"}, b"x", 400, "invalid_value"),
        ({"name": "a", "start_s": "nan"}, b"x", 400, "invalid_value"),
        ({"name": "a", "trim": "maybe"}, b"x", 400, "invalid_value"),
        ({"name": "a"}, b"\0" * 5_000_000, 413, "body_too_large"),
    ],
)
def test_a_wrong_upload_is_refused(
    cloning: Place, params: dict[str, str], content: bytes, status: int, code: str
) -> None:
    answer = cloning.http.post("/api/voices", params=params, content=content)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert list(cloning.library.parts.iterdir()) == []


def test_a_recording_for_one_request_is_used_and_kept_nowhere(cloning: Place) -> None:
    answer = cloning.http.post("/api/recordings", params={"end_s": "2"}, content=cloning.sound(170))
    assert answer.status_code == 201
    sent = answer.json()
    assert sent["duration_s"] == pytest.approx(2, abs=0.3)
    [file] = (cloning.folder / "temporary" / "recordings").iterdir()
    assert file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0
    os.utime(file, (1, 1))
    _, answer = cloning.speak(text="one", voice="low", emotion_reference=sent["id"], emotion_mode="recording", seed=5)
    assert cloning.given()[-1].split("|")[1:3] == ["", str(file.resolve())]
    assert file.stat().st_mtime > 1, "it stays for as long as it is used"
    take = cloning.take(answer.headers["x-take-id"])
    assert take["request"]["emotion_reference"] == sent["id"]
    assert cloning.speak(text="one", reference=sent["id"])[1].status_code == 200
    assert cloning.given()[-1].split("|")[1] == str(file.resolve())
    assert soundfile.info(io.BytesIO(cloning.http.get(f"/api/recordings/{sent['id']}/audio").content)).duration < 3
    assert all(voice["id"] != sent["id"] for voice in cloning.http.get("/api/voices").json()["voices"])
    assert cloning.http.delete(f"/api/recordings/{sent['id']}").json() == {"removed": 1}
    _, answer = cloning.speak(text="one", emotion_reference=sent["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "recording_expired")
    assert answer.json()["error"]["param"] == "emotion_reference"


@pytest.mark.parametrize("name", ["nobody", "upload-", "..%2F..%2Flibrary.sqlite3", "upload-" + "0" * 32])
def test_no_other_file_is_reached_as_a_recording(cloning: Place, name: str) -> None:
    assert cloning.http.get(f"/api/recordings/{name}/audio").status_code in (404, 410)
    assert cloning.http.delete(f"/api/recordings/{name}").status_code in (200, 404)
    assert cloning.http.post("/api/recordings", content=b"no sound").json()["error"]["code"] == "unreadable_recording"


def test_an_engine_that_clones_speaks_with_a_voice_of_the_library(cloning: Place) -> None:
    voice = cloning.add_voice("Ann", 160)
    path = str(cloning.library.voices.path(cloning.library.voices.get(voice["id"])).resolve())
    assert voice["id"] in [offered["id"] for offered in cloning.http.get("/api/info").json()["voices"]]
    for name in (voice["id"], "ann"):
        _, answer = cloning.speak(text="one", voice=name, seed=5, emotion_reference=voice["id"])
        assert cloning.given()[-1] == f"|{path}|{path}||5"
    take = cloning.take(answer.headers["x-take-id"])
    assert (take["voice"], take["request"]["reference"], take["seed"]) == (voice["id"], "", 5)
    assert take["weights"] == {"some/model": "c0ffee"}
    assert path not in json.dumps(take)
    spoken = cloning.http.post("/v1/audio/speech", json={"input": "two", "voice": "Ann", "response_format": "wav"})
    assert spoken.status_code == 200
    assert cloning.given()[-1].startswith(f"|{path}|")
    assert cloning.take(spoken.headers["x-take-id"])["source"] == "api"
    wait_until(lambda: cloning.http.get(f"/api/voices/{voice['id']}").json()["uses"] == 3, "three uses")
    cloning.http.patch(f"/api/voices/{voice['id']}", json={"default": True})
    assert cloning.http.get("/api/info").json()["voices"][0]["id"] == voice["id"]
    cloning.speak(text="three")
    assert cloning.given()[-1].startswith(f"|{path}|")
    cloning.http.delete(f"/api/voices/{voice['id']}")


def test_a_file_that_was_taken_away_is_said_so(cloning: Place) -> None:
    voice = cloning.add_voice("Lost", 170)
    cloning.library.voices.path(cloning.library.voices.get(voice["id"])).unlink()
    _, answer = cloning.speak(text="one", voice=voice["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "recording_gone")
    assert cloning.http.get(f"/api/voices/{voice['id']}/audio").status_code == 410
    cloning.http.delete(f"/api/voices/{voice['id']}")


def test_an_engine_that_cannot_clone_says_so(plain: Place) -> None:
    voice = plain.add_voice("Ann")
    assert voice["id"] not in [offered["id"] for offered in plain.http.get("/api/info").json()["voices"]]
    _, answer = plain.speak(text="one", voice=voice["id"])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "cannot_clone"
    assert "'Ann' is a recording" in answer.json()["error"]["message"]


def test_the_glossary_reaches_engines_that_have_one_and_the_text_of_others(cloning: Place, plain: Place) -> None:
    for place in (cloning, plain):
        assert place.http.post("/api/glossary", json={"term": "SQL", "en": "sequel", "zh": "西扣"}).status_code == 201
    cloning.speak(text="SQL now", glossary={"now": "today"}, seed=1)
    assert cloning.given()[-1] == "|||SQL>sequel,now>today|1"
    cloning.speak(text="sql now", glossary={"sql": "mine"}, seed=1)
    assert cloning.given()[-1] == "|||sql>mine|1"
    cloning.speak(text="用SQL查询数据库", seed=1)
    assert cloning.given()[-1] == "|||SQL>西扣|1"
    cloning.speak(text="SQL", use_glossary=False, seed=1)
    assert cloning.given()[-1] == "||||1"
    _, answer = plain.speak(text="SQL now")
    assert "begin sequel now" in plain.engine.log()
    assert plain.take(answer.headers["x-take-id"])["text"] == "SQL now"
    exported = cloning.http.get("/api/glossary/export")
    assert "glossary.yaml" in exported.headers["content-disposition"]
    taken = cloning.http.post("/api/glossary/import", params={"replace": "yes"}, content=exported.content)
    assert taken.json() == {"added": 1, "changed": 0}
    [term] = cloning.http.get("/api/glossary").json()["terms"]
    assert cloning.http.patch(f"/api/glossary/{term['id']}", json={"en": MARKUP}).json()["en"] == MARKUP
    assert cloning.http.delete(f"/api/glossary/{term['id']}").json() == {"removed": 1}


def test_readings_are_the_engines_or_not_checked(cloning: Place, plain: Place) -> None:
    found = cloning.http.post("/api/readings", json={"text": "so la", "language": "en"}).json()
    assert (found["checked"], [reading["reading"] for reading in found["readings"]]) == (True, ["SO", "LA"])
    assert plain.http.post("/api/readings", json={"text": "so la"}).json()["checked"] is False
    assert cloning.http.post("/api/readings", json={"text": "x" * 501}).status_code == 400


def test_a_preset_over_http(plain: Place) -> None:
    body = {"name": MARKUP, "state": {"request": {"text": "Hi.", "speed": 1.5}}}
    preset = plain.http.post("/api/presets", json=body).json()
    assert plain.http.post("/api/presets", json=body).status_code == 409
    [listed] = plain.http.get("/api/presets").json()["presets"]
    assert "state" not in listed and listed["has_text"]
    assert plain.http.get(f"/api/presets/{preset['id']}").json()["state"] == body["state"]
    file = plain.http.get(f"/api/presets/{preset['id']}/file", params={"text": "no"})
    done = plain.http.post("/api/presets/import", content=file.content).json()
    assert done["presets"][0]["state"] == {"request": {"speed": 1.5}}
    assert plain.http.post("/api/presets/import", content=b"{}").json()["error"]["code"] == "bad_file"
    for found in plain.http.get("/api/presets").json()["presets"]:
        plain.http.delete(f"/api/presets/{found['id']}")


def test_a_take_is_kept_found_starred_heard_and_deleted(plain: Place) -> None:
    frames, answer = plain.speak(text="alpha beta", voice="low", speed=1.25)
    start = frames[0].event
    take = plain.take(answer.headers["x-take-id"])
    assert start["take"] == take["id"]
    assert (take["text"], take["voice"], take["engine"], take["source"]) == ("alpha beta", "low", "tone", "page")
    assert take["request"]["speed"] == 1.25
    assert take["duration_s"] == 0.5
    assert take["rtf"] == pytest.approx(take["synthesis_s"] / 0.5, abs=0.001)
    assert [(segment["text"], segment["start_s"]) for segment in take["segments"]] == [("alpha", 0.0), ("beta", 0.25)]
    sound, rate_hz = soundfile.read(
        io.BytesIO(plain.http.get(f"/api/history/{take['id']}/audio").content), dtype="int16"
    )
    assert rate_hz == 24_000
    assert sound.tobytes() == b"".join(frame.payload for frame in frames if frame.kind == PCM)
    as_mp3 = plain.http.get(f"/api/history/{take['id']}/audio", params={"format": "mp3"})
    assert as_mp3.headers["content-type"] == "audio/mpeg"
    assert "alpha-beta" in as_mp3.headers["content-disposition"]
    assert plain.http.patch(f"/api/history/{take['id']}", json={"starred": True}).json()["starred"]
    assert [found["id"] for found in plain.takes(starred="yes")] == [take["id"]]
    assert [found["id"] for found in plain.takes(q="BETA alph")] == [take["id"]]
    assert plain.takes(q="gamma") == []
    lines = plain.http.get("/api/history/export", params={"format": "jsonl", "starred": "yes"}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [take["id"]]
    exported = plain.http.get("/api/history/export", params={"ids": take["id"]})
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        assert archive.namelist() == ["takes.json", f"sound/{take['id']}.flac"]
    assert plain.http.post("/api/history/delete", json={"ids": [take["id"]]}).json() == {"removed": 1}
    assert plain.http.get(f"/api/history/{take['id']}").status_code == 404


def test_a_take_that_nobody_wants_is_not_kept(plain: Place) -> None:
    _, answer = plain.speak(text="quiet words", keep=False)
    assert answer.status_code == 200 and "x-take-id" not in answer.headers
    plain.take(plain.speak(text="after")[1].headers["x-take-id"])
    assert plain.takes(q="quiet") == []
    assert plain.speak(text="x", keep="no")[1].json()["error"]["param"] == "keep"


def test_a_take_that_was_not_spoken_to_its_end_is_not_kept(plain: Place) -> None:
    _, answer = plain.speak(text="one [raise]")
    end = plain.speak(text="after")[1].headers["x-take-id"]
    plain.take(end)
    assert plain.http.get(f"/api/history/{answer.headers['x-take-id']}").status_code == 404
    assert list(plain.library.parts.iterdir()) == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "before=x", "starred=1", "q=" + "a+" * 11, "since=inf", "format=exe"]
)
def test_a_wrong_question_is_refused(plain: Place, query: str) -> None:
    path = "/api/history/export" if "format" in query else "/api/history"
    assert plain.http.get(f"{path}?{query}").status_code == 400


def test_a_page_without_its_library_still_speaks(plain: Place) -> None:
    with page(plain.engine.address) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as http:
        assert http.post("/api/speak", json={"text": "one"}).status_code == 200
        away = http.get("/api/voices")
        assert (away.status_code, away.json()["error"]["code"]) == (503, "library_away")
