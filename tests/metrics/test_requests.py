"""The page's own numbers: what a request is counted as, over a real engine's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from launcher.errors import EngineError, SpeechError
from launcher.frames import EVENT, Frame
from tests.engine.processes import PATIENCE_S, page, worker
from tests.metrics.test_numbers import parsed
from webui.engine.client import EngineAwayError
from webui.metrics.measured import Measured
from webui.metrics.requests import KINDS, RequestMetrics, kind_of, route_of
from webui.queueing import QueueFullError

TOKEN = "a-secret-of-16-characters"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        worker(tmp_path_factory.mktemp("engine"), chunk_s=0.05) as engine,
        page(engine.address, token=TOKEN, queue_size=1) as address,
    ):
        yield address


def client(address: str, token: str = TOKEN) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S)


def numbers(address: str) -> dict[tuple[str, tuple[str, ...]], float]:
    with client(address) as person:
        return parsed(person.get("/metrics").text)


def test_the_guard_stands_in_front(served: str) -> None:
    assert httpx.get(f"{served}/metrics").status_code == 401
    with client(served, "wrong") as stranger:
        assert stranger.get("/metrics").status_code == 401
    with client(served) as person:
        answer = person.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_requests_are_measured_and_errors_counted(served: str) -> None:
    before = numbers(served)
    with client(served) as person:
        spoken = person.post("/v1/audio/speech", json={"model": "tts-1", "input": "one two", "voice": "high"})
        assert spoken.status_code == 200
        assert person.post("/api/speak", json={"text": ""}).status_code == 400
        assert person.post("/api/speak", json={"text": "[raise]"}).status_code in (200, 500)
        with person.stream("POST", "/api/speak", json={"text": "word " * 200}) as cancelled:
            next(cancelled.iter_raw())
    wanted = {
        ("tts_requests_total", ("done",)): 1,
        ("tts_requests_total", ("failed",)): 1,
        ("tts_requests_total", ("cancelled",)): 1,
        ("tts_errors_total", ("bad_request",)): 1,
        ("tts_errors_total", ("engine_failed",)): 1,
        ("tts_synthesis_seconds_count", ()): 1,
        ("tts_real_time_factor_count", ()): 1,
        ("tts_http_answers_total", ("/v1/audio/speech", "2xx")): 1,
    }
    deadline = time.monotonic() + PATIENCE_S
    while True:
        after = numbers(served)
        risen = {key: after.get(key, 0) - before.get(key, 0) for key in wanted}
        if risen == wanted:
            break
        assert time.monotonic() < deadline, risen
        time.sleep(0.05)
    assert after["tts_audio_seconds_total", ()] - before["tts_audio_seconds_total", ()] == pytest.approx(0.5)
    assert after["tts_first_audio_seconds_count", ()] >= 1
    assert after["tts_queue_depth", ()] == 0


def test_labels_are_never_what_a_request_says(served: str) -> None:
    with client(served) as person:
        for path in ("/api/made/up", "/made-up", "/v1/" + "x" * 50):
            person.get(path)
    routes = {labels[0] for name, labels in numbers(served) if name == "tts_http_answers_total"}
    assert {"other api", "other"} <= routes and not any("made" in route or "xxx" in route for route in routes)
    assert route_of("/v1/audio/speech") == "/v1/audio/speech" and route_of("/") == "/"


def test_every_error_is_one_of_a_few_kinds_and_counted_once() -> None:
    errors = [
        SpeechError("No."),
        QueueFullError(1),
        EngineAwayError("Not yet.", loading=True),
        EngineAwayError("Gone."),
        EngineError("Broken."),
        RuntimeError("?"),
    ]
    assert [kind_of(error) for error in errors] == list(KINDS)
    metrics = RequestMetrics(lambda: 3)
    metrics.count_error(errors[0])
    metrics.count_error(errors[0])
    metrics.count_error(ValueError())
    found = parsed(metrics.text().decode())
    assert found["tts_errors_total", ("bad_request",)] == 1 and found["tts_errors_total", ("internal",)] == 1
    assert found["tts_queue_depth", ()] == 3


def test_waiting_is_the_time_in_the_queue() -> None:
    async def spoken() -> AsyncGenerator[Frame, None]:
        for name in ("queue", "queue", "start"):
            await asyncio.sleep(0.02)
            yield Frame(EVENT, json.dumps({"event": name}).encode())

    async def listen(metrics: RequestMetrics) -> None:
        async with contextlib.aclosing(Measured(metrics).frames(spoken())) as frames:
            async for _ in frames:
                pass

    metrics = RequestMetrics(lambda: 0)
    asyncio.run(listen(metrics))
    found = parsed(metrics.text().decode())
    assert found["tts_queue_wait_seconds_sum", ()] >= 0.06
    assert found["tts_requests_total", ("cancelled",)] == 1  # it had no end
