"""A slow reader holds no engine for long, gets every frame in order, and takes no more memory than allowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from launcher.errors import EngineError, SpeechError
from launcher.frames import PCM, Frame
from webui.read_ahead import ReadAhead

FRAMES = [Frame(PCM, bytes([number]) * 100) for number in range(20)]


class Source:
    """Frames as fast as they are taken; knows how many were, and whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = False
        self._error = error

    async def frames(self) -> AsyncGenerator[Frame, None]:
        try:
            for frame in FRAMES:
                self.given += 1
                yield frame
                await asyncio.sleep(0)
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_the_source_ends_before_its_reader() -> None:
    async def test() -> None:
        source, ahead = Source(), ReadAhead()
        async with contextlib.aclosing(ahead.read(source.frames())) as frames:
            got = [await anext(frames)]
            await until(lambda: source.closed)
            assert ahead.total_bytes == 1900
            got += [frame async for frame in frames]
        assert got == FRAMES
        assert ahead.total_bytes == 0

    run(test())


def test_an_error_comes_behind_the_frames() -> None:
    async def test() -> None:
        source = Source(EngineError("It died."))
        got = []
        with pytest.raises(EngineError, match="It died"):
            async for frame in ReadAhead().read(source.frames()):
                got.append(frame)
                await asyncio.sleep(0.001)
        assert got == FRAMES

    run(test())


def test_a_reader_that_leaves_ends_the_source() -> None:
    async def test() -> None:
        source, ahead = Source(), ReadAhead(max_request_bytes=250)
        frames = ahead.read(source.frames())
        await anext(frames)
        await frames.aclose()
        assert source.closed and source.given < len(FRAMES)
        assert ahead.total_bytes == 0

    run(test())


@pytest.mark.parametrize("bounds", [{"max_request_bytes": 450}, {"max_total_bytes": 450}])
def test_a_reader_that_takes_nothing_gives_the_engine_back(bounds: dict[str, int]) -> None:
    async def test() -> None:
        source, ahead = Source(), ReadAhead(stall_s=0.05, **bounds)
        frames = ahead.read(source.frames())
        await anext(frames)
        await until(lambda: source.closed)
        assert source.given <= 7
        assert ahead.total_bytes == 0
        with pytest.raises(SpeechError, match=r"Nothing of the answer was read for 0\.05 s"):
            await anext(frames)

    run(test())


def test_a_slow_reader_within_the_bounds_gets_all() -> None:
    async def test() -> None:
        source, ahead = Source(), ReadAhead(max_request_bytes=250, stall_s=30)
        got = []
        async for frame in ahead.read(source.frames()):
            got.append(frame)
            await asyncio.sleep(0.002)
            assert ahead.total_bytes <= 350
        assert got == FRAMES

    run(test())


def test_what_is_finished_is_not_kept_for_ever() -> None:
    async def test() -> None:
        source, ahead = Source(), ReadAhead(keep_s=0.05)
        frames = ahead.read(source.frames())
        await anext(frames)
        await until(lambda: source.closed and ahead.total_bytes == 0)
        with pytest.raises(SpeechError):
            await anext(frames)

    run(test())
