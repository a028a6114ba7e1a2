"""The engine's holder inside one process: what its HTTP cannot show."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from launcher.errors import SpeechError
from launcher.progress import Progress
from tests.engine.tone_engine import ToneEngine
from webui.engine import holder as holder_module
from webui.engine.base import SpeechRequest
from webui.engine.holder import PIPE_FRAMES, EngineHolder, EngineLoadingError


def tone_holder(folder: Path, seen: list[Progress]) -> EngineHolder:
    return EngineHolder("tone", lambda: ToneEngine(cache_dir=folder, device="cpu", threads=1), seen.append)


def test_a_reader_that_stalls_loses_the_engine_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder_module, "STALL_S", 0.3)

    async def main() -> None:
        holder = tone_holder(tmp_path, [])
        await holder.load()
        stalled = holder.speak(SpeechRequest(" ".join(["word"] * (4 * PIPE_FRAMES))))
        await anext(stalled)
        spoken = [frame async for frame in holder.speak(SpeechRequest("next"))]
        assert b'"end"' in spoken[-1]
        with pytest.raises(SpeechError) as caught:
            _ = [frame async for frame in stalled]
        assert caught.value.code == "reader_stalled"

    asyncio.run(main())


def test_every_step_of_loading_is_told_and_nothing_is_spoken_before(tmp_path: Path) -> None:
    seen: list[Progress] = []

    async def main() -> None:
        holder = tone_holder(tmp_path, seen)
        with pytest.raises(EngineLoadingError):
            await anext(holder.speak(SpeechRequest("too early")))
        with pytest.raises(EngineLoadingError):
            await holder.segments(SpeechRequest("too early"))
        info = await holder.load()
        assert (info.name, holder.state, holder.busy) == ("tone", "ready", False)
        assert await holder.load() == info

    asyncio.run(main())
    assert [(progress.stage, progress.done) for progress in seen[:2]] == [("import", 0), ("import", 1)]
    assert seen[-1].done == seen[-1].total


def test_stop_cancels_what_is_spoken(tmp_path: Path) -> None:
    (tmp_path / "tone.json").write_text('{"chunk_s": 60}')

    async def main() -> None:
        holder = tone_holder(tmp_path, [])
        await holder.load()
        frames = holder.speak(SpeechRequest("long"))
        await anext(frames)
        holder.stop()
        assert [frame async for frame in frames] == []

    asyncio.run(main())
