"""`say` as a person runs it: against a running page, with an engine of its own, with everything wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from launcher.cache.layout import instance_paths
from launcher.cli.speech_source import PrivateEngine, speech_source
from launcher.config import load
from launcher.errors import EngineError, SpeechError
from launcher.frames import PCM
from launcher.process.runfile import RunFile, RunRecord
from tests.engine.processes import ROOT, TONE, page, wait_until, worker

TOKEN = "geheim-秘密"


def say(data_dir: Path, *arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "LAUNCHER_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "launcher", "say", *arguments]
    return subprocess.run(
        command, check=False, input=stdin, env=environment, cwd=cwd or data_dir, capture_output=True, timeout=120
    )


@contextlib.contextmanager
def instance(data_dir: Path, address: str, token: str = "") -> Iterator[None]:
    """What a supervisor leaves for others to find: the held lock and the run record."""
    paths = instance_paths((data_dir, "default"))
    paths.root.mkdir(parents=True)
    host, _, port = address.removeprefix("http://").rpartition(":")
    run_file = RunFile(paths.run_file, paths.lock_file)
    with run_file.lock():
        run_file.write(RunRecord("default", "default:x", os.getpid(), 0.0, host, int(port), token=token))
        yield


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_it_speaks_through_the_running_instance(tmp_path: Path, data_dir: Path) -> None:
    with worker(tmp_path) as running, page(running.address, token=TOKEN) as address, instance(data_dir, address, TOKEN):
        done = say(data_dir, "one two", "-o", "out.wav", "--voice", "low", "--emotion", "happy=0.8,calm=0.2")
        assert done.returncode == 0, done.stderr
        assert b"out.wav (0.5 s)" in done.stdout
        with wave.open(str(data_dir / "out.wav")) as sound:
            assert (sound.getframerate(), sound.getnframes()) == (24_000, 12_000)

        again = say(data_dir, "one", "-o", "out.wav")
        assert again.returncode == 5
        assert b"exists already" in again.stderr and b"--force" in again.stderr
        assert (data_dir / "out.wav").stat().st_size == 44 + 24_000
        assert say(data_dir, "one", "-o", "out.wav", "--force").returncode == 0
        assert (data_dir / "out.wav").stat().st_size == 44 + 12_000

        shown = json.loads(say(data_dir, "one", "--json").stdout)
        assert shown["engine"] == "running" and shown["audio_s"] == 0.25
        assert (data_dir / shown["file"]).exists()

        for ending, magic in (("mp3", b"\xff"), ("flac", b"fLaC"), ("opus", b"OggS")):
            assert say(data_dir, "one two", "-o", f"out.{ending}").returncode == 0
            assert (data_dir / f"out.{ending}").read_bytes().startswith(magic)

        piped = say(data_dir, "-o", "-", stdin="你好 world".encode())
        assert piped.returncode == 0, piped.stderr
        with wave.open(io.BytesIO(piped.stdout)) as sound:
            assert len(sound.readframes(1 << 30)) == 2 * 12_000
        assert not list(data_dir.glob(".*part"))


def test_bad_input_is_one_sentence(tmp_path: Path, data_dir: Path) -> None:
    cases: list[tuple[list[str], bytes, int, str]] = [
        (["one", "--voice", "nobody"], b"", 8, "nobody"),
        (["one", "--emotion", "happy"], b"", 8, "happy"),
        (["one", "--emotion", "happy=nan"], b"", 8, "happy"),
        (["one", "--emotion", "happy=7"], b"", 8, "happy"),
        (["one", "--emotion", "bored=0.5"], b"", 8, "bored"),
        (["one", "--speed", "99"], b"", 8, "speed"),
        (["one", "--speed", "fast"], b"", 2, "fast"),
        (["one", "--intensity", "-1"], b"", 8, "intensity"),
        (["one", "--seed", "-1"], b"", 8, "seed"),
        (["one", "--language", "tlh"], b"", 8, "tlh"),
        (["one", "-o", "out.txt"], b"", 8, ".txt"),
        (["one", "-o", "no/such/folder.wav"], b"", 5, "no/such"),
        (["one", "-o", "-", "--json"], b"", 2, "--json"),
        ([""], b"", 8, "empty"),
        (["\x07\x08"], b"", 8, "text"),
        (["-"], b" \n", 8, "empty"),
        (["-"], b"\xff\xfe\x00", 8, "UTF-8"),
        (["x" * 30_000], b"", 8, "20"),
    ]
    with worker(tmp_path) as running, page(running.address) as address, instance(data_dir, address):
        for arguments, stdin, code, named in cases:
            done = say(data_dir, *arguments, stdin=stdin)
            words = (done.stderr + done.stdout).decode()
            assert done.returncode == code, (arguments, words)
            assert named in words, (arguments, words)
            assert "Traceback" not in words
        assert not list(data_dir.glob("*.wav"))


def test_it_waits_for_an_instance_that_loads(tmp_path: Path, data_dir: Path) -> None:
    with (
        worker(tmp_path, ready=False, load_s=3.0) as running,
        page(running.address) as address,
        instance(data_dir, address),
    ):
        done = say(data_dir, "one", "-o", "out.wav")
        assert done.returncode == 0, done.stderr
        assert "chunk 0" in running.log()


def test_ctrl_c_cancels_and_leaves_no_file(tmp_path: Path, data_dir: Path) -> None:
    with (
        worker(tmp_path, chunk_s=60.0) as running,
        page(running.address) as address,
        instance(data_dir, address),
    ):
        environment = {**os.environ, "LAUNCHER_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "launcher", "say", "one", "-o", "out.wav"]
        process = subprocess.Popen(command, env=environment, cwd=data_dir, stderr=subprocess.PIPE)
        wait_until(lambda: "begin one" in running.log(), "the beginning")
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Traceback" not in words
        wait_until(lambda: "cancelled" in running.log(), "the cancellation")
        assert not list(data_dir.glob("*.wav")) and not list(data_dir.glob(".*part"))


def test_a_private_engine_is_started_and_ended(data_dir: Path) -> None:
    config = replace(load({"LAUNCHER_DATA_DIR": str(data_dir)}, Path(os.devnull), {}), engine=TONE)
    with speech_source(config) as source:
        assert isinstance(source, PrivateEngine)
        frames = list(source.speak({"text": "one two"}, lambda _progress: None))
        assert sum(len(frame.payload) for frame in frames if frame.kind == PCM) == 2 * 12_000
        with pytest.raises(SpeechError, match="running instance"):
            list(source.encoded({"text": "one"}, "mp3", lambda _progress: None))
        with pytest.raises(SpeechError, match="nobody"):
            list(source.speak({"text": "one", "voice": "nobody"}, lambda _progress: None))
        child = source._child
        assert child is not None and child.alive
    assert not child.alive
    assert not list(instance_paths(config).runtime_dir.iterdir())


def test_a_private_engine_that_fails_says_why(data_dir: Path) -> None:
    config = replace(load({"LAUNCHER_DATA_DIR": str(data_dir)}, Path(os.devnull), {}), engine=TONE)
    (data_dir / "cache").mkdir()
    (data_dir / "cache" / "tone.json").write_text(json.dumps({"load_error": "The weights are missing."}))
    with speech_source(config) as source, pytest.raises(EngineError, match="The weights are missing"):
        list(source.speak({"text": "one"}, lambda _progress: None))


def test_an_instance_that_does_not_answer_is_named(data_dir: Path) -> None:
    with instance(data_dir, "http://127.0.0.1:9"):
        started = time.monotonic()
        done = say(data_dir, "one", "-o", "out.wav")
        assert done.returncode == 4, started
        assert b"127.0.0.1:9" in done.stderr


class _PageThatFailed(BaseHTTPRequestHandler):
    """What the supervisor answers while the page is down for good."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(503, {"error": {"message": "The page starts.", "fix": ""}})

    def do_GET(self) -> None:
        failed = {"state": "failed", "error": {"message": "The page cannot be built.", "fix": "Mend it."}}
        self._answer(200, {"components": {"page": failed, "engine": {"state": "ready"}}})

    def log_message(self, *_: Any) -> None:
        pass


def test_nobody_waits_for_a_page_that_failed(data_dir: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _PageThatFailed) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with instance(data_dir, f"http://127.0.0.1:{server.server_port}"):
                done = say(data_dir, "one", "-o", "out.wav")
        finally:
            server.shutdown()
    assert done.returncode == 9 and b"The page cannot be built. Mend it." in done.stderr
