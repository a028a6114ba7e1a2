"""What may be wrong with a segment's sound: a name, a number and a sentence for each.

Invariants: `KINDS` is the only list of names, and they never change, because programs and metrics rest on them; every
kind has its sentence in every language of the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Kind -> how bad it is beside the others, and what is said: ``{value}`` is what was found, ``{limit}`` what would do.
_KINDS: dict[str, tuple[float, dict[str, str]]] = {
    "silent": (
        10.0,
        {"en": "Nothing is heard of it.", "zh": "没有任何声音。"},
    ),
    "too_short": (
        4.0,
        {
            "en": "It lasts {value:.1f} s, but its text needs at least about {limit:.1f} s: words may be missing.",
            "zh": "时长 {value:.1f} 秒，而这段文字至少约需 {limit:.1f} 秒：可能漏字。",
        },
    ),
    "too_long": (
        3.0,
        {
            "en": "It lasts {value:.1f} s, but its text needs at most about {limit:.1f} s: words may repeat.",
            "zh": "时长 {value:.1f} 秒，而这段文字最多约需 {limit:.1f} 秒：可能重复或多读。",
        },
    ),
    "repeated": (
        4.0,
        {
            "en": "A stretch of {value:.1f} s is heard twice in a row.",
            "zh": "有一段 {value:.1f} 秒的声音连续出现了两次。",
        },
    ),
    "stuck": (
        4.0,
        {
            "en": "One sound is held for {value:.1f} s.",
            "zh": "同一个音持续了 {value:.1f} 秒。",
        },
    ),
    "cut_off": (
        3.0,
        {
            "en": "It ends in the midst of a sound, {value:.0f} dB below its loudness.",
            "zh": "结尾处声音被截断（比平均响度仅低 {value:.0f} dB）。",
        },
    ),
    "misread": (
        5.0,
        {
            "en": "Read back, {value:.0%} of it differs from the text.",
            "zh": "语音识别结果与文字相差 {value:.0%}。",
        },
    ),
    "gap": (
        2.0,
        {
            "en": "There is a silence of {value:.1f} s inside it.",
            "zh": "中间有 {value:.1f} 秒的静音。",
        },
    ),
    "late_start": (
        1.0,
        {"en": "It begins with {value:.1f} s of silence.", "zh": "开头有 {value:.1f} 秒的静音。"},
    ),
    "long_tail": (
        1.0,
        {"en": "It ends with {value:.1f} s of silence.", "zh": "结尾有 {value:.1f} 秒的静音。"},
    ),
    "clipped": (
        2.0,
        {
            "en": "It is clipped: {value:.2%} of its samples are cut flat.",
            "zh": "声音削波：{value:.2%} 的采样被削平。",
        },
    ),
    "offset": (
        1.0,
        {
            "en": "Its waveform lies {value:.0%} of full scale off the middle.",
            "zh": "波形偏离中心，达满幅的 {value:.0%}。",
        },
    ),
}
KINDS = tuple(_KINDS)
#: A number far beyond its limit says no more than one this many times beyond.
_MAX_EXCESS = 4.0


@dataclass(frozen=True)
class Finding:
    """Something suspicious about a segment.

    Attributes:
        kind: one of `KINDS`.
        value: what was found: seconds, or a share of 1, or decibels.
        limit: from where on it is suspicious; 0 when there is none.
    """

    kind: str
    value: float
    limit: float = 0.0

    @property
    def weight(self) -> float:
        """How bad it is: larger for what spoils more, and for what lies further beyond its limit."""
        low, high = sorted((abs(self.value), abs(self.limit)))
        excess = high / low if low > 0 else 1.0
        return _KINDS[self.kind][0] * min(max(excess, 1.0), _MAX_EXCESS)

    def sentence(self, language: str) -> str:
        """The finding in words; English where the language is not known."""
        words = _KINDS[self.kind][1]
        return words.get(language, words["en"]).format(value=self.value, limit=self.limit)

    def to_json(self) -> dict[str, Any]:
        """The finding as events carry it, with its sentence in every language."""
        return {
            "kind": self.kind,
            "value": round(self.value, 4),
            "limit": round(self.limit, 4),
            "words": {language: self.sentence(language) for language in _KINDS[self.kind][1]},
        }


def badness(findings: Iterable[Finding]) -> float:
    """How bad findings are together; 0 for none. Of several tries the one with the least is kept."""
    return sum(finding.weight for finding in findings)
