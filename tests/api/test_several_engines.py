"""Several engines behind one queue: real processes, one of which is killed while requests stream through both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from launcher.errors import OUT_OF_MEMORY
from launcher.frames import PCM, Frame
from tests.engine.processes import WorkerProcess, page, wait_until, worker
from webui.engine.base import SpeechRequest
from webui.engine.client import EngineAwayError, EngineClient
from webui.engine.pool import EnginePool
from webui.synthesis import Synthesis

Pair = tuple[WorkerProcess, WorkerProcess]


@contextlib.contextmanager
def two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> Iterator[Pair]:
    """Two engines with options of their own."""
    for name in ("a", "b"):
        (folder / name).mkdir()
    with worker(folder / "a", **first) as one, worker(folder / "b", **second) as other:
        yield one, other


def run(engines: Pair, use: Callable[[Synthesis], Coroutine[Any, Any, None]], queue_size: int = 64) -> None:
    async def main() -> None:
        pool = EnginePool([EngineClient(running.address) for running in engines])
        await use(Synthesis(pool, queue_size))

    asyncio.run(main())


def names(frames: list[Frame]) -> list[str]:
    return ["pcm" if frame.kind == PCM else frame.event["event"] for frame in frames]


def begun(running: WorkerProcess) -> list[str]:
    return [line.removeprefix("begin ") for line in running.log() if line.startswith("begin ")]


async def heard(synthesis: Synthesis, text: str, client: str, into: list[Frame] | None = None) -> list[Frame]:
    frames = [] if into is None else into
    async for frame in synthesis.speak(SpeechRequest(text), client):
        frames.append(frame)
    return frames


async def until(condition: Callable[[], Any], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def test_one_that_asks_for_much_delays_nobody(tmp_path: Path) -> None:
    order: list[str] = []

    async def ask(synthesis: Synthesis, text: str, client: str) -> list[Frame]:
        frames: list[Frame] = []
        async for frame in synthesis.speak(SpeechRequest(text), client):
            if frame.kind != PCM and frame.event["event"] == "start":
                order.append(text)
            frames.append(frame)
        return frames

    async def use(synthesis: Synthesis) -> None:
        greedy = [asyncio.ensure_future(ask(synthesis, f"greedy{number}", "greedy")) for number in range(20)]
        await until(lambda: begun(engines[0]) and begun(engines[1]), "both to speak")
        before = len(order)
        polite = [asyncio.ensure_future(ask(synthesis, f"polite{number}", "polite")) for number in range(2)]
        answers = await asyncio.gather(*greedy, *polite)
        assert all(names(answer)[-1] == "end" for answer in answers)
        # What runs ends, then the two take turns.
        places = [order.index(f"polite{number}") - before for number in range(2)]
        assert places[0] <= 4 and places[1] <= 6, order
        # Each engine took its part, one request after another.
        first, second = (begun(running) for running in engines)
        assert len(first) + len(second) == 22 and min(len(first), len(second)) >= 5
        told = [frame.event for frame in answers[-1] if frame.kind != PCM]
        positions = [event["position"] for event in told if event["event"] == "queue"]
        assert positions and positions == sorted(set(positions), reverse=True)

    with two(tmp_path, {"chunk_s": 0.1}, {"chunk_s": 0.1}) as engines:
        run(engines, use)


def test_one_is_killed_while_both_speak(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        streams: dict[str, list[Frame]] = {"x": [], "y": []}
        tasks = {
            name: asyncio.ensure_future(heard(synthesis, "a b c d e f g h", name, frames))
            for name, frames in streams.items()
        }
        await until(lambda: all("pcm" in names(frames) for frames in streams.values()), "sound from both")
        waiting = asyncio.ensure_future(heard(synthesis, "later", "z"))
        engines[0].kill()
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        # Who had heard something is told; the other one noticed nothing, and who waited was served.
        assert sorted(isinstance(result, EngineAwayError) for result in results) == [False, True]
        (whole,) = [result for result in results if isinstance(result, list)]
        assert names(whole).count("start") == 1 and names(whole).count("pcm") == 8 and names(whole)[-1] == "end"
        assert names(await waiting)[-1] == "end"
        assert [names(await heard(synthesis, "one", "x"))[-1] for _ in range(2)] == ["end", "end"]
        assert begun(engines[1])[-3:] == ["later", "one", "one"]

        engines[0].start().wait_ready()
        both = await asyncio.gather(*(heard(synthesis, "again again", name) for name in "xy"))
        assert [names(frames)[-1] for frames in both] == ["end", "end"]
        assert begun(engines[0])[-1] == begun(engines[1])[-1] == "again again"

    with two(tmp_path, {"chunk_s": 0.2}, {"chunk_s": 0.2}) as engines:
        run(engines, use)


def test_a_request_that_nobody_heard_goes_to_another_engine_once(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        task = asyncio.ensure_future(heard(synthesis, "one two", "x"))
        await until(lambda: begun(engines[0]), "the first engine to begin")
        engines[0].kill()
        frames = await task
        assert begun(engines[1]) == ["one two"]
        assert names(frames).count("start") == 1 and names(frames).count("segment") == 2
        assert names(frames)[-1] == "end"
        # One that takes every engine down with it ends after the second.
        engines[0].start().wait_ready()
        with pytest.raises(EngineAwayError) as caught:
            await heard(synthesis, "[crash]", "x")
        assert caught.value.died
        await until(lambda: all(running.process.poll() is not None for running in engines), "both to be gone")
        assert [begun(running)[-1] for running in engines] == ["[crash]", "[crash]"]

    with two(tmp_path, {"chunk_s": 1.0}, {"chunk_s": 0.0}) as engines:
        run(engines, use)


def test_the_api_says_how_long_the_row_is_and_what_memory_lacks(tmp_path: Path) -> None:
    options = {"chunk_s": 0.5, "memory_chars": 8}
    with (
        two(tmp_path, options, options) as (first, second),
        page(first.address, further_engine_addresses=(second.address,), queue_size=1) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):

        async def ask_four() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=address, timeout=60) as many:
                return await asyncio.gather(*(many.post("/api/speak", json={"text": "a b"}) for _ in range(4)))

        answers = sorted(asyncio.run(ask_four()), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["Retry-After"]) >= 1 and answers[-1].json()["error"]["code"] == "queue_full"
        assert begun(first) and begun(second)
        full = client.post("/v1/audio/speech", json={"input": "x" * 40, "voice": "high", "response_format": "wav"})
        assert (full.status_code, full.json()["error"]["code"]) == (500, OUT_OF_MEMORY)
        assert client.post("/v1/audio/speech", json={"input": "x" * 12, "response_format": "wav"}).status_code == 200
