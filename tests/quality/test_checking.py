"""The quality loop around a real engine that stumbles on purpose: marks, tries, budget, seeds, cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from launcher.errors import SpeechError
from launcher.frames import PCM, FrameReader
from tests.quality.recordings import TEXT
from tests.quality.stumbling import ABLE, Defect, StumblingEngine, by_chance, lines
from webui.engine.base import Cancellation, Cancelled, Respeaker, SpeechRequest
from webui.engine.checking import MAX_TRIES, Ear, further_seed, mode_of
from webui.engine.offer import check_offer
from webui.engine.performance import Performance
from webui.quality.findings import Finding
from webui.quality.inspection import Asked

Events = list[dict[str, Any]]


def perform(engine: StumblingEngine, request: SpeechRequest, ear: Ear | None = None) -> tuple[Events, list[Any]]:
    """The events, in order and with ``pcm`` for sound, and each segment's samples."""
    reader, events, sound, current = FrameReader(), [], {}, -1
    for data in Performance(engine, engine.info(), request, usual_quality="mark", ear=ear).frames(Cancellation()):
        for frame in reader.feed(data):
            if frame.kind == PCM:
                sound[current] = sound.get(current, b"") + frame.payload
                if events[-1] != {"event": "pcm"}:
                    events.append({"event": "pcm"})
            else:
                events.append(frame.event)
                if frame.event["event"] == "segment":
                    current = frame.event["index"]
    return events, [np.frombuffer(sound[index], "<i2") for index in sorted(sound)]


def said(**fields: Any) -> SpeechRequest:
    return SpeechRequest(**{"text": lines(4), "seed": 3, "quality": "redo", **fields})


def marks(events: Events) -> dict[int, dict[str, Any]]:
    return {event["index"]: event for event in events if event["event"] == "mark"}


def kinds(mark: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in mark["findings"]]


def first_tries(*bad: int, seed: int = 3) -> Defect:
    """The named segments go wrong with the request's own seed, and never again."""
    return lambda used, index: "gap" if used == seed and index in bad else ""


def test_marking_changes_no_sample_and_waits_for_nothing() -> None:
    engine = StumblingEngine(defect=first_tries(1, 3))
    plain, whole = perform(engine, said(quality="off"))
    events, sound = perform(engine, said(quality="auto"))
    assert plain[0]["quality"] == "off" and events[0]["quality"] == "mark"
    assert all(np.array_equal(a, b) for a, b in zip(whole, sound, strict=True))
    found = marks(events)
    assert sorted(found) == [1, 3] and kinds(found[1]) == kinds(found[3]) == ["gap"]
    names = [event["event"] for event in events]
    assert names.index("mark") < len(names) - 1 - names[::-1].index("segment"), "a mark comes before later segments"
    assert (events[-1]["marked"], events[-1]["redos"]) == (2, 0)
    assert not marks(plain) and "marked" not in plain[-1]


def test_what_sounds_wrong_is_spoken_again_and_the_rest_is_as_it_was() -> None:
    engine = StumblingEngine(defect=first_tries(1))
    events, sound = perform(engine, said())
    seed = further_seed(3, 1, 1)
    assert engine.respoken == [(1, seed)]
    for index, pcm in enumerate(sound):
        assert np.array_equal(pcm, engine.sound(seed if index == 1 else 3, index))
    assert marks(events) == {1: {"event": "mark", "index": 1, "findings": [], "redos": 1, "seed": seed}}
    starts = [event["start_sample"] for event in events if event["event"] == "segment"]
    assert starts == [sum(len(pcm) for pcm in sound[:index]) for index in range(4)]
    assert events[-1]["samples"] == sum(map(len, sound)) and events[-1]["redos"] == 1
    progress = next(event for event in events if event.get("stage") == "redo")
    assert (progress["done"], progress["total"]) == (1, 4)


def test_a_segment_is_tried_so_often_and_the_least_bad_is_kept() -> None:
    tries = {3: "silent", further_seed(3, 0, 1): "late_start", further_seed(3, 0, 2): "too_short"}
    engine = StumblingEngine(defect=lambda seed, index: tries.get(seed, "") if index == 0 else "")
    events, sound = perform(engine, said())
    assert len(engine.respoken) == MAX_TRIES - 1
    assert np.array_equal(sound[0], engine.sound(further_seed(3, 0, 1), 0))
    mark = marks(events)[0]
    assert (mark["redos"], mark["seed"], kinds(mark)) == (2, further_seed(3, 0, 1), ["late_start"])


def test_of_equally_bad_tries_the_first_is_kept() -> None:
    engine = StumblingEngine(defect=lambda seed, index: "silent")
    events, sound = perform(engine, said(text=TEXT))
    assert np.array_equal(sound[0], engine.sound(3, 0)) and "seed" not in marks(events)[0]


@pytest.mark.parametrize("redos", [0, 1, 3, 100])
def test_the_budget_is_of_the_whole_request(redos: int) -> None:
    engine = StumblingEngine(defect=lambda seed, index: "silent")
    events, _ = perform(engine, said(redos=redos))
    assert len(engine.respoken) == events[-1]["redos"] == min(redos, 4 * (MAX_TRIES - 1))
    assert events[-1]["marked"] == 4


@pytest.mark.parametrize("seed", range(5))
def test_the_same_request_gives_the_same_sound(seed: int) -> None:
    results = [perform(StumblingEngine(defect=by_chance(0.5)), said(seed=seed)) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))
    assert marks(results[0][0]) == marks(results[1][0])


def test_a_seed_that_was_not_given_is_drawn_and_told() -> None:
    engine = StumblingEngine(defect=lambda seed, index: "silent")
    events, _ = perform(engine, said(seed=None, text=TEXT))
    seed = events[-1]["seed"]
    assert engine.respoken == [(0, further_seed(seed, 0, 1)), (0, further_seed(seed, 0, 2))]


def test_an_engine_that_does_not_say_when_a_segment_ends() -> None:
    plan = first_tries(1, 3)
    told, early = perform(StumblingEngine(defect=plan), said())
    silent, late = perform(StumblingEngine(defect=plan, says_ends=False), said())
    assert all(np.array_equal(a, b) for a, b in zip(early, late, strict=True))
    assert marks(told) == marks(silent)


def test_parts_of_markup_have_their_own_segments_and_seeds() -> None:
    engine = StumblingEngine(defect=lambda seed, index: "silent" if seed == 3 else "")
    text = f"{TEXT}[pause=1s]{TEXT}"
    events, sound = perform(engine, said(text=text, markup=True))
    assert [used for _, used in engine.respoken] == [further_seed(3, 0, 1), further_seed(3, 1, 1)]
    assert sorted(marks(events)) == [0, 1]
    assert len(sound) == 2 and not marks(events)[1]["findings"]


def test_only_engines_that_can_are_asked_again() -> None:
    info = StumblingEngine(defect=by_chance(0), capabilities=("seed",)).info()
    able = StumblingEngine(defect=by_chance(0)).info()
    assert isinstance(StumblingEngine(defect=by_chance(0)), Respeaker) and "redo" in ABLE
    wanted = [
        (None, "redo", able, "redo"),
        ("mark", "off", info, "mark"),
        (None, "mark", info, "off"),
        ("off", "redo", able, "off"),
    ]
    for quality, usual, engine, mode in wanted:
        assert mode_of(said(quality=quality or "auto"), engine, usual) == mode
    with pytest.raises(SpeechError) as caught:
        check_offer(said(), info)
    assert (caught.value.param, caught.value.code) == ("quality", "not_offered")
    check_offer(said(quality="mark"), info)


def test_a_try_that_fails_leaves_what_was_there() -> None:
    engine = StumblingEngine(defect=lambda seed, index: "gap")
    engine.fails_in_respeak = True
    events, sound = perform(engine, said())
    assert len(sound) == 4 and events[-1]["event"] == "end"
    assert len(engine.respoken) == 1, "and nothing is tried again in this request"


def test_a_request_is_cancelled_in_the_midst_of_a_try() -> None:
    engine = StumblingEngine(defect=lambda seed, index: "gap")
    engine.waits_in_respeak = True
    cancellation = Cancellation()
    frames = Performance(engine, engine.info(), said()).frames(cancellation)
    timer = threading.Timer(0.2, cancellation.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        for _ in frames:
            pass
    timer.join()
    assert engine.respoken


class SlowEar:
    """Misreads what the test names; answers only when it is told to."""

    def __init__(self, wrong: Callable[[int], bool]) -> None:
        self._wrong = wrong
        self.asked: list[Asked] = []
        self.waiting: list[Future[Finding | None]] = []
        self.answers_at_once = True

    def listen(self, pcm: np.ndarray, rate_hz: int, asked: Asked) -> Future[Finding | None]:
        self.asked.append(asked)
        answer: Future[Finding | None] = Future()
        self.waiting.append(answer)
        if self.answers_at_once:
            self.answer(len(self.waiting) - 1)
        return answer

    def answer(self, number: int) -> None:
        self.waiting[number].set_result(Finding("misread", 0.8, 0.4) if self._wrong(number) else None)

    def close(self) -> None:
        """Nothing to give back."""


def test_what_the_ear_misreads_is_spoken_again() -> None:
    engine = StumblingEngine(defect=by_chance(0))
    ear = SlowEar(lambda number: number == 1)
    text = lines(4).replace("天气", "<天气|TIAN1 QI4>")
    events, _ = perform(engine, said(text=text, glossary=(("fox", "狐狸"),)), ear)
    assert engine.respoken == [(1, further_seed(3, 1, 1))] and len(ear.asked) == 5
    assert marks(events)[1]["findings"] == [] and "狐狸" in ear.asked[0].text
    assert ear.asked[0].text.startswith("今天天气真好，"), "a reading that is written beside a word is not spoken"


def test_marking_does_not_wait_for_the_ear_but_the_end_does() -> None:
    engine = StumblingEngine(defect=by_chance(0))
    ear = SlowEar(lambda number: number == 0)
    ear.answers_at_once = False
    reader, heard = FrameReader(), 0
    frames = Performance(engine, engine.info(), said(quality="mark"), ear=ear).frames(Cancellation())
    whole = sum(len(engine.sound(3, index)) for index in range(4))
    events: Events = []
    for data in frames:
        for frame in reader.feed(data):
            if frame.kind == PCM:
                heard += len(frame.payload) // 2
            else:
                events.append(frame.event)
        if heard == whole and not ear.answers_at_once:
            assert len(ear.waiting) == 3 and not marks(events), "all is heard, and nothing was waited for"
            ear.answers_at_once = True
            for number in range(3):
                ear.answer(number)
    assert kinds(marks(events)[0]) == ["misread"] and events[-1]["marked"] == 1


def test_a_cancelled_request_does_not_wait_for_the_ear() -> None:
    ear = SlowEar(lambda number: False)
    ear.answers_at_once = False
    cancellation = Cancellation()
    engine = StumblingEngine(defect=by_chance(0))
    threading.Timer(0.2, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        for _ in Performance(engine, engine.info(), said(), ear=ear).frames(cancellation):
            pass


def test_seeds_of_further_tries_are_told_apart() -> None:
    seeds = {further_seed(seed, index, number) for seed in range(20) for index in range(20) for number in (1, 2)}
    assert len(seeds) == 800 and all(0 <= seed < 2**32 for seed in seeds)
