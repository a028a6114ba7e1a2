"""Loudness as people hear it (ITU-R BS.1770-4), and speech brought to a wanted loudness.

Invariants: a peak never passes `PEAK_LIMIT_DB`, so nothing is clipped: what would is made as loud as it can be;
sound that is too short or too quiet to be measured stays as it is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from webui.audio import Pcm

_Samples = npt.NDArray[np.float64]

#: Loudness that podcasts use for one voice (AES TD1008: -16 LUFS for stereo, 3 LU less for mono is heard alike).
SPEECH_LUFS = -19.0
#: What may be asked for.
LUFS_RANGE = (-40.0, -10.0)
#: Head room that lossy formats need (EBU R 128 s2).
PEAK_LIMIT_DB = -1.0
#: BS.1770-4: blocks of 400 ms, three quarters shared with the next; an absolute and a relative gate.
_BLOCK_S, _STEP_S = 0.4, 0.1
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
#: The two filters of BS.1770-4 as analogue prototypes, so that they hold at every rate (De Man 2014): the head's
#: shelf (gain in dB, Q, Hz) and the high pass (Q, Hz).
_SHELF = (3.99984385397, 0.7071752369554193, 1681.9744509555319)
_HIGH_PASS = (0.5003270373253953, 38.13547087613982)
#: Silence behind the sound in which the high pass dies away, in seconds.
_TAIL_S = 0.5
#: Samples that are worked on at once: 22 s at 24 kHz, 40 MB.
_PIECE_SAMPLES = 1 << 19


def loudness(pcm: Pcm, sample_rate_hz: int) -> float:
    """Integrated loudness in LUFS; ``-inf`` when there is nothing above the gate.

    Args:
        pcm: shape (samples,), int16, mono.
        sample_rate_hz: of ``pcm``.
    """
    block, step = round(_BLOCK_S * sample_rate_hz), round(_STEP_S * sample_rate_hz)
    if len(pcm) < block:
        return -math.inf
    starts = np.arange(0, len(pcm) - block + 1, step)
    edges = np.union1d(starts, starts + block)
    energy = _energy(pcm, sample_rate_hz, edges)
    power = (energy[np.searchsorted(edges, starts + block)] - energy[np.searchsorted(edges, starts)]) / block
    power = power[power > _power(_ABSOLUTE_GATE)]
    if not len(power):
        return -math.inf
    power = power[power > _power(_lufs(power.mean()) + _RELATIVE_GATE)]
    return _lufs(power.mean())


def normalise(pcm: Pcm, sample_rate_hz: int, target_lufs: float = SPEECH_LUFS) -> Pcm:
    """The sound at a wanted loudness, or as near as its peaks allow.

    Args:
        pcm: shape (samples,), int16, mono.
        sample_rate_hz: of ``pcm``.
        target_lufs: within `LUFS_RANGE`.
    """
    measured = loudness(pcm, sample_rate_hz)
    if math.isinf(measured):
        return pcm
    peak_db = 20.0 * math.log10(max(-int(pcm.min()), int(pcm.max())) / 32768.0)
    factor = 10.0 ** (min(target_lufs - measured, PEAK_LIMIT_DB - peak_db) / 20.0)
    scaled = np.empty_like(pcm)
    for start in range(0, len(pcm), _PIECE_SAMPLES):
        piece = slice(start, start + _PIECE_SAMPLES)
        scaled[piece] = np.clip(np.rint(pcm[piece] * factor), -32768, 32767)
    return scaled


def _energy(pcm: Pcm, sample_rate_hz: int, edges: npt.NDArray[np.int64]) -> _Samples:
    """The energy of the weighted sound up to each of these samples; in pieces, for an hour takes gigabytes at once.

    Args:
        pcm, sample_rate_hz: the sound.
        edges: in order, 0 to the number of samples.
    """
    found, total = np.empty(len(edges)), 0.0
    lead = round(_TAIL_S * sample_rate_hz)  # what came before it is still heard in a piece's beginning
    for start in range(0, len(pcm), _PIECE_SAMPLES):
        begin = max(0, start - lead)
        weighted = _weighted(pcm[begin : start + _PIECE_SAMPLES], sample_rate_hz)[start - begin :]
        running = total + np.concatenate([[0.0], np.cumsum(weighted**2)])
        first, last = np.searchsorted(edges, (start, start + len(weighted) + 1))
        found[first:last] = running[edges[first:last] - start]
        total = float(running[-1])
    return found


def _weighted(pcm: Pcm, sample_rate_hz: int) -> _Samples:
    """The sound as the ear weighs it: both filters, applied in the frequency domain."""
    length = len(pcm) + round(_TAIL_S * sample_rate_hz)
    size = 1 << (length - 1).bit_length()
    unit = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = _shelf(unit, sample_rate_hz) * _high_pass(unit, sample_rate_hz)
    weighted: _Samples = np.fft.irfft(np.fft.rfft(pcm / 32768.0, size) * response, size)[: len(pcm)]
    return weighted


def _shelf(unit: npt.NDArray[np.complex128], sample_rate_hz: int) -> npt.NDArray[np.complex128]:
    gain_db, q, hz = _SHELF
    k = math.tan(math.pi * hz / sample_rate_hz)
    high = 10.0 ** (gain_db / 20.0)
    band = high**0.4996667741545416
    return _biquad(
        unit, (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k), k, q, scale_zeros=True
    )


def _high_pass(unit: npt.NDArray[np.complex128], sample_rate_hz: int) -> npt.NDArray[np.complex128]:
    q, hz = _HIGH_PASS
    return _biquad(unit, (1.0, -2.0, 1.0), math.tan(math.pi * hz / sample_rate_hz), q, scale_zeros=False)


def _biquad(
    unit: npt.NDArray[np.complex128], zeros: tuple[float, float, float], k: float, q: float, *, scale_zeros: bool
) -> npt.NDArray[np.complex128]:
    a0 = 1.0 + k / q + k * k
    poles = 1.0 + (2.0 * (k * k - 1.0) / a0) * unit + ((1.0 - k / q + k * k) / a0) * unit**2
    # The standard's high pass has the zeros 1, -2, 1 as they stand.
    scale = a0 if scale_zeros else 1.0
    response: npt.NDArray[np.complex128] = (zeros[0] + zeros[1] * unit + zeros[2] * unit**2) / scale / poles
    return response


def _lufs(power: float) -> float:
    return -0.691 + 10.0 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10.0 ** ((lufs + 0.691) / 10.0))
