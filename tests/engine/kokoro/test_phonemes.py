"""Tokens and pieces: bounded, nothing lost, Mandarin syllables whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.errors import EngineError
from tests.engine.kokoro.conftest import Syllable, Symbols
from webui.engine.kokoro.phonemes import Vocabulary, cut_phonemes
from webui.engine.kokoro.weights import DATA_PACKAGE, package_folder


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.load(package_folder(DATA_PACKAGE) / "data" / "vocab.json")


def test_tokens_stand_between_start_and_end(vocabulary: Vocabulary) -> None:
    assert vocabulary.tokens("a, b").tolist() == [0, 43, 3, 16, 44, 0]
    assert "→" in vocabulary.symbols


@pytest.mark.parametrize("content", ["", "{", '{"vocab": 3}', '{"other": {}}', '{"vocab": {"a": "x"}}'])
def test_a_damaged_vocabulary_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(EngineError, match=r"cannot be read from .*vocab\.json"):
        Vocabulary.load(path)


def test_a_usual_utterance_is_one_piece() -> None:
    phonemes = Symbols("ma→ma.", (Syllable(0, 3, 1), Syllable(3, 5, 5)))
    (piece,) = cut_phonemes(phonemes, 1.0)
    assert piece.symbols == "ma→ma."
    assert [(s.start, s.end, s.tone) for s in piece.syllables] == [(0, 3, 1), (3, 5, 5)]


@pytest.mark.parametrize("rate", [0.2, 1.0, 5.0])
def test_long_ones_are_cut_between_syllables(rate: float) -> None:
    count = 400
    phonemes = Symbols("ma→" * count, tuple(Syllable(3 * index, 3 * index + 3, 1) for index in range(count)))
    pieces = cut_phonemes(phonemes, rate)
    assert "".join(piece.symbols for piece in pieces) == phonemes.symbols
    assert max(len(piece.symbols) for piece in pieces) <= 510
    assert sum(len(piece.syllables) for piece in pieces) == count
    for piece in pieces:
        assert all(piece.symbols[s.start : s.end] == "ma→" for s in piece.syllables)


def test_a_cut_prefers_a_pause_then_a_space() -> None:
    first, *_ = cut_phonemes(Symbols("a" * 70 + ", " + "b" * 10 + " " + "c" * 90), 1.0)
    assert first.symbols == "a" * 70 + ","


def test_pauses_alone_are_not_spoken() -> None:
    assert cut_phonemes(Symbols(" ... !"), 1.0) == []
    assert cut_phonemes(Symbols(""), 1.0) == []


def test_the_vocabulary_file_is_what_the_package_ships() -> None:
    path = package_folder(DATA_PACKAGE) / "data" / "vocab.json"
    assert len(json.loads(path.read_text(encoding="utf-8"))["vocab"]) > 100
