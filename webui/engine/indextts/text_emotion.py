"""The language model that reads an emotion from text: loaded when it is first asked, given back when told.

Invariant: upstream's class reads, this one only decides when it exists.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping
from typing import Any

from webui.emotion import EMOTIONS, INDEXTTS_SUM_LIMIT, EmotionVector

_log = logging.getLogger(__name__)


class LazyTextEmotion:
    """Stands for upstream's ``QwenEmotion``.

    Args:
        folder: of the language model.
        make: upstream's class.
    """

    def __init__(self, folder: str, make: Callable[[str], Any]) -> None:
        self._folder = folder
        self._make = make
        self._model: Any = None

    @property
    def loaded(self) -> bool:
        """Whether its weights are in memory."""
        return self._model is not None

    def inference(self, text: str) -> dict[str, float]:
        """The emotions in a text by name, 0 to 1.2; loads the model the first time."""
        if self._model is None:
            _log.info("loading the model that reads emotions from text")
            self._model = self._make(self._folder)
        return dict(self._model.inference(text))

    def release(self) -> None:
        """Gives its memory back; the next call loads it again."""
        if self._model is None:
            return
        import torch

        self._model = None
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def limited_scores(scores: Mapping[str, float]) -> EmotionVector:
    """Scores of the language model as an emotion: each at most 1, and together no more than upstream's limit.

    Upstream lets a score be 1.2 and the sum anything; above 1 the voice's own part would be subtracted.
    """
    return EmotionVector(*(min(max(float(scores.get(name, 0.0)), 0.0), 1.0) for name in EMOTIONS)).limited(
        INDEXTTS_SUM_LIMIT
    )
