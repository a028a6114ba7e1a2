"""Synthesis: the queue, the restart of an engine under a request, cancellation; with real engine processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from launcher.frames import PCM, Frame
from tests.engine.processes import WorkerProcess, worker
from webui.engine.base import SpeechRequest
from webui.engine.client import EngineAwayError, EngineClient
from webui.engine.pool import EnginePool
from webui.queueing import AskedToLeaveError, QueueFullError
from webui.synthesis import Synthesis


def run(
    running: WorkerProcess, use: Callable[[Synthesis], Coroutine[Any, Any, None]], queue_size: int = 8, **options: float
) -> None:
    async def main() -> None:
        engines = EnginePool([EngineClient(running.address)])
        await use(Synthesis(engines, queue_size, **options))

    asyncio.run(main())


def names(frames: list[Frame]) -> list[str]:
    return ["pcm" if frame.kind == PCM else frame.event["event"] for frame in frames]


async def collect(synthesis: Synthesis, text: str, client: str = "me", **options: bool) -> list[Frame]:
    return [frame async for frame in synthesis.speak(SpeechRequest(text), client, **options)]


async def restart_when_dead(running: WorkerProcess) -> None:
    await asyncio.to_thread(running.process.wait)
    running.start()


def test_who_waits_hears_the_position(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        tasks = [asyncio.ensure_future(collect(synthesis, "a b", client)) for client in ("x", "y", "z")]
        first, second, third = await asyncio.gather(*tasks)
        assert "queue" not in names(first)
        assert names(second)[0] == "queue"
        places = [frame.event for frame in third if frame.kind != PCM]
        assert [event["position"] for event in places if event["event"] == "queue"] == [2, 1]
        assert names(third)[-1] == "end"

    with worker(tmp_path, chunk_s=0.2) as running:
        run(running, use)


def test_the_background_gives_up_what_it_has_begun_when_somebody_comes(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        row = synthesis.speak(SpeechRequest("a b c d e f g h"), "jobs", buffered=True, in_background=True)
        begun = []
        async for frame in row:
            begun.append(frame)
            if frame.kind == PCM:
                break
        person = asyncio.ensure_future(collect(synthesis, "hello"))
        with pytest.raises(AskedToLeaveError):
            begun += [frame async for frame in row]
        assert names(await person)[-1] == "end" and "end" not in names(begun)
        again = await collect(synthesis, "a", "jobs", buffered=True, in_background=True)
        assert names(again)[-1] == "end", "and its place is free again"

    with worker(tmp_path, chunk_s=0.5) as running:
        run(running, use)


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        tasks = [asyncio.ensure_future(collect(synthesis, "a b")) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFullError):
            await collect(synthesis, "c")
        await asyncio.gather(*tasks)
        assert names(await collect(synthesis, "c"))[-1] == "end"

    with worker(tmp_path, chunk_s=0.5) as running:
        run(running, use, queue_size=1)


def test_who_leaves_while_waiting_makes_room(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        first = asyncio.ensure_future(collect(synthesis, "first"))
        await asyncio.sleep(0.05)
        waiting = synthesis.speak(SpeechRequest("second"), "me")
        await anext(waiting)
        assert synthesis.waiting == 1
        await waiting.aclose()
        assert synthesis.waiting == 0
        await first
        assert "begin second" not in running.log()

    with worker(tmp_path, chunk_s=0.5) as running:
        run(running, use)


def test_an_engine_that_dies_before_any_sound_is_waited_for(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        await collect(synthesis, "warm")
        again = asyncio.ensure_future(restart_when_dead(running))
        heard = names(await collect(synthesis, "[crash-once] two"))
        await again
        assert heard.count("start") == 1
        assert heard.count("segment") == 2
        assert heard[-1] == "end"

    with worker(tmp_path, load_s=0.3) as running:
        run(running, use)


def test_after_the_first_sound_a_death_is_an_error(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        with pytest.raises(EngineAwayError):
            await collect(synthesis, "one [crash-once] two")

    with worker(tmp_path) as running:
        run(running, use)


def test_a_buffered_request_is_spoken_again_from_its_beginning(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        again = asyncio.ensure_future(restart_when_dead(running))
        heard = names(await collect(synthesis, "one [crash-once] two", buffered=True))
        await again
        assert heard.index("pcm") < heard.index("progress")
        second = heard[len(heard) - heard[::-1].index("start") :]
        assert second.count("pcm") == 3

    with worker(tmp_path) as running:
        run(running, use)


def test_patience_ends(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        await collect(synthesis, "warm")
        running.kill()
        with pytest.raises(EngineAwayError, match="in time"):
            await collect(synthesis, "one")
        with contextlib.suppress(EngineAwayError):
            await collect(synthesis, "the queue is free again")

    with worker(tmp_path) as running:
        run(running, use, patience_s=0.5)


def test_an_engine_that_was_never_ready_is_not_waited_for(tmp_path: Path) -> None:
    async def use(synthesis: Synthesis) -> None:
        with pytest.raises(EngineAwayError):
            await collect(synthesis, "one")

    with worker(tmp_path) as running:
        running.kill()
        run(running, use)
