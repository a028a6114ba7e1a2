"""The runner: one failure, whatever it is, ends neither the runner nor more than the row that it belongs to."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from launcher.errors import DiskFullError
from launcher.frames import EVENT, PCM, Frame
from webui.api.offer import Offer
from webui.api.openai_batch import routes
from webui.engine.base import EngineInfo
from webui.engine.client import EngineClient, EngineFailedError
from webui.engine.pool import EnginePool
from webui.jobs.formats import read
from webui.jobs.records import JobRow
from webui.jobs.runner import Runner, SpeakRow
from webui.jobs.store import JobStore, Result
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink

OPTIONS = {"gap_s": 0.5, "max_tempo": 1.5, "use_glossary": True}
INFO = EngineInfo("tone", {"en": "Tone"}, 24_000, (), ("en",))


def made(store: JobStore, *texts: str) -> str:
    return store.create("a job", read("\n".join(texts).encode(), "x.txt", max_text_chars=100), OPTIONS).id


async def say(_request: Mapping[str, Any], _options: Mapping[str, Any]) -> AsyncGenerator[Frame, None]:
    yield Frame(EVENT, json.dumps({"event": "start", "sample_rate_hz": 24_000}).encode())
    yield Frame(PCM, bytes(2000))
    yield Frame(EVENT, json.dumps({"event": "end", "synthesis_s": 0.1, "seed": 1}).encode())


def run(store: JobStore, speak: SpeakRow, until: Callable[[], bool]) -> list[str]:
    """Runs jobs until something has come about; what the event loop complained of."""
    complaints: list[str] = []

    async def info() -> EngineInfo:
        return INFO

    async def come_about() -> None:
        while not await asyncio.to_thread(until):
            await asyncio.sleep(0.01)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(str(told)))
        runner = Runner(store, speak, info, lambda: 1, away_poll_s=0.02)
        running = asyncio.create_task(runner.run())
        try:
            await asyncio.wait_for(come_about(), 30)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            gc.collect()  # an exception that nobody asked for is told when its task goes

    asyncio.run(main())
    return complaints


def test_a_look_that_fails_is_not_the_last_one(tmp_path: Path) -> None:
    class Stumbling(JobStore):
        looks = 0

        def waiting(self) -> list[str]:
            self.looks += 1
            if self.looks == 1:
                raise RuntimeError("can't start new thread")
            return super().waiting()

    store = Stumbling(tmp_path)
    job = made(store, "one", "two")
    assert run(store, say, lambda: store.job(job).state == "done") == []
    store.close()


def test_an_engine_that_failed_for_good_costs_a_row_nothing(tmp_path: Path) -> None:
    tries = 0

    async def speak(request: Mapping[str, Any], options: Mapping[str, Any]) -> AsyncGenerator[Frame, None]:
        nonlocal tries
        tries += 1
        if tries <= 5:
            raise EngineFailedError("The engine ended five times in a minute.", fix="tts-launcher restart engine")
        async for frame in say(request, options):
            yield frame

    store = JobStore(tmp_path)
    job = made(store, "one", "two", "three")
    run(store, speak, lambda: store.job(job).state in ("done", "failed"))
    assert store.job(job).counts == {"done": 3}, "somebody has started it again"
    assert [row.attempts for row in store.rows(job)] == [1, 1, 1]
    store.close()


def batch(store: JobStore, speak: SpeakRow, folder: Path) -> dict[str, Any]:
    """What a batch of two that is answered at once is answered."""

    async def main() -> httpx.Response:
        settings = PageSettings("test", "0", "127.0.0.1", 0, "unix:/nowhere", "", temp_dir=str(folder))
        engines = EnginePool([EngineClient("unix:/nowhere")])
        runner = Runner(store, speak, engines.info, lambda: 1, away_poll_s=0.02)
        offer = Offer(engines, SupervisorLink(settings))
        app = Starlette(routes=routes(store, runner, offer, max_text_chars=100))
        app.state.slow_places = asyncio.Semaphore(1)
        running = asyncio.create_task(runner.run())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=30) as client:
            answer = client.post("/v1/audio/speech/batch", json={"items": ["one", "two"]})
            try:
                return await asyncio.wait_for(answer, 30)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    told: dict[str, Any] = asyncio.run(main()).json()
    assert store.jobs() == []
    return told


def test_who_asked_for_a_batch_at_once_is_told_of_an_engine_that_failed(tmp_path: Path) -> None:
    async def speak(_request: Mapping[str, Any], _options: Mapping[str, Any]) -> AsyncGenerator[Frame, None]:
        raise EngineFailedError("The engine ended five times in a minute.", fix="Restart it.")
        yield

    store = JobStore(tmp_path)
    told = batch(store, speak, tmp_path)
    assert [one["status"] for one in told["results"]] == ["error", "error"] and told["failed"] == 2
    assert told["results"][1]["error"] == "The engine ended five times in a minute. Restart it."
    store.close()


def test_who_asked_for_a_batch_at_once_is_told_that_there_is_no_room(tmp_path: Path) -> None:
    store = JobStore(tmp_path, budget_bytes=100)
    told = batch(store, say, tmp_path)
    assert [one["status"] for one in told["results"]] == ["error", "error"]
    assert "used up" in told["results"][0]["error"] and "LAUNCHER_BATCH_BYTES" in told["results"][1]["error"]
    store.close()


def test_a_job_that_is_deleted_while_its_disk_is_full_is_simply_gone(tmp_path: Path) -> None:
    class Full(JobStore):
        def finish(self, row: JobRow, _result: Result) -> None:
            self.remove(row.job)
            raise DiskFullError("The disk is full.")

    store = Full(tmp_path)
    other = made(store, "one")
    assert run(store, say, lambda: store.jobs() == []) == [], other
    store.close()
