"""The engine's process: its HTTP over a real socket, with an engine that makes tones."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from launcher.frames import EVENT, PCM, Frame, FrameReader
from tests.engine.processes import ROOT, ControlListener, WorkerProcess, wait_until, worker
from tests.ports import free_port


def speak(running: WorkerProcess, **request: object) -> list[Frame]:
    with running.http() as client:
        answer = client.post("/speak", json=request)
    assert answer.status_code == 200, answer.text
    reader = FrameReader()
    frames = reader.feed(answer.content)
    assert reader.pending_bytes == 0
    return frames


def events(frames: list[Frame]) -> list[dict]:
    return [frame.event for frame in frames if frame.kind == EVENT]


def open_speak(running: WorkerProcess, text: str) -> socket.socket:
    """A connection that has asked for speech and has read nothing."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(running.address.removeprefix("unix:"))
    body = json.dumps({"text": text}).encode()
    sock.sendall(b"POST /speak HTTP/1.1\r\nHost: e\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return sock


def test_it_answers_while_the_engine_loads(tmp_path: Path) -> None:
    with worker(tmp_path, ready=False, load_s=60.0) as running:
        health = wait_until(running.health, "an answer")
        assert health["state"] == "loading"
        assert health["pid"] == running.process.pid
        wait_until(lambda: (running.health() or {}).get("progress", {}).get("stage") == "load", "progress")
        with running.http() as client:
            answer = client.post("/speak", json={"text": "hello"})
            assert answer.status_code == 503
            assert 1 <= int(answer.headers["retry-after"]) <= 30
            assert answer.json()["error"]["code"] == "engine_loading"
            assert client.post("/segments", json={"text": "hello"}).status_code == 503
        running.kill()


def test_speech_is_a_stream_of_frames_in_order(tmp_path: Path) -> None:
    with worker(tmp_path, segment_audio_s=3.0) as running:
        frames = speak(running, text="one two three", seed=7)
    names = [event["event"] for event in events(frames)]
    assert names == ["start", "segment", "progress", "segment", "progress", "segment", "end"]
    start, end = events(frames)[0], events(frames)[-1]
    assert [segment["text"] for segment in start["segments"]] == ["one", "two", "three"]
    assert start["sample_rate_hz"] == 24_000
    pcm_bytes = sum(len(frame.payload) for frame in frames if frame.kind == PCM)
    assert pcm_bytes == 2 * end["samples"] == 2 * 3 * 72_000
    assert end["audio_s"] == 9.0
    assert end["seed"] == 7
    assert [event["start_sample"] for event in events(frames) if event["event"] == "segment"] == [0, 72_000, 144_000]
    assert max(len(frame.payload) for frame in frames) <= 64 * 1024


def test_sound_comes_before_the_end_is_made(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.3) as running, open_speak(running, "a b c d e f g h") as sock:
        sock.settimeout(60)
        received = b""
        while b"P\x00\x00" not in received:
            received += sock.recv(65536)
        assert "chunk 7" not in running.log()


def test_requests_are_spoken_one_at_a_time(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.05) as running:
        sockets = [open_speak(running, f"{name} {name} {name}") for name in "abcd"]
        wait_until(lambda: running.log().count("end") == 4, "four ends")
        for sock in sockets:
            sock.close()
        acts = [line.split()[0] for line in running.log()[1:]]
    assert acts == ["begin", "chunk", "chunk", "chunk", "end"] * 4


def test_a_dropped_connection_cancels(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=30.0) as running:
        sock = open_speak(running, "first second")
        wait_until(lambda: running.log()[-1:] == ["begin first second"], "the beginning")
        assert (running.health() or {})["busy"] is True
        sock.close()
        wait_until(lambda: "cancelled" in running.log(), "the cancellation", 20)
        wait_until(lambda: (running.health() or {})["busy"] is False, "the engine to be free", 20)


def test_a_waiting_request_that_is_dropped_is_never_spoken(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=1.0) as running:
        first = open_speak(running, "first")
        wait_until(lambda: "begin first" in running.log(), "the first")
        open_speak(running, "second").close()
        third = open_speak(running, "third")
        wait_until(lambda: "begin third" in running.log(), "the third")
        assert "begin second" not in running.log()
        first.close()
        third.close()


def test_a_slow_reader_stops_the_engine(tmp_path: Path) -> None:
    words = " ".join(["word"] * 400)
    with worker(tmp_path, segment_audio_s=2.0) as running, open_speak(running, words) as sock:
        sock.settimeout(60)
        wait_until(lambda: "chunk 5" in running.log(), "some chunks")
        made = -1
        while made != (made := len(running.log())):  # until nothing is made any more
            time.sleep(1.0)
        assert made < 200, "the engine ran ahead of a reader that reads nothing"
        while sock.recv(1 << 20):
            if "end" in running.log():
                break
        assert "chunk 399" in running.log()


def test_bad_requests_are_sentences(tmp_path: Path) -> None:
    cases: list[tuple[object, str]] = [
        ({"text": ""}, "input"),
        ({"text": "\x00\x07"}, "input"),
        ({"text": "a", "voice": "nobody"}, "voice"),
        ({"text": "a", "language": "xx"}, "language"),
        ({"text": "a", "speed": 9}, "speed"),
        ({"text": "a", "speed": "fast"}, "speed"),
        ({"text": "a", "intensity": -1}, "intensity"),
        ({"text": "a", "emotion": {"happy": 2}}, "emotion"),
        ({"text": "a", "emotion": {"bored": 1}}, "emotion"),
        ({"text": "a", "emotion": [1, 2]}, "emotion"),
        ({"text": "a", "emotion": 3}, "emotion"),
        ({"text": "a", "seed": -1}, "seed"),
        ({"text": "a", "colour": "red"}, "colour"),
        ({"text": 5}, "text"),
    ]
    with worker(tmp_path) as running, running.http() as client:
        for body, param in cases:
            answer = client.post("/speak", json=body)
            assert answer.status_code == 400, (body, answer.text)
            error = answer.json()["error"]
            assert error["message"].endswith(".") and "\n" not in error["message"], error
            assert error["param"] in (param, {"input": "text"}.get(param)), (body, error)
        for raw in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"text": "a", "speed": NaN}', b"[" * 100_000):
            answer = client.post("/speak", content=raw)
            assert answer.status_code == 400, raw[:40]
            assert answer.json()["error"]["message"].endswith(".")
        assert client.get("/health").json()["state"] == "ready"
        assert "Traceback" not in running.stderr()


def test_an_engine_that_raises_gives_one_sentence_and_lives(tmp_path: Path) -> None:
    with worker(tmp_path) as running:
        frames = speak(running, text="fine [raise]")
        error = events(frames)[-1]
        assert error["event"] == "error"
        assert error["message"].count("\n") == 0
        assert "Traceback" not in error["message"]
        assert "a tensor had the wrong shape" in running.stderr()
        assert events(speak(running, text="again"))[-1]["event"] == "end"


def test_unload_and_load_again(tmp_path: Path) -> None:
    with worker(tmp_path) as running, running.http() as client:
        assert client.post("/unload").json()["state"] == "unloaded"
        assert running.log() == ["load", "unload"]
        assert events(speak(running, text="hello"))[-1]["event"] == "end"
        assert running.log()[2] == "load"
        assert client.post("/load").json()["state"] == "ready"


def test_it_reports_to_its_supervisor_and_after_a_lost_connection_again(tmp_path: Path) -> None:
    control = ControlListener()
    try:
        with worker(tmp_path, control_address=control.address, load_s=0.3) as running:
            assert control.wait_event("hello") == {"event": "hello", "component": "engine", "pid": running.process.pid}
            ready = control.wait_event("ready")
            assert ready["info"]["name"] == "tone"
            stages = [message["progress"]["stage"] for message in control.events("progress")]
            assert stages[0] == "import" and stages[-1] == "load"
            control.drop_connections()
            wait_until(lambda: len(control.events("ready")) == 2, "the report to be repeated")
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(30) == 0
            control.wait_event("stopping")
    finally:
        control.close()


def test_asked_to_end_it_finishes_what_it_speaks(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.2) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(speak, running, text="one two")
        wait_until(lambda: "begin one two" in running.log(), "speech")
        running.process.send_signal(signal.SIGTERM)
        assert events(answer.result(60))[-1]["event"] == "end"
        assert running.process.wait(30) == 0


def test_asked_to_end_it_gives_up_what_takes_long(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=600.0) as running, open_speak(running, "one"):
        wait_until(lambda: "begin one" in running.log(), "speech")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert running.log()[-1] == "cancelled"


@pytest.mark.parametrize("fault", [{"load_error": "The weights are missing."}, {"load_raise": True}])
def test_a_failure_to_load_is_reported_and_ends_the_process(tmp_path: Path, fault: dict) -> None:
    control = ControlListener()
    try:
        with worker(tmp_path, control_address=control.address, ready=False, **fault) as running:
            failed = control.wait_event("failed")
            assert failed["message"].endswith(".") and "\n" not in failed["message"]
            assert failed["fix"]
            assert running.process.wait(30) == 6
    finally:
        control.close()


def test_without_a_supervisor_a_failure_to_load_stands_in_health(tmp_path: Path) -> None:
    with worker(tmp_path, ready=False, load_error="The weights are missing.") as running:
        wait_until(lambda: (running.health() or {}).get("state") == "failed", "the failure")
        assert (running.health() or {})["error"] == {"message": "The weights are missing.", "fix": "Mend it."}
        with running.http() as client:
            answer = client.post("/speak", json={"text": "a"})
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "The weights are missing."


def test_it_ends_with_its_supervisor_even_while_it_speaks(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=60.0) as running, open_speak(running, "long"):
        wait_until(lambda: "begin long" in running.log(), "the beginning")
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(30) == 0


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"engine": "kokoro"}',
        '{"instance":"a","engine":"b","address":"tcp:127.0.0.1:0","control_address":"","cache_dir":""}',
    ],
)
def test_bad_settings_are_one_sentence(line: str) -> None:
    command = [sys.executable, "-m", "webui.engine.worker"]
    done = subprocess.run(command, check=False, cwd=ROOT, input=line + "\n", text=True, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    running = WorkerProcess(tmp_path, engine="nosuch").start()
    try:
        wait_until(lambda: (running.health() or {}).get("state") == "failed", "the failure")
        assert "nosuch" in (running.health() or {})["error"]["message"]
    finally:
        running.close()


def test_a_tcp_worker_needs_its_token(tmp_path: Path) -> None:
    port = free_port()
    running = WorkerProcess(tmp_path, token="secret-é")
    unix_address, running.address = running.address, f"tcp:127.0.0.1:{port}"
    running.start()
    try:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

        def status(**headers: str) -> int:
            try:
                return client.get("/health", headers={k: v.encode() for k, v in headers.items()}).status_code
            except httpx.ConnectError:
                return 0

        wait_until(status, "an answer")
        assert status() == 401
        assert status(authorization="Bearer wrong") == 401
        assert status(authorization="Bearer secret-é") == 200
    finally:
        running.address = unix_address
        running.close()
