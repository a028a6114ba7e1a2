"""Emotion as prosody: how pitch, range, contour, rate, loudness and brightness move with the sliders.

Directions are those on which the literature agrees; amounts were tuned by measurement (scripts/bench_voice.py):

===========  =====  =====  =====  ========  ======  =================================================================
at 1.0       pitch  range  rate   loudness  bright  sources
===========  =====  =====  =====  ========  ======  =================================================================
happy        +2.8   x1.33  x1.06  +2 dB     +       S03, JL03, MA93: mean, range up, slightly faster; BS00: raised
angry        +1.9   x1.50  x1.07  +6 dB     ++      S03, JL03: mean, range, intensity, high energy up, faster
sad          -2.4   x0.70  x0.80  -5 dB     --      S03, JL03, MA93: all down, slower, falling contour
afraid       +3.5   x0.88  x1.08  -1 dB     0       S03, MA93: mean up, faster, irregular; BS00: small tremor
disgusted    -1.7   x1.28  x0.87  -1 dB     0       MA93: lower, wide falling contour, very much slower
melancholic  -1.1   x0.74  x0.88  -3 dB     -       as sad, weaker (IndexTTS's "low spirits")
surprised    +4.4   x1.50  x1.04  +3 dB     +       MA93, BS00: mean and range much up, rising end
calm         -1.0   x0.74  x0.93  -2 dB     -       JL03 (tenderness): low, narrow, soft, slow
===========  =====  =====  =====  ========  ======  =================================================================

S03: Scherer, Vocal communication of emotion, Speech Communication 40 (2003). JL03: Juslin & Laukka, Psychological
Bulletin 129 (2003). MA93: Murray & Arnott, JASA 93 (1993). BS00: Burkhardt & Sendlmeier, ISCA Workshop on Speech
and Emotion (2000). Pitch is in semitones, range and rate are factors. Faster than this Chinese
syllables merge: at 1.12 a recogniser misread 17 % of the characters, at 1.06 10 %, as in neutral speech.
Invariants: neutral changes nothing; every
quantity is monotone in each slider; the sum of the sliders counts for at most 1.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np

from webui.emotion import EMOTIONS, EmotionVector
from webui.engine.kokoro.network import F0_RATE_HZ, Floats

#: Below this the network means "unvoiced"; a deep male voice starts at about 60 Hz.
VOICED_HZ = 40.0
_F0_LIMITS_HZ = (45.0, 520.0)
#: Semitones from the mean beyond which a pitch value is an edge of voicing, not intonation.
_RANGE_LIMITS_ST = (-7.0, 9.0)
#: A Chinese tone is lost when the range shrinks or grows more.
CHINESE_RANGE_LIMITS = (0.72, 1.45)
_FINAL_S = 0.6
_TREMOR_HZ = 6.0
SUM_LIMIT = 1.0


@dataclass(frozen=True)
class Prosody:
    """What is done to neutral speech.

    Attributes:
        pitch_st: shift of the mean pitch, semitones.
        range_log: natural logarithm of the factor on the pitch range.
        rate_log: natural logarithm of the factor on the rate.
        gain_db: loudness.
        tilt: -0.3 (dull) to 0.3 (bright), coefficient of a first difference.
        final_st: rise (or fall) of pitch over the end of a sentence, semitones.
        tremor_st: amplitude of a 6 Hz tremor of pitch, semitones.
    """

    pitch_st: float = 0.0
    range_log: float = 0.0
    rate_log: float = 0.0
    gain_db: float = 0.0
    tilt: float = 0.0
    final_st: float = 0.0
    tremor_st: float = 0.0

    @property
    def rate(self) -> float:
        """Factor on the rate of speech."""
        return math.exp(self.rate_log)

    def range_factor(self, *, tonal: bool) -> float:
        """Factor on the pitch range; kept within `CHINESE_RANGE_LIMITS` for a tonal language."""
        factor = math.exp(self.range_log)
        low, high = CHINESE_RANGE_LIMITS
        return min(max(factor, low), high) if tonal else factor


def _effect(
    *, pitch: float, range_: float, rate: float, gain: float, tilt: float, final: float, tremor: float = 0.0
) -> Prosody:
    return Prosody(pitch, math.log(range_), math.log(rate), gain, tilt, final, tremor)


#: What each emotion does at 1.0; the table above with contour added.
CORRELATES: dict[str, Prosody] = {
    "happy": _effect(pitch=2.8, range_=1.33, rate=1.06, gain=2.0, tilt=0.08, final=1.0),
    "angry": _effect(pitch=1.9, range_=1.50, rate=1.07, gain=6.0, tilt=0.18, final=-1.0),
    "sad": _effect(pitch=-2.4, range_=0.70, rate=0.80, gain=-5.0, tilt=-0.15, final=-0.8),
    "afraid": _effect(pitch=3.5, range_=0.88, rate=1.08, gain=-1.0, tilt=0.0, final=0.5, tremor=0.3),
    "disgusted": _effect(pitch=-1.7, range_=1.28, rate=0.87, gain=-1.0, tilt=0.0, final=-1.5),
    "melancholic": _effect(pitch=-1.1, range_=0.74, rate=0.88, gain=-3.0, tilt=-0.08, final=-0.4),
    "surprised": _effect(pitch=4.4, range_=1.50, rate=1.04, gain=3.0, tilt=0.08, final=3.0),
    "calm": _effect(pitch=-1.0, range_=0.74, rate=0.93, gain=-2.0, tilt=-0.06, final=0.0),
}


def prosody_of(emotion: EmotionVector) -> Prosody:
    """The prosody of a mixture: effects add up, factors multiply, a sum over 1 is scaled down to 1."""
    weights = emotion.limited(SUM_LIMIT).as_tuple()
    effects = (astuple(CORRELATES[name]) for name in EMOTIONS)
    rows = zip(weights, effects, strict=True)
    totals = np.sum([np.multiply(weight, effect) for weight, effect in rows], axis=0)
    return Prosody(*map(float, totals))


def edit_f0(f0_hz: Floats, prosody: Prosody, *, tonal: bool, final: bool) -> Floats:
    """Pitch with the emotion in it.

    Args:
        f0_hz: shape (n,), 80 values a second; values under `VOICED_HZ` are left alone.
        prosody: what to do.
        tonal: a tonal language, whose range is limited.
        final: the end of a sentence is at the end; elsewhere the final movement is smaller.
    """
    voiced = f0_hz > VOICED_HZ
    if prosody == Prosody() or int(voiced.sum()) < 4:
        return f0_hz
    mean = float(np.mean(np.log2(f0_hz[voiced])))
    semitones = 12 * (np.log2(f0_hz[voiced]) - mean)
    times_s = np.flatnonzero(voiced) / F0_RATE_HZ
    moved = semitones + prosody.pitch_st
    moved += (prosody.range_factor(tonal=tonal) - 1) * np.clip(semitones, *_RANGE_LIMITS_ST)
    closeness = np.clip(1 - (times_s[-1] - times_s) / _FINAL_S, 0, 1)
    moved += prosody.final_st * (1.0 if final else 0.4) * closeness**2
    moved += prosody.tremor_st * np.sin(2 * math.pi * _TREMOR_HZ * times_s)
    edited: Floats = f0_hz.copy()
    edited[voiced] = np.clip(2 ** (mean + moved / 12), *_F0_LIMITS_HZ)
    return edited
