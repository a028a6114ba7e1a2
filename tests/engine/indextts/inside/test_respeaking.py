"""One segment spoken again while a request rests behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from conftest import LONG, digest

from webui.engine.base import Cancellation, GenerationParameters, Respeaker, SpeechRequest

REQUEST = SpeechRequest(LONG, seed=1, generation=GenerationParameters(segment_tokens=30))


def test_a_segment_that_is_spoken_again_changes_nothing_about_the_others(engine: Any) -> None:
    assert isinstance(engine, Respeaker) and "redo" in engine.info().capabilities
    plain: dict[int, list[np.ndarray]] = {}
    for chunk in engine.synthesize(REQUEST, Cancellation()):
        plain.setdefault(chunk.segment.index, []).append(chunk.pcm)
    held: dict[int, list[np.ndarray]] = {}
    again: list[str] = []
    for chunk in engine.synthesize(REQUEST, Cancellation()):
        held.setdefault(chunk.segment.index, []).append(chunk.pcm)
        if chunk.ends and chunk.segment.index < 2:
            other = replace(REQUEST, seed=7)
            again += [digest(_whole(engine.respeak(other, chunk.segment, Cancellation()))) for _ in range(2)]
    whole = [digest(np.concatenate(parts)) for parts in plain.values()]
    assert [digest(np.concatenate(parts)) for parts in held.values()] == whole
    assert len(whole) == 3 and again[0] == again[1] != whole[0] and again[2] == again[3] != whole[1]


def test_every_segment_says_where_it_ends(engine: Any) -> None:
    ends = [(chunk.segment.index, len(chunk.pcm)) for chunk in engine.synthesize(REQUEST, Cancellation()) if chunk.ends]
    assert ends == [(0, 0), (1, 0), (2, 0)]


def _whole(chunks: Any) -> np.ndarray:
    return np.concatenate([chunk.pcm for chunk in chunks])
