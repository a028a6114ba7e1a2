"""`/api/*`, `/healthz`, `/readyz` over a real server with a real control socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from launcher.frames import EVENT, PCM, Frame, FrameReader
from tests.engine.processes import ControlListener, page, snapshot, wait_until, worker


@pytest.fixture
def control() -> Iterator[ControlListener]:
    listener = ControlListener(snapshot(engine="starting", state="starting", stage="load", done=1, total=4, eta_s=6.4))
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with worker(tmp_path_factory.mktemp("engine")) as process, page(process.address, max_text_chars=100) as server:
        yield server


def frames_of(content: bytes) -> list[Frame]:
    reader = FrameReader()
    frames = reader.feed(content)
    assert reader.pending_bytes == 0
    return frames


def test_ready_and_status_show_the_supervisors_snapshot(control: ControlListener) -> None:
    with page("unix:/nobody", control_address=control.address) as server:
        assert control.wait_event("hello")["component"] == "page"
        wait_until(lambda: httpx.get(f"{server}/api/status").json()["instance"] == "test", "the snapshot")
        loading = httpx.get(f"{server}/readyz")
        assert loading.status_code == 503
        assert loading.headers["retry-after"] == "7"
        assert loading.json()["components"]["engine"]["progress"]["stage"] == "load"
        assert httpx.get(f"{server}/healthz").status_code == 200
        control.publish(snapshot())
        wait_until(lambda: httpx.get(f"{server}/readyz").status_code == 200, "readiness")
        control.publish(snapshot(engine="restarting", state="degraded"))
        wait_until(lambda: httpx.get(f"{server}/readyz").status_code == 503, "the engine's restart")
        control.drop_connections()
        wait_until(lambda: len(control.events("hello")) == 2, "a new connection")
        control.publish(snapshot())
        wait_until(lambda: httpx.get(f"{server}/readyz").status_code == 200, "readiness after the reconnect")


def test_events_bring_every_change_and_end_with_the_page(control: ControlListener) -> None:
    seen: list[str] = []
    states = iter([snapshot(engine="starting", state="failed"), snapshot()])

    def listen(server: str) -> None:
        with httpx.stream("GET", f"{server}/api/events", timeout=60) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            data = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
            seen.extend(json.loads(line)["state"] for line in data)

    with page("unix:/nobody", control_address=control.address) as server:
        thread = threading.Thread(target=listen, args=(server,))
        thread.start()
        for state in states:
            expected = state["state"]
            wait_until(lambda: seen and "starting" in seen, "the first event")
            control.publish(state)
            wait_until(lambda: seen[-1] == expected, f"the state {expected}")  # noqa: B023
    thread.join(20)
    assert not thread.is_alive()


def test_speak_streams_frames(address: str) -> None:
    answer = httpx.post(f"{address}/api/speak", json={"text": "one\x07 two 😀", "voice": "low", "intensity": 0.5})
    frames = frames_of(answer.content)
    assert [frame.event["event"] for frame in frames if frame.kind == EVENT] == [
        "start",
        "segment",
        "progress",
        "segment",
        "end",
    ]
    assert sum(len(frame.payload) for frame in frames if frame.kind == PCM) == 2 * 12_000


def test_segments_and_info(address: str) -> None:
    segments = httpx.post(f"{address}/api/segments", json={"text": "one two"}).json()["segments"]
    assert [segment["text"] for segment in segments] == ["one", "two"]
    assert httpx.get(f"{address}/api/info").json()["name"] == "tone"


@pytest.mark.parametrize("path", ["/api/speak", "/api/segments"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b'{"text": ""}',
        b'{"text": 7}',
        b'{"text": null}',
        b'{"text": "\\ud83d"}',
        b'{"text": "\\u0000"}',
        b'{"text": "a", "speed": NaN}',
        b'{"text": "a", "speed": 1e999}',
        b'{"text": "a", "speed": null}',
        b'{"text": "a", "emotion": {"happy": Infinity}}',
        b'{"text": "a", "emotion": {"happy": "1"}}',
        b'{"text": "a", "emotion": [[]]}',
        b'{"text": "a", "emotion": null}',
        b'{"text": "a", "intensity": -0.1}',
        b'{"text": "a", "voice": {}}',
        b'{"text": "a", "seed": 4294967296}',
        b'{"text": "a", "seed": true}',
        b'{"text": "a", "__class__": "x"}',
        json.dumps({"text": "长" * 101}).encode(),
    ],
)
def test_bad_bodies_are_one_sentence(address: str, path: str, body: bytes) -> None:
    answer = httpx.post(address + path, content=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "fix", "param", "code"}
    assert error["message"].endswith(".") and "\n" not in error["message"]


def test_a_late_error_is_a_frame(address: str) -> None:
    last = frames_of(httpx.post(f"{address}/api/speak", json={"text": "one [raise]"}).content)[-1].event
    assert last["event"] == "error"
    assert last["http_status"] == 500
    assert last["fix"]


def test_a_dropped_page_request_reaches_the_engine(tmp_path: Path) -> None:
    with worker(tmp_path, chunk_s=0.5) as running, page(running.address) as server:
        with httpx.stream("POST", f"{server}/api/speak", json={"text": "a " * 50}, timeout=60) as answer:
            next(answer.iter_raw())
        wait_until(lambda: "cancelled" in running.log(), "the cancellation", 20)


def test_a_slow_reader_of_the_page_stops_the_engine(tmp_path: Path) -> None:
    import time

    words = " ".join(["word"] * 400)
    with worker(tmp_path, segment_audio_s=6.0) as running, page(running.address) as server:
        with httpx.stream("POST", f"{server}/api/speak", json={"text": words}, timeout=60) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            made = -1
            while made != (made := len(running.log())):
                time.sleep(1.0)
            assert made < 300
            assert sum(map(len, chunks)) > 400 * 96_000
        assert running.log()[-1] == "end"


def test_without_an_engine_it_is_503(tmp_path: Path) -> None:
    with page(f"unix:{tmp_path}/nobody") as server:
        for method, path, body in (
            ("GET", "/api/info", None),
            ("POST", "/api/speak", {"text": "one"}),
            ("POST", "/api/segments", {"text": "one"}),
            ("GET", "/v1/models", None),
        ):
            answer = httpx.request(method, server + path, json=body)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["message"]


def test_tags_are_followed_when_markup_is_asked_for(address: str) -> None:
    body = {"text": "one [pause=100ms]two[emotion=sad] three", "markup": True}
    answer = httpx.post(f"{address}/api/speak", json=body, timeout=60)
    frames = frames_of(answer.content)
    shown = frames[0].event["segments"]
    assert [(entry["text"], entry.get("pause_s"), entry.get("emotion")) for entry in shown] == [
        ("one", None, None),
        ("two", 0.1, None),
        ("three", None, {"sad": 0.8}),
    ]
    assert httpx.post(f"{address}/api/segments", json=body).json()["segments"] == shown
    samples = sum(len(frame.payload) for frame in frames if frame.kind == PCM) // 2
    assert samples == frames[-1].event["samples"]
    spelled = httpx.post(f"{address}/api/speak", json={**body, "markup": False}, timeout=60)
    assert [entry["text"] for entry in frames_of(spelled.content)[0].event["segments"]][
        1
    ] == "[pause=100ms]two[emotion=sad]"
    wrong = httpx.post(f"{address}/api/speak", json={"text": "[emotion=hapy]x", "markup": True})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["code"] == "wrong_tag"
    assert wrong.json()["error"]["param"] == "input"
    openai = {"model": "tts-1", "voice": "alloy", "response_format": "pcm", "input": "one[pause=2s]two", "markup": True}
    spoken = httpx.post(f"{address}/v1/audio/speech", json=openai, timeout=60).content
    assert bytes(2 * 48_000) in spoken
