"""Mandarin tones: a syllable moves toward its tone's shape, by the share asked for, and nothing else moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.engine.kokoro.conftest import Syllable
from webui.engine.kokoro.network import Floats
from webui.engine.kokoro.tones import pull_tones

FRAMES = 12  # of 25 ms: 300 ms a syllable


def flat(count: int, hz: float = 200.0) -> Floats:
    return np.full(2 * FRAMES * count, hz, np.float32)


def durations(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    # A start and an end token without length, one token a syllable.
    return np.array([0, *[FRAMES] * count, 0], np.int64)


def said(tones: Sequence[int], pull: float = 1.0) -> list[Floats]:
    """The pitch of each syllable in semitones from flat, 24 values each."""
    syllables = [Syllable(index, index + 1, tone) for index, tone in enumerate(tones)]
    pulled = pull_tones(flat(len(tones)), durations(len(tones)), syllables, pull)
    return [12 * np.log2(part / 200.0) for part in np.split(pulled, len(tones))]


def test_four_tones_have_four_shapes() -> None:
    high, rising, low, falling = (shape[3:-3] for shape in said([1, 2, 3, 4]))
    assert high.min() > 2
    assert rising[-1] - rising[0] > 2.5
    assert low.mean() < -2
    assert falling[0] - falling[-1] > 4


def test_a_neutral_tone_has_no_shape() -> None:
    (shape,) = said([5])
    assert np.allclose(shape, 0, atol=1e-4)


def test_half_a_pull_goes_half_the_way() -> None:
    (whole,), (half,), (none,) = said([4]), said([4], 0.5), said([4], 0.0)
    assert np.allclose(half, whole / 2, atol=1e-4)
    assert np.allclose(none, 0, atol=1e-4)


def test_a_third_tone_rises_only_at_the_end() -> None:
    within, end = said([3, 3])
    assert end[-4] - end[len(end) // 2] > 1
    assert within[-4] - within[len(within) // 2] < 1


def test_unvoiced_frames_stay() -> None:
    f0_hz = flat(2)
    f0_hz[:8] = 9.0
    pulled = pull_tones(f0_hz, durations(2), [Syllable(0, 1, 4), Syllable(1, 2, 1)])
    assert np.array_equal(pulled[:8], f0_hz[:8])
    assert not np.allclose(pulled[8:24], f0_hz[8:24])


@pytest.mark.parametrize("hz", [70.0, 300.0])
def test_no_step_between_syllables(hz: float) -> None:
    syllables = [Syllable(index, index + 1, tone) for index, tone in enumerate((1, 3, 4, 2))]
    pulled = pull_tones(flat(4, hz), durations(4), syllables)
    assert np.abs(np.diff(12 * np.log2(pulled))).max() < 1.5


def test_english_has_no_syllables_to_move() -> None:
    f0_hz = flat(1)
    assert pull_tones(f0_hz, durations(1), []) is f0_hz
