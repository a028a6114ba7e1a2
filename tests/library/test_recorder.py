"""What is spoken faster than the disk can write waits within bounds, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from launcher.frames import EVENT, PCM, Frame
from webui.engine.base import SpeechRequest
from webui.library.library import Library
from webui.library.recorder import Origin, Recorder

BLOCK = 9600


class StuckHistory:
    """A history on a disk that has stopped for a while."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.takes: list[str] = []

    def add(self, take: object, _sound: Path) -> None:
        """Waits for the disk."""
        assert self.goes_on.wait(60)
        self.takes.append(take.text)  # type: ignore[attr-defined]


async def frames(blocks: int, block: int = BLOCK) -> AsyncGenerator[Frame, None]:
    yield Frame(EVENT, json.dumps({"event": "start", "sample_rate_hz": 24_000, "segments": []}).encode())
    for _ in range(blocks):
        yield Frame(PCM, bytes(block))
    yield Frame(EVENT, json.dumps({"event": "end", "synthesis_s": 0.1}).encode())


async def speak(recorder: Recorder, text: str, blocks: int) -> int:
    origin = Origin(SpeechRequest(text), "tone", {}, "api")
    heard = 0
    async for frame in recorder.keep(frames(blocks), origin, recorder.begin(origin)):
        heard += len(frame.payload) if frame.kind == PCM else 0
    return heard


def test_what_waits_for_the_disk_is_bounded_and_everything_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history, library = StuckHistory(), Library(tmp_path)
    recorder = Recorder(history, library.voices, library.parts, max_waiting_bytes=20 * BLOCK)  # type: ignore[arg-type]
    heard = [asyncio.run(speak(recorder, f"text {number}", 10)) for number in range(8)]
    history.goes_on.set()
    recorder.close(60)
    assert heard == [10 * BLOCK] * 8
    assert 2 <= len(history.takes) <= 4 and history.takes[0] == "text 0"
    assert "the disk is too slow" in caplog.text
    assert not list(library.parts.iterdir()), "nothing unfinished is left"
    assert recorder.waiting_bytes == 0
    library.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_take_that_a_full_disk_did_not_hold_leaves_nothing_behind(tmp_path: Path) -> None:
    library = Library(tmp_path)
    part = library.parts / "take.pcm"

    async def spoken() -> AsyncGenerator[Frame, None]:
        start, *rest = [frame async for frame in frames(3, 4000)]  # less than is written at once
        part.symlink_to("/dev/full")
        yield start
        while part.is_symlink():  # what lies under its name is cleared away when it begins
            await asyncio.sleep(0.01)
        part.symlink_to("/dev/full")
        for frame in rest:
            yield frame

    async def speak_it() -> None:
        async for _frame in library.recorder.keep(spoken(), Origin(SpeechRequest("one"), "tone", {}, "api"), "take"):
            pass

    asyncio.run(speak_it())
    library.close()
    assert not list(library.parts.iterdir()), "it would keep the disk full until the next start"
