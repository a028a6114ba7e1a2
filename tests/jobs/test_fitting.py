"""Speech fitted to a time: which means are used, how far, and that the sound stays what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.engine.base import EngineInfo
from webui.jobs.fitting import MAX_STRETCH, Spoken, speak_fitted
from webui.jobs.stretching import stretch, without_edges

RATE_HZ = 24_000


def tone(seconds: float, hz: float = 200.0) -> np.ndarray:
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * hz * at) * (0.7 + 0.3 * np.sin(2 * np.pi * 3 * at))).astype(np.int16)


def pitch_hz(pcm: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))) * RATE_HZ / len(pcm))


def level(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


@pytest.mark.parametrize("factor", [0.6, 0.8, 0.95, 1.25, 1.6])
@pytest.mark.parametrize("hz", [90, 200, 420])
def test_stretching_changes_the_length_and_nothing_else(factor: float, hz: float) -> None:
    before = tone(2.0, hz)
    after = stretch(before, RATE_HZ, int(len(before) * factor))
    assert len(after) == int(len(before) * factor)
    assert pitch_hz(after) == pytest.approx(hz, rel=0.02)
    assert level(after) == pytest.approx(level(before), rel=0.05)
    # A window that does not fit its neighbour is heard as a click: a jump that the sound itself has not.
    assert np.abs(np.diff(after.astype(int))).max() <= 1.2 * np.abs(np.diff(before.astype(int))).max()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30_000), st.integers(1, 30_000))
def test_any_length_becomes_any_length(samples: int, wanted: int) -> None:
    assert len(stretch(tone(samples / RATE_HZ)[:samples], RATE_HZ, wanted)) == wanted


def test_silence_at_the_edges_goes_and_a_whisper_stays() -> None:
    quiet = np.zeros(RATE_HZ, np.int16)
    for loudness in (1.0, 0.02):
        speech = (tone(0.5) * loudness).astype(np.int16)
        kept = without_edges(np.concatenate([quiet, speech, quiet]), RATE_HZ)
        assert len(kept) / RATE_HZ == pytest.approx(0.54, abs=0.03)
    assert not len(without_edges(quiet, RATE_HZ))


class Speaker:
    """Speaks for ``natural_s``, quicker when it is asked to and can."""

    def __init__(self, natural_s: float, *, obeys: bool = True) -> None:
        self.natural_s, self.obeys, self.asked = natural_s, obeys, list[Mapping[str, Any]]()

    async def __call__(self, request: Mapping[str, Any]) -> Spoken:
        self.asked.append(request)
        factor = request.get("duration_factor", 1.0) / request.get("speed", 1.0) if self.obeys else 1.0
        return Spoken(tone(self.natural_s * factor), RATE_HZ, 0.5, 7, {})


def info(*capabilities: str, fastest: float = 4.0) -> EngineInfo:
    how: dict[str, Any] = {"capabilities": capabilities, "speed_range": (0.25, fastest)}
    return EngineInfo("x", {"en": "X"}, RATE_HZ, (), (), **how)


def fitted(speaker: Speaker, slot_s: float, about: EngineInfo, tempo: float = 1.5) -> Spoken:
    return asyncio.run(speak_fitted({"text": "x"}, slot_s, speaker, about, tempo))


def test_what_fits_is_left_as_it_is() -> None:
    speaker = Speaker(1.0)
    spoken = fitted(speaker, 1.5, info())
    assert len(speaker.asked) == 1
    assert spoken.fit == {"slot_s": 1.5, "natural_s": 1.0, "length_s": 1.0}


@pytest.mark.parametrize(
    ("about", "field"), [(info("duration"), "duration_factor"), (info(), "speed"), (info(fastest=1.1), "speed")]
)
def test_the_engine_is_asked_first_and_the_rest_is_stretched(about: EngineInfo, field: str) -> None:
    speaker = Speaker(1.3)
    spoken = fitted(speaker, 1.0, about)
    assert spoken.length_s <= 1.04 and "overrun_s" not in spoken.fit
    assert field in spoken.fit and speaker.asked[1]["seed"] == 7
    assert ("stretch" in spoken.fit) == (about.speed_range[1] == 1.1)
    assert spoken.synthesis_s == 1.0


def test_what_cannot_be_fitted_says_by_how_much() -> None:
    spoken = fitted(Speaker(3.0), 1.0, info(), tempo=1.5)
    assert spoken.length_s == pytest.approx(2.0, abs=0.05)
    assert spoken.fit["overrun_s"] == pytest.approx(spoken.length_s - 1.0, abs=0.002)
    deaf = fitted(Speaker(3.0, obeys=False), 1.0, info(), tempo=3.0)
    assert deaf.fit["stretch"] == MAX_STRETCH and "speed" not in deaf.fit
    assert deaf.length_s == pytest.approx(3.0 / MAX_STRETCH, abs=0.01)
