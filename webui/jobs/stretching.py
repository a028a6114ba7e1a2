"""Speech at another pace with the same pitch: WSOLA.

Source: W. Verhelst and M. Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for high quality
time-scale modification of speech", ICASSP 1993. Windows of 30 ms are laid at the new pace, each taken from where the
sound continues the one before it best.

Invariants: the length that comes out is the one that was asked for, to the sample; pitch and level stay; silence gives
silence.
"""

from __future__ import annotations

import numpy as np

from webui.audio import Pcm

#: A window holds two periods of the lowest voices (about 70 Hz); half of it is searched on either side.
WINDOW_S = 0.030


def stretch(pcm: Pcm, sample_rate_hz: int, samples: int) -> Pcm:
    """The same speech in ``samples`` samples.

    Args:
        pcm: shape (n,), int16.
        sample_rate_hz: of it.
        samples: wanted, at least 1.

    Returns:
        int16, shape (samples,).
    """
    half = max(int(WINDOW_S * sample_rate_hz / 2), 8)
    if samples == len(pcm) or len(pcm) < 4 * half:
        return _resized(pcm, samples)
    sound = np.concatenate([np.zeros(2 * half), pcm.astype(np.float64), np.zeros(4 * half)])
    # Two windows that overlap by half add up to one everywhere.
    window = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * half) + 0.5) / half)
    pace = len(pcm) / samples
    result = np.zeros(samples + 4 * half)
    taken = half
    for place in range(0, samples + half, half):
        wanted = round(place * pace) + half
        if place:
            wanted = _best(sound, taken + half, wanted, half)
        piece = sound[wanted : wanted + 2 * half]
        result[place : place + len(piece)] += piece * window[: len(piece)]
        taken = wanted
    stretched: Pcm = np.clip(np.rint(result[half : half + samples]), -32768, 32767).astype(np.int16)
    return stretched


def _best(sound: np.ndarray, natural: int, wanted: int, half: int) -> int:
    """Where near ``wanted`` the sound is most like what naturally comes next (normalised cross-correlation)."""
    template = sound[natural : natural + 2 * half]
    low = max(wanted - half // 2, 0)
    high = min(wanted + half // 2, len(sound) - 2 * half)
    if len(template) < 2 * half or high <= low:
        return max(min(wanted, len(sound) - 2 * half), 0)
    region = sound[low : high + 2 * half]
    products = np.correlate(region, template, "valid")
    squares = np.concatenate([[0.0], np.cumsum(region**2)])
    energy = squares[2 * half :] - squares[: -2 * half]
    return low + int(np.argmax(products / np.sqrt(energy + 1.0)))


def _resized(pcm: Pcm, samples: int) -> Pcm:
    """Cut, or followed by silence: for what is too short to have a pitch."""
    return np.concatenate([pcm[:samples], np.zeros(max(samples - len(pcm), 0), np.int16)])


def without_edges(pcm: Pcm, sample_rate_hz: int, keep_s: float = 0.02) -> Pcm:
    """The speech without the silence before and after it.

    Args:
        pcm: shape (n,), int16.
        sample_rate_hz: of it.
        keep_s: silence that is kept at either end, in seconds.
    """
    # 40 dB below the loudest, and never above what is heard as silence.
    level = np.abs(pcm.astype(np.int32))
    loud = np.flatnonzero(level > max(int(level.max(initial=0)) // 100, 30))
    if not len(loud):
        return pcm[:0]
    keep = int(keep_s * sample_rate_hz)
    return pcm[max(loud[0] - keep, 0) : loud[-1] + keep + 1]
