"""Voices: distinct blends, names that stay, an unknown one answered with those that there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from launcher.errors import EngineError, SpeechError
from webui.engine.kokoro.voices import RECIPES, VOICES, StylePacks, find_recipe


@pytest.fixture(scope="module")
def packs() -> StylePacks:
    return StylePacks.load()


def test_ids_stay_because_settings_name_them() -> None:
    assert [voice.id for voice in VOICES] == ["lian", "yun", "ping", "ming", "xue"]


def test_each_voice_has_a_title_in_both_languages() -> None:
    for voice in VOICES:
        assert set(voice.title) == {"en", "zh"}
        assert voice.languages[:2] == ("zh", "en")
        assert voice.gender in ("female", "male", "neutral")


def test_weights_sum_to_one() -> None:
    for recipe in RECIPES:
        assert sum(recipe.timbre.values()) == pytest.approx(1)
        assert sum(recipe.prosody.values()) == pytest.approx(1)


def test_no_two_voices_are_alike(packs: StylePacks) -> None:
    styles = [packs.style(recipe, 60) for recipe in RECIPES]
    for index, one in enumerate(styles):
        for other in styles[index + 1 :]:
            assert np.linalg.norm(one - other) > 0.5


def test_a_blend_takes_timbre_and_prosody_from_where_it_says(packs: StylePacks) -> None:
    lian, yun, _, ming, _ = (packs.style(recipe, 60) for recipe in RECIPES)
    assert np.array_equal(ming[:128], yun[:128])
    assert np.array_equal(ming[128:], lian[128:])


@pytest.mark.parametrize("tokens", [0, 1, 510, 5000])
def test_any_length_has_a_style(packs: StylePacks, tokens: int) -> None:
    style = packs.style(RECIPES[2], tokens)
    assert style.shape == (256,)
    assert style.dtype == np.float32


def test_the_default_is_the_first() -> None:
    assert find_recipe("").voice is VOICES[0]
    assert find_recipe("yun").voice.id == "yun"


def test_an_unknown_voice_is_answered_with_the_known() -> None:
    with pytest.raises(SpeechError, match="voice 'alloy' is not known") as caught:
        find_recipe("alloy")
    assert (caught.value.param, caught.value.code) == ("voice", "unknown_voice")
    assert "lian, yun, ping, ming, xue" in caught.value.fix


def test_damaged_packs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(EngineError, match=r"cannot be read from .*voices\.npz"):
        StylePacks.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(EngineError, match="jf_gongitsune"):
        StylePacks.load(path)
