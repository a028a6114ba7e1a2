"""A segment's sound against what it should say: every check that needs no ear, in one place.

Invariants: the same sound, text and pace give the same findings, so a request with a seed is reproduced with its
redone segments; nothing raises for any int16 samples, even none.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.audio import Pcm
from webui.quality.findings import Finding
from webui.quality.levels import level_findings
from webui.quality.pace import Pace, pace_findings
from webui.quality.repeats import repeat_findings
from webui.quality.sound import Sound
from webui.quality.syllables import count_syllables


@dataclass(frozen=True)
class Asked:
    """What a segment should be.

    Attributes:
        text: what it says.
        language: ``zh``, ``en``, ``ja``, ``mixed``...
        speed: times the voice's own pace.
    """

    text: str
    language: str
    speed: float = 1.0


def inspect(pcm: Pcm, rate_hz: int, asked: Asked, pace: Pace | None = None) -> tuple[tuple[Finding, ...], Pace]:
    """What is suspicious about a segment.

    Args:
        pcm: shape (samples,), int16, mono.
        rate_hz: samples per second.
        asked: what it should be.
        pace: of the same voice in the segments before; ``None``: there are none.

    Returns:
        The findings, and the pace with this segment added to it, for the segments that follow.
    """
    pace = pace or Pace()
    sound = Sound(pcm, rate_hz)
    findings = list(level_findings(sound, asked.text, asked.speed))
    if any(finding.kind == "silent" for finding in findings):
        return tuple(findings), pace
    syllables = count_syllables(asked.text, asked.language)
    findings += pace_findings(sound.active_s, syllables, asked.language, asked.speed, pace)
    findings += repeat_findings(sound, asked.text, asked.speed, pace.least_s(syllables, asked.language, asked.speed))
    return tuple(findings), pace if findings else pace.after(sound.active_s * asked.speed, syllables)
