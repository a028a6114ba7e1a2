"""Eight emotions as one value: names, order, limits and the arithmetic of IndexTTS.

Invariants: the order is that of IndexTTS-2 (index-tts `indextts/infer_v2.py`, `normalize_emo_vec`); a component is
a finite number in [0, 1]; a value is immutable, so page, API, batch and command line cannot disagree about it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from launcher.errors import SpeechError

#: Factors that IndexTTS-2's page applies so that no emotion drowns the others (index-tts `infer_v2.py`).
INDEXTTS_BIAS = (0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625)
#: IndexTTS-2 scales a vector whose sum is larger down to this sum (same function).
INDEXTTS_SUM_LIMIT = 0.8


@dataclass(frozen=True)
class EmotionVector:
    """How much of each emotion speech should carry; all zero is neutral."""

    happy: float = 0.0
    angry: float = 0.0
    sad: float = 0.0
    afraid: float = 0.0
    disgusted: float = 0.0
    melancholic: float = 0.0
    surprised: float = 0.0
    calm: float = 0.0

    def __post_init__(self) -> None:
        for name, value in zip(EMOTIONS, self.as_tuple(), strict=True):
            # The comparison also refuses NaN, and integers that no float can hold.
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 <= value <= 1.0:
                raise _emotion_error(name, value)

    def as_tuple(self) -> tuple[float, ...]:
        """The eight components in `EMOTIONS` order."""
        return tuple(getattr(self, name) for name in EMOTIONS)

    def as_dict(self) -> dict[str, float]:
        """The components that are not zero, by name."""
        return {name: value for name, value in zip(EMOTIONS, self.as_tuple(), strict=True) if value}

    @property
    def total(self) -> float:
        """Sum of the components, 0 to 8."""
        return math.fsum(self.as_tuple())

    def scaled(self, factor: float) -> EmotionVector:
        """Every component times ``factor`` (0 to 1)."""
        return EmotionVector(*(value * factor for value in self.as_tuple()))

    def limited(self, sum_limit: float) -> EmotionVector:
        """The same direction with a sum of at most ``sum_limit``."""
        total = self.total
        return self if total <= sum_limit else self.scaled(sum_limit / total)

    def for_indextts(self) -> EmotionVector:
        """IndexTTS-2's arithmetic for a vector set by sliders: bias, then the sum limit."""
        biased = (value * bias for value, bias in zip(self.as_tuple(), INDEXTTS_BIAS, strict=True))
        return EmotionVector(*biased).limited(INDEXTTS_SUM_LIMIT)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> EmotionVector:
        """The value from names and numbers, as JSON holds them.

        Raises:
            SpeechError: for an unknown name or a value outside [0, 1].
        """
        unknown = [name for name in values if name not in EMOTIONS]
        if unknown:
            raise SpeechError(
                f"emotion {unknown[0]!r:.40} is not known.",
                fix=f"Use one of {', '.join(EMOTIONS)}.",
                param="emotion",
                code="unknown_emotion",
            )
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks every value

    @classmethod
    def from_sequence(cls, values: Sequence[object]) -> EmotionVector:
        """The value from eight numbers in `EMOTIONS` order.

        Raises:
            SpeechError: when there are not eight, or one is outside [0, 1].
        """
        if len(values) != len(EMOTIONS):
            raise SpeechError(
                f"emotion has {len(values)} numbers, not {len(EMOTIONS)}.",
                fix=f"Give one number from 0 to 1 for each of {', '.join(EMOTIONS)}.",
                param="emotion",
            )
        return cls(*values)  # type: ignore[arg-type]

    @classmethod
    def parse(cls, text: str) -> EmotionVector:
        """The value from ``happy=0.8,calm=0.2``, as the command line takes it.

        Raises:
            SpeechError: for a part without ``=``, an unknown name or a value that is no number in [0, 1].
        """
        values: dict[str, object] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, equals, number = (piece.strip() for piece in part.partition("="))
            try:
                values[name] = float(number) if equals else math.nan
            except ValueError:
                raise _emotion_error(name, number) from None
        return cls.from_mapping(values)


#: Names in IndexTTS order.
EMOTIONS: tuple[str, ...] = tuple(field.name for field in fields(EmotionVector))
NEUTRAL = EmotionVector()


def _emotion_error(name: str, value: object) -> SpeechError:
    return SpeechError(
        f"emotion {name}={value!r:.40} is not a number from 0 to 1.",
        fix=f"Give {name} a value from 0 (none) to 1 (full).",
        param="emotion",
        code="emotion_out_of_range",
    )
