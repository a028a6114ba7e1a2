"""Real speech for the tests of the checks: five recordings whose words are known, and what can be done to them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from webui.engine.indextts.samples import SAMPLES, sample_path
from webui.quality.inspection import Asked
from webui.quality.sound import Sound

#: What every recording says: `scripts/make_samples.py`.
TEXT = "今天天气真好，我们一起去公园散步，听听鸟叫，看看花开。The quick brown fox jumps over the lazy dog, then rests."
CHINESE, ENGLISH = TEXT[: TEXT.index("The")], TEXT[TEXT.index("The") :]
ASKED = Asked(TEXT, "mixed")
VOICES = tuple(voice.id for voice in SAMPLES)
Pcm = np.ndarray[Any, np.dtype[np.int16]]


@functools.cache
def recording(voice: str) -> tuple[Pcm, int]:
    """One recording and its rate."""
    pcm, rate_hz = soundfile.read(sample_path(voice), dtype="int16")
    return pcm, rate_hz


def loud_at(pcm: Pcm, rate_hz: int, share: float) -> int:
    """The first sample in the midst of speech after that share of the whole."""
    sound = Sound(pcm, rate_hz)
    loud = np.flatnonzero(sound.levels_dbfs > sound.loud_dbfs - 10) * round(0.02 * rate_hz)
    return int(loud[loud > share * len(pcm)][0]) + round(0.01 * rate_hz)


def silence(seconds: float, rate_hz: int) -> Pcm:
    return np.zeros(round(seconds * rate_hz), np.int16)


def inserted(pcm: Pcm, rate_hz: int) -> Pcm:
    at = loud_at(pcm, rate_hz, 0.4)
    return np.concatenate([pcm[:at], silence(2.5, rate_hz), pcm[at:]])


def doubled(pcm: Pcm, rate_hz: int) -> Pcm:
    at = loud_at(pcm, rate_hz, 0.3)
    end = at + round(1.2 * rate_hz)
    return np.concatenate([pcm[:end], pcm[at:]])


def held(pcm: Pcm, rate_hz: int) -> Pcm:
    """One vowel's 80 ms for two seconds, its pieces faded into each other."""
    at, size, fade = loud_at(pcm, rate_hz, 0.5), round(0.08 * rate_hz), round(0.02 * rate_hz)
    piece = pcm[at : at + size].astype(np.float64)
    up = np.sqrt(np.linspace(0, 1, fade))
    piece[:fade] *= up
    piece[-fade:] *= up[::-1]
    out = np.zeros(2 * rate_hz + size)
    for start in range(0, len(out) - size, size - fade):
        out[start : start + size] += piece
    return np.concatenate([pcm[:at], np.clip(out, -32768, 32767).astype(np.int16), pcm[at:]])


#: What is done to a recording, and what is to be found then.
DEFECTS: dict[str, Callable[[Pcm, int], Pcm]] = {
    "silent": lambda pcm, rate_hz: np.zeros_like(pcm),
    "gap": inserted,
    "late_start": lambda pcm, rate_hz: np.concatenate([silence(1.5, rate_hz), pcm]),
    "long_tail": lambda pcm, rate_hz: np.concatenate([pcm, silence(2.5, rate_hz)]),
    "clipped": lambda pcm, rate_hz: np.clip(pcm.astype(np.int32) * 8, -32768, 32767).astype(np.int16),
    "cut_off": lambda pcm, rate_hz: pcm[: loud_at(pcm, rate_hz, 0.7)],
    "too_short": lambda pcm, rate_hz: pcm[: loud_at(pcm, rate_hz, 0.15)],
    "too_long": lambda pcm, rate_hz: np.concatenate([pcm] * 5),
    "repeated": doubled,
    "stuck": held,
    "offset": lambda pcm, rate_hz: np.clip(pcm.astype(np.int32) + 4000, -32768, 32767).astype(np.int16),
}
