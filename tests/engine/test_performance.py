"""A request with markup, spoken: passages in order, silences in place, tags never reach the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from launcher.errors import SpeechError
from launcher.frames import EVENT, PCM, FrameReader
from launcher.progress import Progress
from webui.emotion import EmotionVector
from webui.engine.base import AudioChunk, Cancellation, EngineInfo, ReportProgress, Segment, SpeechRequest
from webui.engine.performance import FRAME_PCM_BYTES, Performance

RATE_HZ = 1000
INFO = EngineInfo(
    "words", {"en": "Words"}, RATE_HZ, (), ("en",), capabilities=("emotion_vector",), speed_range=(0.5, 2)
)


class Words:
    """Speaks each word as as many samples as ten times its letters, of the value 1 + 100 * speed."""

    def __init__(self) -> None:
        self.asked: list[SpeechRequest] = []

    def load(self, report: ReportProgress) -> None: ...

    def unload(self) -> None: ...

    def info(self) -> EngineInfo:
        return INFO

    def segments(self, request: SpeechRequest) -> list[Segment]:
        return [Segment(index, word, "en") for index, word in enumerate(request.text.split())]

    def symbols(self, request: SpeechRequest, segment: Segment) -> tuple[int, str]:
        return len(segment.text), segment.text.upper() + f"@{request.speed:g}"

    def synthesize(self, request: SpeechRequest, cancellation: Cancellation) -> Iterator[AudioChunk]:
        self.asked.append(request)
        for segment in self.segments(request):
            yield AudioChunk(np.full(10 * len(segment.text), 1 + round(100 * request.speed), np.int16), segment)


def perform(
    request: SpeechRequest, info: EngineInfo = INFO
) -> tuple[Words, list[dict[str, Any]], np.ndarray[Any, Any]]:
    """The engine, the events, and all samples."""
    engine, reader = Words(), FrameReader()
    events, pcm = [], bytearray()
    for data in Performance(engine, info, request).frames(Cancellation()):
        for frame in reader.feed(data):
            if frame.kind == EVENT:
                events.append(frame.event)
            elif frame.kind == PCM:
                pcm += frame.payload
    return engine, events, np.frombuffer(bytes(pcm), "<i2")


def test_passages_are_spoken_in_turn_with_silences_between() -> None:
    text = "[pause=10ms]one two[emotion=sad:0.5][pause=20ms]three[speed=1.5]four[/emotion][/speed]five[pause=30ms]"
    asked = SpeechRequest(text, emotion=EmotionVector(happy=0.3), speed=1.2, markup=True, seed=7)
    engine, events, pcm = perform(asked)
    assert [(part.text, part.speed, part.emotion.as_dict()) for part in engine.asked] == [
        ("one two", 1.2, {"happy": 0.3}),
        ("three", 1.2, {"sad": 0.5}),
        ("four", pytest.approx(1.8), {"sad": 0.5}),
        ("five", 1.2, {"happy": 0.3}),
    ]
    assert {part.markup for part in engine.asked} == {False}
    assert {part.seed for part in engine.asked} == {7}
    start = events[0]
    assert [(entry["index"], entry["text"]) for entry in start["segments"]] == list(
        enumerate(["one", "two", "three", "four", "five"])
    )
    assert start["segments"][2] == {
        "index": 2,
        "text": "three",
        "language": "en",
        "emotion": {"sad": 0.5},
        "pause_s": 0.02,
    }
    assert start["segments"][3]["speed"] == 1.5
    assert [entry.get("pause_after_s") for entry in start["segments"]] == [None] * 4 + [0.03]
    starts = [event["start_sample"] for event in events if event["event"] == "segment"]
    assert starts == [10, 40, 90, 140, 180]
    assert [event["done"] for event in events if event["event"] == "progress"] == [1, 2, 3, 4]
    assert pcm[:10].tolist() == [0] * 10
    assert pcm[70:90].tolist() == [0] * 20
    assert pcm[140] == 181
    assert pcm[-30:].tolist() == [0] * 30
    assert events[-1] == events[-1] | {"event": "end", "samples": 250, "seed": 7}
    assert len(pcm) == 250


def test_without_markup_tags_are_text() -> None:
    engine, events, _ = perform(SpeechRequest("[pause=1s] x"))
    assert [part.text for part in engine.asked] == ["[pause=1s] x"]
    assert "ignored" not in events[0]


def test_an_engine_without_emotions_leaves_them_out_and_says_so() -> None:
    info = replace(INFO, capabilities=())
    engine, events, _ = perform(SpeechRequest("a[emotion=sad]b[speed=4]c", markup=True), info)
    assert events[0]["ignored"] == ["emotion"]
    assert [part.emotion.total for part in engine.asked] == [0, 0, 0]
    assert engine.asked[-1].speed == 2, "as near as the engine can"


def test_neutral_is_the_voice_itself() -> None:
    engine, _, _ = perform(SpeechRequest("[emotion=neutral]a", emotion=EmotionVector(sad=1), markup=True))
    assert (engine.asked[0].emotion_source, engine.asked[0].emotion.total) == ("voice", 0)


def test_a_tag_overrules_a_description() -> None:
    request = SpeechRequest("a[emotion=sad]b", emotion_mode="text", emotion_text="whispering", markup=True)
    engine, _, _ = perform(request)
    assert [part.emotion_source for part in engine.asked] == ["text", "vector"]


def test_segments_are_described_with_symbols() -> None:
    shown = Performance(Words(), INFO, SpeechRequest("one[speed=2]two", markup=True)).described_segments()
    assert shown == [
        {"index": 0, "text": "one", "language": "en", "tokens": 3, "symbols": "ONE@1"},
        {"index": 1, "text": "two", "language": "en", "speed": 2.0, "tokens": 3, "symbols": "TWO@2"},
    ]


def test_a_wrong_tag_ends_before_the_first_frame() -> None:
    with pytest.raises(SpeechError, match="names no emotion"):
        Performance(Words(), INFO, SpeechRequest("[emotion=hapy]x", markup=True))


def test_long_sound_is_cut_into_frames() -> None:
    data = b"".join(Performance(Words(), INFO, SpeechRequest("x" * 9000)).frames(Cancellation()))
    sizes = [len(frame.payload) for frame in FrameReader().feed(data) if frame.kind == PCM]
    assert max(sizes) == FRAME_PCM_BYTES
    assert sum(sizes) == 180_000


def test_progress_of_a_part_is_progress_of_the_whole() -> None:
    performance = Performance(Words(), INFO, SpeechRequest("a b[speed=2]c d", markup=True))
    told = [performance.whole(Progress("speak", 0.5, 2)) for _ in performance.frames(Cancellation())]
    assert (told[0].done, told[0].total) == (0.5, 4)
    assert (told[-1].done, told[-1].total) == (2.5, 4)
