"""Length against text: how long a reader takes for so many syllables, and how long this voice takes.

Invariants: what cannot be known (how a number is read) widens the bounds; a voice's own pace narrows them, but only
once it has said enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webui.quality.findings import Finding
from webui.quality.syllables import Syllables

#: Syllables a second, pauses left out: slower and quicker than anybody reads. Readers of fluent text are at 6.2
#: (English), 5.2 (Mandarin), 7.8 (Japanese, Spanish): F. Pellegrino, C. Coupe, E. Marsico, "A cross-language
#: perspective on speech information rate", Language 87 (2011); here a third of that and half as much again.
_RATES = {"zh": (1.9, 8.5), "en": (2.0, 9.5), "ja": (2.6, 12.0), "es": (2.6, 12.0)}
_ANY_RATE = (1.9, 9.5)
#: What a word alone takes longer: its first and last sound, a breath.
_SLACK_S = 0.6
#: The same readers' own rates, and how far above its usual rate a voice gets in one sentence.
_USUAL_RATES, _ANY_USUAL_RATE, _HASTE = {"zh": 5.2, "en": 6.2, "ja": 7.8, "es": 7.8}, 5.7, 1.25
#: Syllables after which a voice's own pace is known, and how far one segment may be from it: the first and the last
#: decile of sentences of one reader differ by a third.
_KNOWN_AFTER = 24.0
_QUICKER, _SLOWER = 1.6, 1.7
#: Fewer syllables than this are too few to be missed.
_MISSED = 4.0


@dataclass(frozen=True)
class Pace:
    """How quickly a voice speaks at its natural speed.

    Attributes:
        syllables: that it has said.
        seconds: that it took for them, without pauses.
    """

    syllables: float = 0.0
    seconds: float = 0.0

    @property
    def per_second(self) -> float | None:
        """Syllables a second; ``None`` until enough is known."""
        return self.syllables / self.seconds if self.syllables >= _KNOWN_AFTER and self.seconds else None

    def least_s(self, syllables: Syllables, language: str, speed: float) -> float:
        """Seconds below which a text is hardly said whole, pauses left out."""
        usual = self.per_second or _USUAL_RATES.get(language, _ANY_USUAL_RATE)
        return syllables.likely / (usual * _HASTE * max(speed, 0.1))

    def after(self, seconds: float, syllables: Syllables) -> Pace:
        """The pace with a segment more, whose seconds are at natural speed."""
        return replace(self, syllables=self.syllables + syllables.likely, seconds=self.seconds + seconds)


def pace_findings(active_s: float, syllables: Syllables, language: str, speed: float, pace: Pace) -> Iterator[Finding]:
    """Whether a segment is too short or too long for its text.

    Args:
        active_s: seconds in which something is heard.
        syllables: of its text.
        language: of the text.
        speed: times the voice's own pace.
        pace: of the voice.
    """
    slowest, quickest = _RATES.get(language, _ANY_RATE)
    least_s, most_s = syllables.low / quickest, syllables.high / slowest + _SLACK_S
    if pace.per_second is not None:
        least_s = max(least_s, syllables.low / (pace.per_second * _QUICKER) - _SLACK_S / 4)
        most_s = min(most_s, syllables.high * _SLOWER / pace.per_second + _SLACK_S)
    least_s, most_s = least_s / max(speed, 0.1), most_s / max(speed, 0.1)
    if active_s < least_s and syllables.low >= _MISSED:
        yield Finding("too_short", active_s, least_s)
    elif active_s > most_s:
        yield Finding("too_long", active_s, most_s)
