"""The checks: good speech passes, every defect that is made out of it is found, and nothing makes them fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.quality.recordings import ASKED, CHINESE, DEFECTS, ENGLISH, VOICES, doubled, loud_at, recording
from webui.quality.findings import KINDS, Finding, badness
from webui.quality.inspection import Asked, inspect
from webui.quality.pace import Pace
from webui.quality.syllables import Syllables, count_syllables, repeats_itself

RATE_HZ = 24_000


def kinds(pcm: np.ndarray, rate_hz: int, asked: Asked = ASKED, pace: Pace | None = None) -> set[str]:
    return {finding.kind for finding in inspect(pcm, rate_hz, asked, pace)[0]}


@pytest.mark.parametrize("voice", VOICES)
def test_good_speech_passes_however_loud_it_is(voice: str) -> None:
    pcm, rate_hz = recording(voice)
    assert kinds(pcm, rate_hz) == set()
    assert kinds((pcm * 0.05).astype(np.int16), rate_hz) == set()


@pytest.mark.parametrize("kind", DEFECTS)
@pytest.mark.parametrize("voice", VOICES)
def test_every_defect_is_found(voice: str, kind: str) -> None:
    pcm, rate_hz = recording(voice)
    findings, _ = inspect(DEFECTS[kind](pcm, rate_hz), rate_hz, ASKED)
    assert kind in {finding.kind for finding in findings}
    assert badness(findings) > 0


def test_every_kind_has_its_defect_but_the_ears() -> None:
    assert set(KINDS) - set(DEFECTS) == {"misread"}


def test_a_finding_says_itself_in_both_languages() -> None:
    for kind in KINDS:
        told = Finding(kind, 1.25, 0.5).to_json()
        assert told["kind"] == kind and (told["value"], told["limit"]) == (1.25, 0.5)
        assert set(told["words"]) == {"en", "zh"} and told["words"]["en"] != told["words"]["zh"]
        assert "{" not in told["words"]["en"] + told["words"]["zh"]
        assert Finding(kind, 1.0).sentence("xx") == Finding(kind, 1.0).sentence("en")


def test_what_lies_further_beyond_its_limit_weighs_more_within_bounds() -> None:
    assert Finding("gap", 4.0, 1.0).weight > Finding("gap", 2.0, 1.0).weight
    assert Finding("gap", 1e9, 1.0).weight == Finding("gap", 1e6, 1.0).weight
    assert Finding("too_short", 1.0, 4.0).weight > Finding("too_short", 3.9, 4.0).weight
    assert badness([]) == 0


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int16, st.integers(0, 30_000)),
    st.text(max_size=60),
    st.sampled_from(["zh", "en", "ja", "mixed", "xx"]),
    st.floats(0.05, 8.0),
)
def test_no_sound_and_no_text_makes_the_checks_fail(pcm: np.ndarray, text: str, language: str, speed: float) -> None:
    asked = Asked(text, language, speed)
    first, pace = inspect(pcm, RATE_HZ, asked)
    assert first == inspect(pcm, RATE_HZ, asked)[0], "the same twice"
    assert all(np.isfinite(finding.value) and finding.sentence("zh") for finding in first)
    inspect(pcm, RATE_HZ, asked, pace)


@pytest.mark.parametrize("value", [0, -32768, 32767])
def test_what_becomes_of_no_numbers_is_found(value: int) -> None:
    """A network that gives NaN gives one of these once its samples are whole numbers."""
    assert kinds(np.full(RATE_HZ, value, np.int16), RATE_HZ) & {"silent", "offset", "clipped"}


def test_no_sound_at_all_is_silent() -> None:
    assert kinds(np.zeros(0, np.int16), RATE_HZ) == {"silent"}


def test_pauses_that_the_text_asks_for_are_none() -> None:
    pcm, rate_hz = recording(VOICES[0])
    at = loud_at(pcm, rate_hz, 0.4)
    pause = np.concatenate([pcm[:at], np.zeros(round(1.7 * rate_hz), np.int16), pcm[at:]])
    assert "gap" in kinds(pause, rate_hz)
    assert "gap" not in kinds(pause, rate_hz, Asked(ASKED.text.replace("，", "……", 1), "mixed"))
    assert "gap" not in kinds(pause, rate_hz, Asked(ASKED.text, "mixed", 0.5)), "slow speech pauses longer"


def test_speed_moves_the_bounds() -> None:
    pcm, rate_hz = recording(VOICES[0])
    assert "too_short" in kinds(pcm, rate_hz, Asked(ASKED.text, "mixed", 0.25))
    assert "too_long" in kinds(pcm, rate_hz, Asked(ASKED.text, "mixed", 4.0))


def test_a_voices_own_pace_narrows_the_bounds() -> None:
    pcm, rate_hz = recording(VOICES[0])
    half = pcm[: loud_at(pcm, rate_hz, 0.45)]
    assert "too_short" not in kinds(half, rate_hz)
    _, pace = inspect(pcm, rate_hz, ASKED)
    assert pace.per_second is not None
    assert "too_short" in kinds(half, rate_hz, pace=pace)
    assert inspect(half, rate_hz, ASKED, pace)[1] == pace, "what is suspicious teaches nothing"
    assert "too_long" in kinds(np.concatenate([pcm, pcm]), rate_hz, pace=pace)


def test_what_the_text_says_twice_may_be_heard_twice() -> None:
    pcm, rate_hz = recording(VOICES[0])
    twice = doubled(pcm, rate_hz)
    assert "repeated" in kinds(twice, rate_hz)
    again = CHINESE.replace("我们一起", "我们一起我们一起")
    assert "repeated" not in kinds(twice, rate_hz, Asked(again + ENGLISH, "mixed"))


@pytest.mark.parametrize(
    ("text", "language", "low", "high"),
    [
        ("今天天气真好。", "zh", 6, 6),
        ("こんにちは", "ja", 5, 5),
        ("The morning train was late again", "en", 6, 11),
        ("API", "en", 2, 3),
        ("1000000", "zh", 1, 15),
        ("……", "zh", 0, 0),
    ],
)
def test_syllables(text: str, language: str, low: float, high: float) -> None:
    found = count_syllables(text, language)
    assert low <= found.low <= found.high <= high


@given(st.text(max_size=80), st.text(max_size=80))
def test_syllables_add_up(a: str, b: str) -> None:
    whole, parts = count_syllables(f"{a}\n{b}", "zh"), count_syllables(a, "zh") + count_syllables(b, "zh")
    assert whole.low == pytest.approx(parts.low) and whole.high == pytest.approx(parts.high)
    assert Syllables(whole.low, whole.high).likely >= whole.low


@pytest.mark.parametrize(
    "text", ["very very good", "一个苹果，两个苹果", "ha ha ha", "138 0013 8000", "www.example.org"]
)
def test_texts_that_repeat_themselves(text: str) -> None:
    assert repeats_itself(text)


@pytest.mark.parametrize("text", ["", "妈妈好", "今天天气真好", "She put the letter back into the drawer", CHINESE])
def test_texts_that_do_not(text: str) -> None:
    assert not repeats_itself(text)
