"""The engine's client against real engine processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import EngineError, SpeechError
from launcher.frames import PCM
from tests.engine.processes import WorkerProcess, wait_until, worker
from webui.engine.base import SpeechRequest
from webui.engine.client import EngineAwayError, EngineClient, error_from
from webui.engine.connections import ENDING


def talk(running: WorkerProcess, use: Callable[[EngineClient], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(use(EngineClient(running.address)))


async def names(frames: AsyncGenerator[Any, None]) -> list[str]:
    return ["pcm" if frame.kind == PCM else frame.event["event"] async for frame in frames]


def test_it_speaks_and_tells_what_the_engine_is(tmp_path: Path) -> None:
    async def use(client: EngineClient) -> None:
        assert (await client.health())["state"] == "ready"
        info = await client.info()
        assert [voice.id for voice in info.voices] == ["high", "low", "higher"]
        assert info.sample_rate_hz == 24_000
        segments = await client.segments(SpeechRequest("one two"))
        assert segments == [
            {"index": 0, "text": "one", "language": "en"},
            {"index": 1, "text": "two", "language": "en"},
        ]
        assert await names(client.speak(SpeechRequest("one"))) == ["start", "segment", "pcm", "end"]
        assert (await client.unload())["state"] == "unloaded"
        assert (await client.load())["state"] == "ready"

    with worker(tmp_path) as running:
        talk(running, use)


def test_errors_keep_their_class(tmp_path: Path) -> None:
    async def use(client: EngineClient) -> None:
        with pytest.raises(SpeechError) as caught:
            await names(client.speak(SpeechRequest("one", voice="nobody")))
        assert (caught.value.param, caught.value.code, caught.value.http_status) == ("voice", "unknown_voice", 400)
        with pytest.raises(EngineError) as failed:
            await names(client.speak(SpeechRequest("one [raise]")))
        assert not isinstance(failed.value, EngineAwayError)

    with worker(tmp_path) as running:
        talk(running, use)


def test_an_engine_that_is_not_there_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        client = EngineClient(f"unix:{tmp_path}/nobody.sock")
        for call in (client.health(), client.info(), names(client.speak(SpeechRequest("one")))):
            with pytest.raises(EngineAwayError) as caught:
                await call
            assert not caught.value.loading

    asyncio.run(main())


def test_an_engine_that_loads_says_when_to_come_back(tmp_path: Path) -> None:
    async def use(client: EngineClient) -> None:
        with pytest.raises(EngineAwayError) as caught:
            await names(client.speak(SpeechRequest("one")))
        assert caught.value.loading
        assert caught.value.retry_after_s >= 1

    with worker(tmp_path, ready=False, load_s=60.0) as running:
        wait_until(running.health, "an answer")
        talk(running, use)
        running.kill()


def test_an_engine_that_ends_before_it_answers_is_away() -> None:
    error = error_from({"message": "This ends.", "code": ENDING}, 7)
    assert isinstance(error, EngineAwayError) and not error.died and error.retry_after_s == 7


def test_an_engine_that_dies_in_the_middle_is_away(tmp_path: Path) -> None:
    async def use(client: EngineClient) -> None:
        frames = client.speak(SpeechRequest("one two [crash]"))
        while (await anext(frames)).kind != PCM:
            pass
        with pytest.raises(EngineAwayError) as caught:
            await names(frames)
        assert caught.value.died

    with worker(tmp_path) as running:
        talk(running, use)


def test_closing_the_generator_cancels(tmp_path: Path) -> None:
    async def use(client: EngineClient) -> None:
        async with contextlib.aclosing(client.speak(SpeechRequest("one two three"))) as frames:
            await anext(frames)
        for _ in range(500):
            if "cancelled" in running.log():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(running.log())

    with worker(tmp_path, chunk_s=30.0) as running:
        talk(running, use)
