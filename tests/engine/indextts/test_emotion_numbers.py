"""Our arithmetic of emotions against numbers that the installed package computed (`make_emotion_numbers.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.emotion import INDEXTTS_BIAS, INDEXTTS_SUM_LIMIT, EmotionVector
from webui.engine.base import SpeechRequest
from webui.engine.indextts.guidance import emotion_of
from webui.engine.indextts.text_emotion import limited_scores

NUMBERS: dict[str, Any] = json.loads((Path(__file__).parent / "emotion_numbers.json").read_text(encoding="utf-8"))
VECTORS = st.lists(st.floats(0, 1), min_size=8, max_size=8).map(EmotionVector.from_sequence)


def upstream_scale(vector: list[float], alpha: float) -> list[float]:
    """The last step, which upstream does itself with what we give it."""
    scale = max(0.0, min(1.0, alpha))
    return vector if scale == 1.0 else [int(value * scale * 10000) / 10000 for value in vector]


def test_the_same_vectors_in_are_the_same_out() -> None:
    assert len(NUMBERS["rows"]) > 200
    for row in NUMBERS["rows"]:
        vector = EmotionVector.from_sequence(row["vector"])
        assert list(vector.for_indextts().as_tuple()) == pytest.approx(row["limited"], abs=1e-15)
        given_to_upstream = emotion_of(
            SpeechRequest("a", emotion=vector, emotion_mode="vector", intensity=row["alpha"])
        )
        arguments = given_to_upstream.arguments()
        assert arguments["emo_alpha"] == row["alpha"]
        # Cut to four decimals, a difference in the last bit may be one in the fourth decimal.
        spoken = upstream_scale(arguments["emo_vector"], arguments["emo_alpha"])
        assert spoken == pytest.approx(row["weights"], abs=1.01e-4 if row["alpha"] != 1.0 else 1e-15)


@given(VECTORS)
def test_the_limit_holds_and_directions_stay(vector: EmotionVector) -> None:
    limited = vector.for_indextts()
    biased = [value * bias for value, bias in zip(vector.as_tuple(), INDEXTTS_BIAS, strict=True)]
    assert limited.total <= INDEXTTS_SUM_LIMIT + 1e-9
    scale = min(1.0, INDEXTTS_SUM_LIMIT / sum(biased)) if sum(biased) else 1.0
    assert list(limited.as_tuple()) == pytest.approx([value * scale for value in biased], abs=1e-12)


def test_strength_is_forced_where_there_is_no_recording_of_an_emotion() -> None:
    assert emotion_of(SpeechRequest("a", emotion_mode="voice", intensity=0.3)).arguments() == {"emo_alpha": 1.0}
    acted = SpeechRequest("a", emotion_mode="recording", emotion_reference="b", intensity=0.3)
    assert emotion_of(acted).arguments() == {"emo_alpha": 0.3}


def test_scores_of_a_description_are_held_between_0_and_1() -> None:
    """Upstream takes up to 1.2 from its language model and any sum; ours are held to what a vector may be."""
    scores = limited_scores({"happy": 1.2, "calm": -0.1, "sad": 0.4})
    assert scores.as_dict() == pytest.approx({"happy": 0.8 / 1.4, "sad": 0.4 * 0.8 / 1.4})
    assert limited_scores({"happy": 0.5}).as_dict() == {"happy": 0.5}
