"""A real engine for tests of the quality loop: it says lines with recorded speech, and stumbles as a test wants.

Each line of the text is a segment, spoken with a recording of the very words that `recordings` has. What goes wrong is
decided by the seed: `Plan.defect(seed, index)` names a defect of `recordings.DEFECTS`, or nothing. Over a process's
border the plan comes from ``<cache_dir>/stumbling.json``: ``{"share": 0.5}`` of the tries fail.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from launcher.errors import EngineError
from tests.quality.recordings import DEFECTS, TEXT, VOICES, Pcm, recording
from webui.engine.base import AudioChunk, Cancellation, EngineInfo, ReportProgress, Segment, SpeechRequest, Voice

RATE_HZ = recording(VOICES[0])[1]
ABLE = ("seed", "redo", "emotion_vector", "clone")
#: Seed and index of a segment to the name of what goes wrong, or nothing.
Defect = Callable[[int, int], str]
_AWFUL = ("silent", "too_short", "cut_off", "gap")


def by_chance(share: float) -> Defect:
    """That share of the tries fails, each in a way that the seed decides."""

    def defect(seed: int, index: int) -> str:
        draw = random.Random(f"{seed}/{index}")
        return draw.choice(_AWFUL) if draw.random() < share else ""

    return defect


class StumblingEngine:
    def __init__(
        self,
        *,
        cache_dir: Path | None = None,
        device: str = "cpu",
        threads: int = 1,
        options: Mapping[str, str] | None = None,
        defect: Defect | None = None,
        capabilities: tuple[str, ...] = ABLE,
        says_ends: bool = True,
    ) -> None:
        self._cache_dir = cache_dir
        self._defect = defect
        self._capabilities = capabilities
        self._says_ends = says_ends
        self.respoken: list[tuple[int, int]] = []
        #: Set to make `respeak` wait until it is cancelled, or raise.
        self.waits_in_respeak = False
        self.fails_in_respeak = False

    def load(self, report: ReportProgress) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to give back."""

    def info(self) -> EngineInfo:
        return EngineInfo(
            name="stumbler",
            title={"en": "Stumbler", "zh": "磕绊"},
            sample_rate_hz=RATE_HZ,
            voices=(Voice("first", {"en": "First", "zh": "一"}, "female", ("zh", "en")),),
            languages=("zh", "en"),
            capabilities=self._capabilities,
        )

    def segments(self, request: SpeechRequest) -> list[Segment]:
        lines = [line for line in request.text.split("\n") if line.strip()]
        return [Segment(index, line, "mixed") for index, line in enumerate(lines)]

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        for segment in self.segments(request):
            yield from self._said(request.seed or 0, segment, cancellation)

    def respeak(self, request: SpeechRequest, segment: Segment, cancellation: Cancellation) -> Iterator[AudioChunk]:
        assert request.seed is not None
        self.respoken.append((segment.index, request.seed))
        if self.fails_in_respeak:
            raise EngineError("The memory is not enough.")
        while self.waits_in_respeak:
            cancellation.check()
            time.sleep(0.01)
        yield from self._said(request.seed, segment, cancellation)

    def _said(self, seed: int, segment: Segment, cancellation: Cancellation) -> Iterator[AudioChunk]:
        pcm = self.sound(seed, segment.index)
        for start in range(0, len(pcm), RATE_HZ):
            cancellation.check()
            yield AudioChunk(pcm[start : start + RATE_HZ], segment)
        if self._says_ends:
            yield AudioChunk(pcm[:0], segment, ends=True)

    def sound(self, seed: int, index: int) -> Pcm:
        """What a segment sounds like with a seed: a voice that goes with it, and perhaps something wrong."""
        pcm = recording(VOICES[(seed + index) % len(VOICES)])[0]
        name = self._plan()(seed, index)
        return np.asarray(DEFECTS[name](pcm, RATE_HZ) if name else pcm)

    def _plan(self) -> Defect:
        if self._defect is not None:
            return self._defect
        assert self._cache_dir is not None
        return by_chance(float(json.loads((self._cache_dir / "stumbling.json").read_text())["share"]))


def lines(count: int) -> str:
    """A text of so many segments."""
    return "\n".join([TEXT] * count)
