"""A real engine for tests: it speaks each word as a sine tone, as fast or as badly as a test wants.

``<cache_dir>/tone.json`` configures it: ``load_s``, ``load_error`` (a sentence), ``load_raise``, ``chunk_s`` (seconds
of work per segment), ``segment_audio_s``, ``memory_chars`` (longest text that fits into the memory). Words in the text
act: ``[crash]`` ends the process (``[crash-once]`` only the first time), ``[lost-once]`` finds once that the device has
failed, ``[raise]`` raises, ``[memory]`` asks for a terabyte, ``[flood]`` prints 200,000 lines.
``<cache_dir>/tone.log`` gets a line per event, so that a test sees what happened in the other process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from launcher.errors import EngineError
from launcher.progress import Progress
from webui.engine.base import (
    AudioChunk,
    Cancellation,
    EngineInfo,
    EngineLostError,
    Pcm,
    ReportProgress,
    Segment,
    SpeechRequest,
    Voice,
)
from webui.engine.halving import speak_or_halve

RATE_HZ = 24_000


class ToneEngine:
    def __init__(self, *, cache_dir: Path, device: str, threads: int, options: Mapping[str, str] | None = None) -> None:
        self._cache_dir = cache_dir
        self._device = "cpu" if device == "auto" else device
        self._loaded = False

    def load(self, report: ReportProgress) -> None:
        options = self._options()
        if options.get("load_error"):
            raise EngineError(options["load_error"], fix="Mend it.")
        if options.get("load_raise"):
            raise RuntimeError("the library said no\nand more")
        steps = 5
        for step in range(steps):
            report(Progress("load", step, steps, "steps", eta_s=options["load_s"] * (1 - step / steps)))
            time.sleep(options["load_s"] / steps)
        report(Progress("load", steps, steps, "steps"))
        self._loaded = True
        self._note("load")

    def import_packages(self) -> None:
        """For the fork server: nothing to import, but it may fail."""
        if error := self._options().get("import_error"):
            raise ImportError(error)

    def info(self) -> EngineInfo:
        return EngineInfo(
            name="tone",
            title={"en": "Tones", "zh": "音"},
            sample_rate_hz=RATE_HZ,
            voices=(
                Voice("high", {"en": "High", "zh": "高"}, "female", ("en", "zh")),
                Voice("low", {"en": "Low", "zh": "低"}, "male", ("en", "zh")),
                Voice("higher", {"en": "Higher", "zh": "更高"}, "female", ("en", "zh")),
            ),
            languages=("en", "zh"),
            device=self._device,
            capabilities=("emotion_vector",),
            notes={"en": "It does not speak.", "zh": "它不说话。"},
        )

    def segments(self, request: SpeechRequest) -> list[Segment]:
        return [Segment(index, word, "en") for index, word in enumerate(request.text.split())]

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        assert self._loaded
        options = self._options()
        self._note("begin " + request.text[:40])
        for segment in self.segments(request):
            self._work(options["chunk_s"], cancellation)
            crashed = self._cache_dir / "crashed"
            if segment.text == "[crash]" or (segment.text == "[crash-once]" and not crashed.exists()):
                crashed.touch()
                time.sleep(0.3)  # what was made before is on its way
                os._exit(9)
            if segment.text == "[memory]":
                np.empty(2**40, dtype=np.uint8).fill(1)
            if segment.text == "[flood]":
                for number in range(200_000):
                    print(f"line {number}", flush=number % 1000 == 0)
            if segment.text == "[lost-once]" and not crashed.exists():
                crashed.touch()
                raise EngineLostError("The device has failed.")
            if segment.text == "[raise]":
                raise RuntimeError("a tensor had the wrong shape")
            say = functools.partial(self._say, options, request)
            for pcm in speak_or_halve(segment.text, say, is_full=lambda error: isinstance(error, MemoryError)):
                self._note(f"chunk {segment.index}")
                yield AudioChunk(pcm, segment)
        self._note("end")

    def _say(self, options: dict, request: SpeechRequest, text: str) -> Iterator[Pcm]:
        if len(text) > options["memory_chars"]:
            self._note(f"full {text}")
            raise MemoryError
        yield tone(options["segment_audio_s"], request.voice == "low")

    def unload(self) -> None:
        self._loaded = False
        self._note("unload")

    def _work(self, seconds: float, cancellation: Cancellation) -> None:
        until = time.monotonic() + seconds
        while True:
            if cancellation.cancelled:
                self._note("cancelled")
            cancellation.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.02, left))

    def _options(self) -> dict:
        options = {"load_s": 0.0, "chunk_s": 0.0, "segment_audio_s": 0.25, "memory_chars": 10**9}
        path = self._cache_dir / "tone.json"
        if path.exists():
            options.update(json.loads(path.read_text()))
        return options

    def _note(self, line: str) -> None:
        with contextlib.suppress(OSError), (self._cache_dir / "tone.log").open("a") as log:  # a test fills the disk
            log.write(line + "\n")


def tone(seconds: float, low: bool = False) -> np.ndarray:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * (220 if low else 440) * time_s)).astype(np.int16)
