"""Sound that goes round in circles: a stretch that is heard twice in a row, and one sound that is held.

Invariants: a stretch that the text itself repeats is none; silence is like silence and counts for nothing; time grows
with the square of the length, which is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from webui.quality.findings import Finding
from webui.quality.sound import HOP_S, Numbers, Sound, directions
from webui.quality.syllables import repeats_itself

#: Shortest stretch that is looked for: two or three syllables; shorter ones are alike in any speech.
_SHORTEST_S, _LONGEST_S = 0.5, 6.0
#: Of a longer segment only this much is looked at.
_MOST_S = 60.0
#: How alike two stretches must be (cosine of spectra over the stretch), how much more for each second that they are
#: shorter than the third number, and how much of them must be speech.
_ALIKE, _ALIKE_SHORT, _LONG_S, _SPEECH = 0.68, 0.25, 0.9, 0.5
#: Frames on either side that count together: a word said twice is not said the same way to the hundredth.
_CONTEXT, _SLACK = 2, 3
#: A held sound: frames this far apart, each the mean of so many, are this much alike, for so long. In the embedded
#: voice's sentences it is 0.4 s at most.
_HELD_STEP, _HELD_MEAN, _HELD_ALIKE, _HELD_S = 5, 3, 0.95, 0.8


def repeat_findings(sound: Sound, text: str, speed: float, least_s: float) -> Iterator[Finding]:
    """What repeats in a segment's sound.

    Args:
        sound: of the segment.
        text: of it: what it says twice may be heard twice.
        speed: times the voice's own pace; slow speech holds its sounds.
        least_s: seconds that the text takes: what is left without a stretch must suffice for it.
    """
    limit_s = _HELD_S / min(max(speed, 0.25), 1.0)
    held_s = longest_held_s(sound)
    if held_s > limit_s:
        yield Finding("stuck", held_s, limit_s)
        return  # what is held is like itself everywhere
    if not repeats_itself(text):
        length_s = repeated_s(sound, most_s=sound.active_s - least_s)
        if length_s:
            yield Finding("repeated", length_s)


def longest_held_s(sound: Sound) -> float:
    """Seconds of the longest stretch whose sound does not change."""
    if len(sound.bands) <= _HELD_STEP + _HELD_MEAN:
        return 0.0
    padded = np.pad(sound.bands, ((_HELD_MEAN // 2, _HELD_MEAN // 2), (0, 0)), mode="edge")
    shapes = directions(np.lib.stride_tricks.sliding_window_view(padded, _HELD_MEAN, axis=0).mean(axis=2))
    same = (shapes[:-_HELD_STEP] * shapes[_HELD_STEP:]).sum(axis=1) > _HELD_ALIKE
    same &= sound.is_active[:-_HELD_STEP] & sound.is_active[_HELD_STEP:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return float(lengths.max() + _HELD_STEP) * HOP_S if len(lengths) else 0.0


def repeated_s(sound: Sound, most_s: float = _LONGEST_S) -> float:
    """Seconds of the stretch that is heard twice in a row most clearly; 0 when there is none.

    Args:
        sound: where it is looked for.
        most_s: how long it may be.
    """
    frames = min(len(sound.levels_dbfs), round(_MOST_S / HOP_S))
    shortest, longest = round(_SHORTEST_S / HOP_S), min(frames // 2, int(min(most_s, _LONGEST_S) / HOP_S))
    if longest < shortest:
        return 0.0
    vectors = _in_context(sound.timbres[:frames])
    speech = np.concatenate([[0], np.cumsum(sound.is_active[:frames])])
    first = shortest - _SLACK
    likeness = np.full((longest + _SLACK + 1 - first, frames), -1.0, np.float32)
    for lag in range(first, longest + _SLACK + 1):
        likeness[lag - first, : frames - lag] = (vectors[:-lag] * vectors[lag:]).sum(axis=1)
    clearest, found_s = 0.0, 0.0
    for lag in range(shortest, longest + 1):
        near = likeness[lag - first - _SLACK : lag - first + _SLACK + 1].max(axis=0)
        sums = np.concatenate([[0.0], np.cumsum(near[: frames - lag], dtype=np.float64)])
        starts = np.arange(frames - 2 * lag + 1)
        spoken = np.minimum(speech[starts + lag] - speech[starts], speech[starts + 2 * lag] - speech[starts + lag])
        means = np.where(spoken >= _SPEECH * lag, (sums[starts + lag] - sums[starts]) / lag, -1.0)
        needed = _ALIKE + _ALIKE_SHORT * max(0.0, _LONG_S - lag * HOP_S)
        clear = float(means.max(initial=-1.0)) - needed
        if clear > clearest:
            clearest, found_s = clear, lag * HOP_S
    return found_s


def _in_context(vectors: Numbers) -> Numbers:
    """Each row with those before and after it, so that a movement is compared and not a moment."""
    padded = np.pad(vectors, ((_CONTEXT, _CONTEXT), (0, 0)))
    joined = np.concatenate([padded[: len(vectors)], vectors, padded[2 * _CONTEXT :]], axis=1)
    return directions(joined)
