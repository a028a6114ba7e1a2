"""Attacks on the mounted page with a library: each with what an attacker would do, over a real server.

`docs/security.md` has the table; a row there names its test here or beside this file.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile
from gradio_client import Client
from gradio_client.exceptions import AppError

from launcher.errors import SpeechError
from tests.engine.processes import page, worker
from tests.guard.test_file_access import mount_ui
from tests.library.recordings import voiced, write
from webui.library.decoding import Decoder, decode
from webui.library.library import Library
from webui.temporary import sweep

SCRIPT = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


class Canary:
    """A server that nobody should ever ask."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.sock.getsockname()[1]}"
        self.asked = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.asked += 1
            connection.close()


class Target:
    def __init__(self, address: str, folder: Path, library: Library) -> None:
        self.address, self.folder, self.library = address, folder, library
        self.http = httpx.Client(base_url=address, timeout=60)

    def add(self, content: bytes, name: str = "x") -> httpx.Response:
        return self.http.post("/v1/audio/voices", data={"name": name}, files={"audio_sample": ("../../a.wav", content)})


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    library = Library(folder / "library")
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    try:
        with (
            worker(folder) as engine,
            page(engine.address, mount_page=mount_ui, library=library, temp_dir=str(folder / "tmp")) as address,
        ):
            yield Target(address, folder, library)
    finally:
        del os.environ["GRADIO_TEMP_DIR"]
        library.close()


def test_gradio_client_speaks_and_gets_no_other_file(target: Target) -> None:
    client = Client(target.address, verbose=False, download_files=str(target.folder / "downloads"))
    spoken = client.predict("one two", api_name="/speak")
    assert soundfile.info(spoken).duration == pytest.approx(0.5)
    assert client.predict(text="one", voice="low", emotion={"happy": 0.5}, audio_format="mp3", api_name="/speak")
    with pytest.raises(AppError, match="empty"):
        client.predict("", api_name="/speak")
    secret = target.folder / "tmp" / "spoken" / "secret.wav"
    secret.write_bytes(b"RIFF secret")
    for path in (secret, "/etc/passwd", target.folder / "library" / "library.sqlite3"):
        assert target.http.get(f"/gradio_api/file={path}").status_code >= 400
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for value in (file, {"data": file}, [file], json.dumps(file)):
        for call in ("call/speak", "run/speak", "api/speak"):
            heard = target.http.post(f"/gradio_api/{call}", json={"data": [value]}).text
            assert "root:" not in heard


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/proxy=http://a.example/x"),
        *("/gradio_api/stream/a/b/1/playlist.m3u8", "/gradio_api/deep_link", "/gradio_api/vibe-code/"),
        *("/gradio_api/process_recording", "/gradio_api/upload_progress", "/proxy=http://a.example/x", "/monitoring"),
        *("/dev/reload", "/runs", "/run-history/records", "/profiling/traces", "/custom_component/a/b/c/d", "/token"),
    ],
)
def test_what_gradio_has_and_nobody_needs_is_closed(target: Target, path: str) -> None:
    for method in ("GET", "POST"):
        assert target.http.request(method, path, content=b"{}").status_code == 404, (method, path)


def test_the_server_fetches_nothing_for_anybody(target: Target) -> None:
    canary = Canary()
    url = f"{canary.address}/voice.wav"
    file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
    for field in ("reference", "emotion_reference", "voice", "input", "instructions", "glossary"):
        target.http.post("/v1/audio/speech", json={"input": "one", field: url})
        target.http.post("/api/speak", json={"text": "one", field: url})
    for call in ("call/speak", "run/speak", "api/speak"):
        target.http.post(f"/gradio_api/{call}", json={"data": [file, url]})
    for path in (f"/gradio_api/file={url}", f"/gradio_api/proxy={url}", f"/proxy={url}", f"/file={url}"):
        answer = target.http.get(path, follow_redirects=False)
        assert answer.status_code >= 400, path
    target.http.post("/v1/audio/voices", data={"name": "x", "audio_sample": url, "url": url})
    assert canary.asked == 0


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/....//....//etc/passwd",
        "/assets/../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/svelte/..%2f..%2f..%2fetc/passwd",
        "/gradio_api/file=..%2f..%2f..%2fetc/passwd",
        "/docs/..%2f..%2fcore.py",
        "/api/voices/..%2f..%2flibrary.sqlite3/audio",
        "/v1/audio/voices/..%2f..%2flibrary.sqlite3",
        "/api/history/..%2f..%2flibrary.sqlite3/audio",
        "/%00/etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out(target: Target, path: str) -> None:
    host, port = target.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := sock.recv(65536):
            answer += data
    assert b"root:" not in answer and b"SQLite format" not in answer
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]


def test_names_are_text_wherever_they_are_shown(target: Target) -> None:
    content = write(target.folder / "given.wav", voiced(3.5)).read_bytes()
    answer = target.add(content, SCRIPT)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    voice_id = answer.json()["id"]
    for path in ("/v1/audio/voices", "/api/voices", f"/api/voices/{voice_id}", "/api/info"):
        shown = target.http.get(path, headers={"accept": "text/html"})
        assert "html" not in shown.headers["content-type"] and shown.headers["x-content-type-options"] == "nosniff"
    sound = target.http.get(f"/api/voices/{voice_id}/audio")
    assert sound.headers["content-type"] == "audio/wav"
    assert "\n" not in sound.headers.get("content-disposition", "") and "<" not in sound.headers["content-disposition"]
    assert SCRIPT not in target.http.get("/", headers={"accept": "text/html"}).text
    wrong = target.http.get(f"/{SCRIPT}", headers={"accept": "text/html"})
    assert "<script>alert" not in wrong.text


def silence(seconds: int, rate_hz: int, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format="FLAC", subtype="PCM_16") as file:
        block = np.zeros((rate_hz, channels), np.int16)
        block[0] = 1
        for _ in range(seconds):
            file.write(block)
    return buffer.getvalue()


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.mark}",))


def wav_that_claims(frames: int, channels: int = 1, rate_hz: int = 24_000) -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, rate_hz * 2 * channels, 2 * channels, 16)
    data = struct.pack("<4sI", b"data", min(0xFFFFFFFF, frames * 2 * channels)) + b"\0" * 1000
    return struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE") + fmt + data


def test_no_upload_becomes_a_voice_that_is_none(target: Target, tmp_path: Path) -> None:
    mark = tmp_path / "broken"
    before = len(target.library.voices.all())
    uploads = {
        "an hour of silence": silence(3600, 8_000),
        "a lying header": wav_that_claims(2**31),
        "1000 channels": wav_that_claims(10, channels=1000),
        "no rate": wav_that_claims(10, rate_hz=1),
        "a pickle": pickle.dumps(Bomb(mark)),
        "a pickle behind a header": b"RIFF" + pickle.dumps(Bomb(mark)),
        "numpy's pickle": _numpy_pickle(mark),
        "a zip": _zip_bomb(),
        "a script": b"#!/bin/sh\ntouch " + str(mark).encode(),
        "a page": b"<html><script>alert(1)</script>",
        "a playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "nothing much": b"\0" * 100_000,
    }
    for what, content in uploads.items():
        answer = target.add(content)
        assert answer.status_code == 400, (what, answer.text)
        error = answer.json()["error"]
        assert "\n" not in error["message"] and str(target.folder) not in error["message"], what
    assert not mark.exists()
    assert len(target.library.voices.all()) == before
    left = [path for path in (target.folder / "library").rglob("*") if path.suffix in (".upload", ".part")]
    assert not left


def _numpy_pickle(mark: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _zip_bomb(size_bytes: int = 300_000_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("voices.json", "w") as entry:
            for _ in range(size_bytes // 1_000_000):
                entry.write(b"\0" * 1_000_000)
        for name in ("../../../../tmp/escaped", "/etc/escaped", "C:\\escaped", "presets.json"):
            archive.writestr(name, b"escaped")
    return buffer.getvalue()


def test_an_archive_cannot_swell_or_write_beside_its_folder(target: Target) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    bomb = _zip_bomb()
    for path in ("/api/voices/import", "/api/presets/import"):
        answer = target.http.post(path, content=bomb)
        done = answer.json()
        assert answer.status_code == 400 or (done["refused"] and not done["presets"]), answer.text
    assert process.memory_info().rss - before < 150_000_000, "the bomb was unpacked into memory"
    assert not Path("/tmp/escaped").exists() and not Path("/etc/escaped").exists()
    sizes = [path.stat().st_size for path in (target.folder / "library").rglob("*") if path.is_file()]
    assert sum(sizes) < 50_000_000


def test_a_decoder_that_crashes_or_hangs_takes_nothing_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", voiced(3.5))
    assert decode(path).duration_s > 1
    for action in ("import os; os.abort()", "print('{')", "import time; time.sleep(1000)"):
        with Decoder((sys.executable, "-c", action), patience_s=1.0) as decoder, pytest.raises(SpeechError) as refused:
            decoder.read(path)
        assert refused.value.code == "unreadable_recording"


def test_the_decoder_has_bounds_and_ends_with_whoever_asked(tmp_path: Path) -> None:
    program = (
        "import os, sys, resource, webui.library.decoding as d; d._bound();"
        "print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_FSIZE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [str(3 * 2**30), "0"]
    with Decoder() as decoder:
        decoder.read(write(tmp_path / "a.wav", voiced(3.5)))
        assert decoder._process is not None
        pid = decoder._process.pid
    assert not psutil.pid_exists(pid)


def test_temporary_files_go_by_age_and_when_there_is_too_much(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * 1000)
    folder = tmp_path / "tmp"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    now = time.time()
    for name, age_s in (("old", 7200), ("deep/er/older", 9000), ("a", 600), ("b", 500), ("young", 1)):
        (folder / name).write_bytes(b"x" * 1000)
        os.utime(folder / name, (now - age_s, now - age_s))
    assert sweep(folder, max_bytes=10**9, max_age_s=3600, now=now) == 2
    assert not (folder / "deep" / "er").exists() and (folder / "deep").exists()
    assert sweep(folder, max_bytes=1500, max_age_s=3600, now=now) == 2
    assert {path.name for path in folder.iterdir()} == {"deep", "link", "young"}
    assert outside.exists()


def test_header_poisoning_reaches_no_answer(target: Target) -> None:
    for name in ("host", "x-forwarded-host", "x-forwarded-prefix", "x-original-url", "x-rewrite-url", "referer"):
        answer = target.http.get("/", headers={name: "evil.example", "accept": "text/html"})
        assert "evil.example" not in answer.text.replace("&quot;evil.example&quot;", "") or answer.status_code == 421
        assert "evil.example" not in json.dumps(dict(answer.headers))
    for value in ("a\r\nX-Injected: 1", "a\nSet-Cookie: b=c"):
        answer = target.http.post("/v1/audio/speech", json={"input": "one", "instructions": value, "voice": "low"})
        assert "x-injected" not in answer.headers and "set-cookie" not in answer.headers


def test_an_error_of_gradios_is_one_line_of_the_log(target: Target, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("queue/join", "call/speak%0a2026-11-21 ERROR page forged"):
        answer = target.http.post(f"/gradio_api/{path}", json={"data": [], "fn_index": -1, "session_hash": "a"})
        assert answer.status_code >= 400, answer.text
        assert target.http.get("/healthz").status_code == 200, "the connection was broken"
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if "\n" in record.getMessage()] == []
