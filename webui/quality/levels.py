"""What levels say: silence where none belongs, clipping, a waveform off its middle, an end in the midst of a sound.

Invariants: pauses that the punctuation asks for are none of these; the engine's own pause behind a segment is not
counted as sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from webui.quality.findings import Finding
from webui.quality.sound import HOP_S, Sound

#: Below this nothing is heard: 20 dB under a quiet whisper's usual level in recordings.
_SILENT_DBFS = -55.0
#: Silence before the first word, and after the last one with the engine's own pause (0.3 s for a sentence).
_LEAD_S, _TAIL_S = 0.6, 1.2
#: Longest pause inside: without any sign that asks for one, at a comma, at a sentence's end, at an ellipsis or a new
#: line. Readers pause 0.2 to 1 s (E. Campione and J. Veronis, "A large-scale multilingual study of silent pause
#: duration", Speech Prosody 2002: medians about 0.5 s, 2 % above 1.5 s).
_PAUSES_S = (0.8, 1.0, 1.4, 2.0)
_SIGNS = (r"[,，、;；:：()（）\"“”'’「」]", r"[.。!！?？]", r"\.\.\.|…|——|--|—|\n")
#: Full scale, and how many samples in a row must lie there before a peak is a flat top and not a peak.
FULL_SCALE, _FLAT_SAMPLES = 0.999, 3
#: Share of flat samples from which clipping is heard.
CLIPPED_SHARE = 0.0005
#: Mean from which a waveform is off its middle: 26 dB below full scale; speech is symmetrical within 1 %.
_OFFSET = 0.05
#: Below its loudness by how much the last sound may be at least, and how much of it is looked at.
_CUT_DB, _END_S = 24.0, 0.02


def level_findings(sound: Sound, text: str, speed: float) -> Iterator[Finding]:
    """What the levels of a segment's sound say.

    Args:
        sound: of the segment.
        text: of it, for the pauses that its signs ask for.
        speed: times the voice's own pace; pauses stretch with it.
    """
    if sound.loud_dbfs < _SILENT_DBFS or not sound.is_active.any():
        yield Finding("silent", max(sound.loud_dbfs, -96.0))
        return
    yield from _silences(sound, text, speed)
    flat = _flat_share(sound)
    if flat > CLIPPED_SHARE:
        yield Finding("clipped", flat, CLIPPED_SHARE)
    offset = float(abs(sound.samples.mean()))
    if offset > _OFFSET:
        yield Finding("offset", offset, _OFFSET)
    below_db = _end_below_db(sound)
    if below_db < _CUT_DB:
        yield Finding("cut_off", max(below_db, 0.0), _CUT_DB)


def _silences(sound: Sound, text: str, speed: float) -> Iterator[Finding]:
    stretch = 1 / min(max(speed, 0.25), 1.0)
    active = np.flatnonzero(sound.is_active)
    lead_s, tail_s = float(active[0]) * HOP_S, (len(sound.is_active) - 1 - float(active[-1])) * HOP_S
    if lead_s > _LEAD_S * stretch:
        yield Finding("late_start", lead_s, _LEAD_S * stretch)
    gap_s = float(np.diff(active).max(initial=1) - 1) * HOP_S
    # What stands at the end is followed by no pause inside.
    inner = text.strip().rstrip('.。!！?？…,，;；:：、"”’」)）\n ')
    allowed_s = _PAUSES_S[0]
    for sign, pause_s in zip(_SIGNS, _PAUSES_S[1:], strict=True):
        if re.search(sign, inner):
            allowed_s = pause_s
    if gap_s > allowed_s * stretch:
        yield Finding("gap", gap_s, allowed_s * stretch)
    if tail_s > _TAIL_S * stretch:
        yield Finding("long_tail", tail_s, _TAIL_S * stretch)


def _flat_share(sound: Sound) -> float:
    """The share of samples that lie at full scale beside others that do."""
    full = np.abs(sound.samples) >= FULL_SCALE
    if not full.any():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= _FLAT_SAMPLES].sum()) / len(full)


def _end_below_db(sound: Sound) -> float:
    """How far the very end of the sound lies below what is loud in it; the engine's own pause is left out."""
    heard = np.flatnonzero(np.abs(sound.pcm.astype(np.int32)) > 1)
    end = int(heard[-1]) + 1 if len(heard) else 0
    last = sound.samples[max(0, end - round(_END_S * sound.rate_hz)) : end]
    if not len(last):
        return 96.0
    level = 10.0 * float(np.log10(max(float(np.mean(np.square(last, dtype=np.float64))), 1e-10)))
    return sound.loud_dbfs - level
