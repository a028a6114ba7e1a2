"""Emotion as numbers: neutral changes nothing, every slider goes one way, mixtures stay within bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.emotion import EMOTIONS, NEUTRAL, EmotionVector
from webui.engine.kokoro.network import F0_RATE_HZ, Floats
from webui.engine.kokoro.prosody import CORRELATES, VOICED_HZ, Prosody, edit_f0, prosody_of

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def contour(mean_hz: float) -> Floats:
    """Two seconds of speech-like pitch with an unvoiced gap."""
    times_s = np.arange(160) / F0_RATE_HZ
    f0_hz = mean_hz * 2 ** (3 * np.sin(2 * np.pi * 1.1 * times_s) / 12)
    f0_hz[60:75] = 8.0
    return f0_hz.astype(np.float32)


def mean_st(f0_hz: Floats) -> float:
    return float(12 * np.mean(np.log2(f0_hz[f0_hz > VOICED_HZ])))


def range_st(f0_hz: Floats) -> float:
    low, high = np.percentile(12 * np.log2(f0_hz[f0_hz > VOICED_HZ]), [5, 95])
    return float(high - low)


def test_there_is_an_effect_for_every_emotion() -> None:
    assert tuple(CORRELATES) == EMOTIONS


def test_neutral_changes_nothing() -> None:
    f0_hz = contour(220)
    assert prosody_of(NEUTRAL) == Prosody()
    assert edit_f0(f0_hz, prosody_of(NEUTRAL), tonal=False, final=True) is f0_hz


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("mean_hz", [92.0, 228.0])
@pytest.mark.parametrize("tonal", [False, True])
def test_every_quantity_goes_one_way_with_the_slider(emotion: str, mean_hz: float, tonal: bool) -> None:
    effect = CORRELATES[emotion]
    steps = [prosody_of(EmotionVector(**{emotion: level})) for level in LEVELS]
    contours = [edit_f0(contour(mean_hz), step, tonal=tonal, final=False) for step in steps]
    for values, way in (
        ([step.rate for step in steps], effect.rate_log),
        ([step.gain_db for step in steps], effect.gain_db),
        ([step.tilt for step in steps], effect.tilt),
        ([mean_st(f0_hz) for f0_hz in contours], effect.pitch_st),
        ([range_st(f0_hz) for f0_hz in contours], effect.range_log),
    ):
        assert all(np.diff(values) * np.sign(way) >= -0.02), (emotion, values)
        if way:
            assert values[-1] != values[0]


@pytest.mark.parametrize(("emotion", "pitch_st"), [("happy", 2.8), ("sad", -2.4), ("surprised", 4.4)])
def test_the_mean_moves_as_the_table_says(emotion: str, pitch_st: float) -> None:
    moved = edit_f0(contour(228), prosody_of(EmotionVector(**{emotion: 1.0})), tonal=False, final=False)
    assert mean_st(moved) - mean_st(contour(228)) == pytest.approx(pitch_st, abs=0.6)


def test_only_voiced_values_move_and_they_stay_a_voice() -> None:
    for emotion in EMOTIONS:
        moved = edit_f0(contour(480), prosody_of(EmotionVector(**{emotion: 1.0})), tonal=False, final=True)
        assert np.array_equal(moved[60:75], contour(480)[60:75])
        assert moved[moved > VOICED_HZ].max() <= 520.001


def test_a_tonal_language_keeps_its_tones() -> None:
    angry = prosody_of(EmotionVector(angry=1.0))
    assert angry.range_factor(tonal=True) == 1.45
    assert angry.range_factor(tonal=False) == pytest.approx(1.5)


def test_the_end_of_a_sentence_rises_in_surprise() -> None:
    surprised = prosody_of(EmotionVector(surprised=1.0))
    within = edit_f0(contour(220), surprised, tonal=False, final=False)
    at_end = edit_f0(contour(220), surprised, tonal=False, final=True)
    assert at_end[-1] > within[-1] * 1.08
    assert at_end[0] == pytest.approx(within[0])


def test_a_sound_without_voice_is_left_alone() -> None:
    whisper = np.full(50, 9.0, np.float32)
    assert np.array_equal(edit_f0(whisper, prosody_of(EmotionVector(happy=1.0)), tonal=False, final=True), whisper)


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_a_mixture_never_exceeds_its_strongest_parts(values: list[float]) -> None:
    mixed = prosody_of(EmotionVector.from_sequence(values))
    for name in ("pitch_st", "range_log", "rate_log", "gain_db", "tilt", "final_st", "tremor_st"):
        parts = [getattr(effect, name) for effect in CORRELATES.values()]
        assert min(0, *parts) - 1e-9 <= getattr(mixed, name) <= max(0, *parts) + 1e-9


def test_all_sliders_at_full_count_as_their_mean() -> None:
    mixed = prosody_of(EmotionVector(*([1.0] * 8)))
    assert mixed.pitch_st == pytest.approx(np.mean([effect.pitch_st for effect in CORRELATES.values()]))
