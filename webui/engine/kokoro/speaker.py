"""One utterance to sound: rate, tones and emotion inside the network, loudness and brightness after it.

Invariants: nothing is normalised by what it happens to be, so a whisper stays soft and chunks join without a step in
level; neutral speech lies at -21 dB RMS and only peaks above `_KNEE` are bent.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from webui.engine.base import Pcm
from webui.engine.kokoro.network import SAMPLE_RATE_HZ, Floats, Ints, Plan, Run, SplitNetwork, WholeNetwork
from webui.engine.kokoro.prosody import VOICED_HZ, Prosody, edit_f0
from webui.engine.kokoro.tones import ToneSyllable, pull_tones

log = logging.getLogger(__name__)

#: The rates that the network was trained to vary over; what is beyond is stretched after it.
_NETWORK_RATES = (0.6, 1.7)
#: Peaks above this are bent so that none exceeds `_CEILING`; neutral speech peaks at about 0.45.
_KNEE = 0.7
_CEILING = 0.98
_AUDIBLE = 0.01
_MARGIN_S = 0.03
_FADE_S = 0.005


@dataclass(frozen=True)
class Utterance:
    """What is said in one go.

    Attributes:
        tokens: with the start and end token, shape (n,).
        style: shape (256,).
        syllables: the Mandarin ones among the symbols.
        rate: speed of the request times the voice's natural rate.
        prosody: the emotion.
        gain_db: of the voice.
        tonal: Chinese.
        final: a sentence ends where it ends.
    """

    tokens: Ints
    style: Floats
    syllables: Sequence[ToneSyllable]
    rate: float
    prosody: Prosody
    gain_db: float
    tonal: bool
    final: bool


class Speaker(Protocol):
    """Makes sound of an utterance."""

    def speak(self, utterance: Utterance, run: Run) -> Floats:
        """Float samples at `SAMPLE_RATE_HZ`, before loudness."""


class SplitSpeaker:
    """Speaks through the two halves: everything is edited between them."""

    def __init__(self, network: SplitNetwork) -> None:
        self._network = network

    def speak(self, utterance: Utterance, run: Run) -> Floats:
        """See `Speaker.speak`."""
        rate = utterance.rate * utterance.prosody.rate
        inside = min(max(rate, _NETWORK_RATES[0]), _NETWORK_RATES[1])
        rates = np.full(len(utterance.tokens), inside, np.float32)
        plan = self._network.plan(utterance.tokens, utterance.style, rates, run)
        f0_hz = pull_tones(plan.f0_hz, plan.durations, utterance.syllables)
        f0_hz = edit_f0(f0_hz, utterance.prosody, tonal=utterance.tonal, final=utterance.final)
        plan = stretch(replace(plan, f0_hz=f0_hz.astype(np.float32)), inside / rate)
        return self._network.decode(plan, utterance.style, run)


class WholeSpeaker:
    """Speaks through the model in one piece; pitch is edited in the sound by WORLD where pyworld is installed."""

    def __init__(self, network: WholeNetwork, world: Any | None) -> None:
        self._network = network
        self._world = world

    def speak(self, utterance: Utterance, run: Run) -> Floats:
        """See `Speaker.speak`."""
        rate = utterance.rate * utterance.prosody.rate
        audio = self._network.speak(utterance.tokens, utterance.style, rate, run)
        prosody = utterance.prosody
        if self._world is None or not (prosody.pitch_st or prosody.range_log or prosody.final_st):
            return audio
        samples = audio.astype(np.float64)
        f0_hz, times_s = self._world.dio(samples, SAMPLE_RATE_HZ, frame_period=12.5)
        f0_hz = self._world.stonemask(samples, f0_hz, times_s, SAMPLE_RATE_HZ)
        spectrum = self._world.cheaptrick(samples, f0_hz, times_s, SAMPLE_RATE_HZ)
        noise = self._world.d4c(samples, f0_hz, times_s, SAMPLE_RATE_HZ)
        edited = edit_f0(f0_hz.astype(np.float32), prosody, tonal=utterance.tonal, final=utterance.final)
        changed = self._world.synthesize(edited.astype(np.float64), spectrum, noise, SAMPLE_RATE_HZ, 12.5)
        return np.asarray(changed, dtype=np.float32)


def find_world() -> Any | None:
    """The pyworld module, or ``None`` with a warning."""
    try:
        import pyworld
    except ImportError:
        log.warning("pyworld is not installed, so that emotions change rate and loudness only.")
        return None
    return pyworld


def stretch(plan: Plan, factor: float) -> Plan:
    """The plan with its time axis stretched: frames are repeated or left out, pitch and energy interpolated.

    The frames of the start and end tokens keep their length: they are silence but for the onset of the first sound,
    which is lost when they are made shorter.
    """
    head, tail = int(plan.durations[0]), int(plan.durations[-1])
    middle = max(1, round((plan.frames - head - tail) * factor))
    if middle == plan.frames - head - tail:
        return plan
    step = (plan.frames - head - tail) / middle
    # Where each new frame's centre lies in the old plan, in frames; and the centres of its two pitch values.
    within = head + (np.arange(middle) + 0.5) * step
    centres = np.concatenate([np.arange(head) + 0.5, within, plan.frames - tail + np.arange(tail) + 0.5])
    widths = np.concatenate([np.ones(head), np.full(middle, step), np.ones(tail)])
    halves = 2 * np.stack([centres - widths / 4, centres + widths / 4], axis=1).reshape(-1) - 0.5
    old = np.arange(len(plan.f0_hz))
    low = np.clip(np.floor(halves).astype(np.int64), 0, len(old) - 1)
    high = np.minimum(low + 1, len(old) - 1)
    both_voiced = (plan.f0_hz[low] > VOICED_HZ) & (plan.f0_hz[high] > VOICED_HZ)
    close = plan.f0_hz[np.clip(np.round(halves).astype(np.int64), 0, len(old) - 1)]
    nearest = np.minimum(centres, plan.frames - 1).astype(np.int64)
    return Plan(
        durations=plan.durations,
        f0_hz=np.where(both_voiced, np.interp(halves, old, plan.f0_hz), close).astype(np.float32),
        energy=np.interp(halves, old, plan.energy).astype(np.float32),
        features=np.ascontiguousarray(plan.features[:, :, nearest]),
    )


def finish(audio: Floats, utterance: Utterance) -> Pcm:
    """Trims the silence around the speech, then sets brightness and loudness; int16."""
    audio = _trim(audio)
    if not len(audio):
        return np.zeros(0, np.int16)
    tilt = utterance.prosody.tilt
    if tilt:
        # A first difference brightens and a sum dulls; divided so that low frequencies, the loudest, stay as they are.
        audio = (audio - np.float32(tilt) * np.concatenate([audio[:1], audio[:-1]])) / np.float32(1 - tilt)
    audio = audio * np.float32(10 ** ((utterance.gain_db + utterance.prosody.gain_db) / 20))
    return np.round(_limit(audio) * 32767).astype(np.int16)


def _trim(audio: Floats) -> Floats:
    audible = np.flatnonzero(np.abs(audio) > _AUDIBLE)
    if not len(audible):
        return audio[:0]
    margin = int(_MARGIN_S * SAMPLE_RATE_HZ)
    trimmed: Floats = audio[max(0, audible[0] - margin) : audible[-1] + margin].copy()
    fade = min(int(_FADE_S * SAMPLE_RATE_HZ), len(trimmed) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    trimmed[:fade] *= ramp
    trimmed[len(trimmed) - fade :] *= ramp[::-1]
    return trimmed


def _limit(audio: Floats) -> Floats:
    size = np.abs(audio)
    room = _CEILING - _KNEE
    bent = _KNEE + room * np.tanh((size - _KNEE) / room)
    return np.where(size > _KNEE, np.sign(audio) * bent, audio).astype(np.float32)
