"""EmotionVector: limits, the ways to write it, and IndexTTS-2's arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import SpeechError
from webui.emotion import EMOTIONS, INDEXTTS_BIAS, INDEXTTS_SUM_LIMIT, NEUTRAL, EmotionVector

components = st.lists(st.floats(0, 1), min_size=8, max_size=8)


def test_the_order_is_that_of_indextts() -> None:
    assert EMOTIONS == ("happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm")


@given(components)
def test_every_way_to_write_it_is_the_same_value(values: list[float]) -> None:
    vector = EmotionVector.from_sequence(values)
    assert EmotionVector.from_mapping(vector.as_dict()) == vector
    assert EmotionVector.parse(",".join(f"{name}={value!r}" for name, value in vector.as_dict().items())) == vector


@given(components)
def test_indextts_arithmetic_is_bias_then_sum_limit(values: list[float]) -> None:
    result = EmotionVector.from_sequence(values).for_indextts().as_tuple()
    biased = [value * bias for value, bias in zip(values, INDEXTTS_BIAS, strict=True)]
    scale = min(1.0, INDEXTTS_SUM_LIMIT / sum(biased)) if sum(biased) else 1.0
    assert result == pytest.approx([value * scale for value in biased])


@given(components, st.floats(0.1, 8))
def test_a_limit_keeps_the_direction(values: list[float], limit: float) -> None:
    vector = EmotionVector.from_sequence(values)
    limited = vector.limited(limit)
    assert limited.total <= max(limit, 0) + 1e-9
    if vector.total <= limit:
        assert limited == vector


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01, 1.01, True, "0.5", None])
def test_a_component_out_of_range_names_itself(value: object) -> None:
    with pytest.raises(SpeechError, match="emotion sad=") as caught:
        EmotionVector.from_mapping({"sad": value})
    assert caught.value.param == "emotion"
    assert caught.value.code == "emotion_out_of_range"
    assert "0" in caught.value.fix


@pytest.mark.parametrize("text", ["happy", "happy=", "happy=x", "happy=nan", "happy=2"])
def test_a_bad_command_line_names_the_emotion(text: str) -> None:
    with pytest.raises(SpeechError, match="emotion happy="):
        EmotionVector.parse(text)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SpeechError, match="'joy' is not known") as caught:
        EmotionVector.parse("joy=0.5")
    assert "melancholic" in caught.value.fix


def test_seven_numbers_are_refused_and_nothing_is_neutral() -> None:
    with pytest.raises(SpeechError, match="7 numbers"):
        EmotionVector.from_sequence([0.1] * 7)
    assert EmotionVector.parse(" ") == NEUTRAL
