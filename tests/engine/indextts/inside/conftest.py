"""The engines in their own interpreter: ``PYTEST_FOLDERS`` names the tiny Hub cache, a cache folder and the voices."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from webui.engine.base import Cancellation, SpeechRequest
from webui.engine.registry import create_engine

HUB, CACHE, VOICES = (Path(part) for part in os.environ["PYTEST_FOLDERS"].split(os.pathsep))
OPTIONS = {"voices_dir": str(VOICES)}
#: Long enough for three segments.
LONG = (
    "你好世界。今天天气很好我们去公园看花好不好你说说看我们今天一起去看花好不好。他说今天天气很好我们一起去公园看花。"
)

Say = Callable[..., np.ndarray]


def make(name: str, **changes: Any) -> Any:
    """A new engine that is not loaded."""
    given = {"cache_dir": CACHE, "device": "cpu", "threads": 1, "options": OPTIONS, **changes}
    return create_engine(name, **given)


@pytest.fixture(scope="session", params=["indextts2", "indextts2.5"])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each engine, loaded once."""
    made = make(request.param)
    made.load(lambda _progress: None)
    yield made
    made.unload()


@pytest.fixture
def say(engine: Any) -> Say:
    """Speaks with the engine's first voice; gives the samples."""

    def speak(text: str = "你好世界。", cancellation: Cancellation | None = None, **fields: Any) -> np.ndarray:
        request = SpeechRequest(text, **{"seed": 1, **fields})
        return np.concatenate([chunk.pcm for chunk in engine.synthesize(request, cancellation or Cancellation())])

    return speak


def digest(pcm: np.ndarray) -> str:
    """Stands for the samples in a comparison."""
    return hashlib.sha256(pcm.tobytes()).hexdigest()
