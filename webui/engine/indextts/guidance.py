"""A request's emotion and generation parameters as arguments of upstream's ``infer``.

Invariants: the arithmetic is upstream's page's (`webui.emotion`); a parameter that is not set is not passed, so
upstream's own default holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launcher.errors import SpeechError
from webui.emotion import EmotionVector
from webui.engine.base import GenerationParameters, SpeechRequest

#: Our names of generation parameters that upstream calls otherwise.
_UPSTREAM_NAMES = {"segment_tokens": "max_text_tokens_per_segment", "cfg_rate": "inference_cfg_rate"}
#: Parameters that IndexTTS-2 has not: it fixes them.
_SPECTRUM = {"diffusion_steps", "cfg_rate"}


@dataclass(frozen=True)
class Emotion:
    """How to act.

    Attributes:
        vector: weights of the eight emotions, upstream's limit applied; ``None`` without.
        strength: 0 to 1, of the vector or of the recording.
        drawn: whether the recordings behind the vector are drawn at random.
    """

    vector: EmotionVector | None = None
    strength: float = 1.0
    drawn: bool = False

    def arguments(self) -> dict[str, Any]:
        """Of ``infer``; the recording comes from whoever found it."""
        if self.vector is None:
            return {"emo_alpha": self.strength}
        return {"emo_vector": list(self.vector.as_tuple()), "emo_alpha": self.strength, "use_random": self.drawn}


def emotion_of(request: SpeechRequest, read: EmotionVector | None = None) -> Emotion:
    """The emotion of a request.

    Args:
        request: whose `SpeechRequest.emotion_source` decides.
        read: from its text, when the text decides.
    """
    source = request.emotion_source
    if source == "vector":
        return Emotion(request.emotion.for_indextts(), request.intensity, request.random_emotion)
    if source == "text":
        return Emotion(read, request.intensity, request.random_emotion)
    return Emotion(None, request.intensity if source == "recording" else 1.0)


def generation_arguments(generation: GenerationParameters, *, spectrum: bool) -> dict[str, Any]:
    """The parameters as arguments of ``infer``.

    Args:
        generation: of the request.
        spectrum: whether this upstream takes those of the spectrum.

    Raises:
        SpeechError: for one that it does not take.
    """
    given = generation.given()
    if given.pop("do_sample", True) is False:
        given["top_k"] = 1  # upstream always draws; from one candidate that is the likeliest
    refused = sorted(_SPECTRUM & given.keys()) if not spectrum else []
    if refused:
        raise SpeechError(
            f"IndexTTS-2 fixes {refused[0]}.",
            fix=f"Leave generation.{refused[0]} out, or use IndexTTS-2.5.",
            param=f"generation.{refused[0]}",
            code="not_offered",
        )
    return {_UPSTREAM_NAMES.get(name, name): value for name, value in given.items()}
