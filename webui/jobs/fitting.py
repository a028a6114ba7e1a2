"""A subtitle's speech fitted to its time: asked to be quicker first, stretched last, and told when it is too long.

Invariants: speech that fits is left as it is; it is never made more than ``max_tempo`` times quicker than its voice
speaks by itself, of which stretching does at most `MAX_STRETCH`; what is too long then is a number, never cut off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from webui.audio import Pcm
from webui.engine.base import EngineInfo
from webui.engine.request import DURATION_RANGE
from webui.jobs.stretching import stretch, without_edges

#: How much quicker than by itself speech may become: beyond about 275 words a minute, 1.6 times the usual rate, it is
#: understood less and less (E. Foulke and T. Sticht, "Review of research on the intelligibility and comprehension of
#: accelerated speech", 1969).
MAX_TEMPO = 1.5
#: How much of that stretching does: beyond it double sounds are heard.
MAX_STRETCH = 1.25
#: What is asked of an engine beyond what is needed: none meets a length exactly.
MARGIN = 1.03
#: Longer than its time by less than this is not worth a remark: less than a film's frame.
TOLERANCE_S = 0.04


@dataclass(frozen=True)
class Spoken:
    """One row's speech.

    Attributes:
        pcm: shape (samples,), int16.
        sample_rate_hz: of it.
        synthesis_s: what it took.
        seed: with which, where that is known.
        fit: empty, or ``slot_s``, ``natural_s``, ``length_s``, and what was done: ``speed``, ``duration_factor``,
            ``stretch``, ``overrun_s``.
        findings: what is suspicious about it, by name (`webui.quality.findings`).
    """

    pcm: Pcm
    sample_rate_hz: int
    synthesis_s: float
    seed: int | None
    fit: Mapping[str, Any]
    findings: tuple[str, ...] = ()

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return len(self.pcm) / self.sample_rate_hz


Speak = Callable[[Mapping[str, Any]], Awaitable[Spoken]]


async def speak_fitted(
    request: Mapping[str, Any], slot_s: float, speak: Speak, info: EngineInfo, max_tempo: float = MAX_TEMPO
) -> Spoken:
    """Speaks a row so that it takes no longer than ``slot_s``, if that can be.

    Args:
        request: a `SpeechRequest`'s object.
        slot_s: seconds that it may take.
        speak: speaks once.
        info: what the engine can.
        max_tempo: how many times quicker than by itself.
    """
    first = _trimmed(await speak(request))
    fit: dict[str, Any] = {"slot_s": round(slot_s, 3), "natural_s": round(first.length_s, 3)}
    best, synthesis_s = first, first.synthesis_s
    if first.length_s > slot_s + TOLERANCE_S:
        quicker = _quicker(request, min(first.length_s / slot_s * MARGIN, max_tempo), info)
        if quicker:
            same = {} if first.seed is None else {"seed": first.seed}
            again = _trimmed(await speak({**request, **same, **quicker}))
            synthesis_s += again.synthesis_s
            if again.length_s < best.length_s:
                best = again
                fit |= {name: round(value, 3) for name, value in quicker.items()}
        # What the voice's own pace left is stretched, as far as both limits allow.
        left = max_tempo / (first.length_s / best.length_s)
        factor = min(best.length_s / slot_s, MAX_STRETCH, left)
        if factor > 1.0 and best.length_s > slot_s + TOLERANCE_S:
            samples = max(int(len(best.pcm) / factor), 1)
            best = replace(best, pcm=stretch(best.pcm, best.sample_rate_hz, samples))
            fit["stretch"] = round(factor, 3)
    fit["length_s"] = round(best.length_s, 3)
    if best.length_s > slot_s + TOLERANCE_S:
        fit["overrun_s"] = round(best.length_s - slot_s, 3)
    return replace(best, synthesis_s=synthesis_s, fit=fit)


def _quicker(request: Mapping[str, Any], factor: float, info: EngineInfo) -> dict[str, float]:
    """The fields that make the engine itself speak ``factor`` times quicker, as far as it can; none if it cannot."""
    if "duration" in info.capabilities:
        wanted = float(request.get("duration_factor") or 1.0) / factor
        return {"duration_factor": min(max(wanted, DURATION_RANGE[0]), DURATION_RANGE[1])}
    speed = float(request.get("speed") or 1.0)
    wanted = min(speed * factor, info.speed_range[1])
    return {"speed": wanted} if wanted > speed else {}


def _trimmed(spoken: Spoken) -> Spoken:
    return replace(spoken, pcm=without_edges(spoken.pcm, spoken.sample_rate_hz), fit={})
