"""A segment's sound as the checks look at it: frames, their levels, their spectra, and which of them are speech.

Invariants: everything is computed once and from int16 samples; no level depends on how loud the whole is, so a
whisper is looked at as a shout is.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from webui.audio import Pcm

Numbers = npt.NDArray[np.float32]

#: Between two frames, in seconds: a plosive lasts about that long, a syllable ten times as long.
HOP_S = 0.02
#: Sound that a spectrum looks at: two periods of the lowest voices.
_WINDOW_S = 0.04
#: Below a voice there is hum, above the last edge little that tells one vowel from another.
_BAND_EDGES_HZ = (80.0, 7_000.0)
_BANDS = 24
#: A frame this far below the loud ones, or below this level, is silence.
SILENCE_BELOW_DB, SILENCE_DBFS = 40.0, -60.0
FLOOR_DBFS = -96.0
#: Power of a band below which nothing is told apart: the noise of 16 bits in one window.
_NOISE = 1e-5
#: Loud frames are those at this percentile: a click is louder, and does not count.
_LOUD_PERCENTILE = 95


class Sound:
    """The sound of one segment.

    Args:
        pcm: shape (samples,), int16, mono.
        rate_hz: samples per second.
    """

    def __init__(self, pcm: Pcm, rate_hz: int) -> None:
        self.pcm = pcm
        self.rate_hz = rate_hz

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pcm) / self.rate_hz

    @cached_property
    def samples(self) -> Numbers:
        """The samples, -1 to 1."""
        return self.pcm.astype(np.float32) / 32768.0

    @cached_property
    def levels_dbfs(self) -> Numbers:
        """RMS of each frame of `HOP_S`; the last one may be shorter."""
        hop = round(HOP_S * self.rate_hz)
        squares = np.square(self.samples)
        if not len(squares):
            return np.zeros(0, np.float32)
        starts = np.arange(0, len(squares), hop)
        sums = np.add.reduceat(squares.astype(np.float64), starts)
        lengths = np.diff(np.append(starts, len(squares)))
        power = np.maximum(sums / lengths, 10.0 ** (FLOOR_DBFS / 10))
        levels: Numbers = (10.0 * np.log10(power)).astype(np.float32)
        return levels

    @cached_property
    def loud_dbfs(self) -> float:
        """The level of what is loud in it."""
        return float(np.percentile(self.levels_dbfs, _LOUD_PERCENTILE)) if len(self.levels_dbfs) else FLOOR_DBFS

    @cached_property
    def is_active(self) -> npt.NDArray[np.bool_]:
        """Which frames are no silence."""
        active: npt.NDArray[np.bool_] = self.levels_dbfs > max(self.loud_dbfs - SILENCE_BELOW_DB, SILENCE_DBFS)
        return active

    @cached_property
    def active_s(self) -> float:
        """Seconds in which something is heard."""
        return float(self.is_active.sum()) * HOP_S

    @cached_property
    def bands(self) -> Numbers:
        """Shape (frames, bands): how loud each band of each frame is, as a logarithm, above the frame's middle."""
        hop, window = round(HOP_S * self.rate_hz), round(_WINDOW_S * self.rate_hz)
        count = len(self.levels_dbfs)
        padded = np.zeros((count - 1) * hop + window if count else 0, np.float32)
        used = min(len(self.samples), len(padded))
        padded[:used] = self.samples[:used]
        frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] if count else np.zeros((0, window))
        power = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1)) ** 2
        bands: Numbers = np.log(power @ _filters(window, self.rate_hz) + _NOISE).astype(np.float32)
        return bands - bands.mean(axis=1, keepdims=True) if count else bands

    @cached_property
    def timbres(self) -> Numbers:
        """Shape (frames, bands): what sets each frame's spectrum off from the voice's usual one; length 1."""
        usual = self.bands[self.is_active].mean(axis=0) if self.is_active.any() else 0.0
        return directions(self.bands - usual)


def directions(vectors: Numbers) -> Numbers:
    """The rows, each with length 1, so that a product of two says how alike they are: -1 to 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Numbers = (vectors / np.maximum(lengths, 1e-6)).astype(np.float32)
    return scaled


def _filters(window: int, rate_hz: int) -> Numbers:
    """Triangles, evenly spaced as the ear hears (mel = 2595 log10(1 + f / 700); O'Shaughnessy 1987)."""
    low, high = (2595.0 * np.log10(1.0 + edge / 700.0) for edge in _BAND_EDGES_HZ)
    edges = 700.0 * (10.0 ** (np.linspace(low, high, _BANDS + 2) / 2595.0) - 1.0)
    frequencies = np.fft.rfftfreq(window, 1 / rate_hz)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters: Numbers = np.clip(np.minimum(rising, falling), 0.0, None).astype(np.float32)
    return filters
