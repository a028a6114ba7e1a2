"""The cut model: bit for bit the whole one when nothing is edited, and obedient when pitch or durations are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launcher.errors import EngineError
from tests.engine.kokoro.conftest import SCRIPT
from webui.engine.base import Cancellation, Cancelled
from webui.engine.kokoro.model_files import ModelFiles, prepare
from webui.engine.kokoro.network import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    Floats,
    Ints,
    Plan,
    Run,
    SplitNetwork,
    WholeNetwork,
    open_session,
)
from webui.engine.kokoro.phonemes import Vocabulary
from webui.engine.kokoro.prosody import Prosody
from webui.engine.kokoro.speaker import SplitSpeaker, Utterance, stretch
from webui.engine.kokoro.voices import RECIPES, StylePacks
from webui.engine.kokoro.weights import DATA_PACKAGE, KOKORO_INT8, assemble, package_folder

pytestmark = pytest.mark.voice


@pytest.fixture(scope="module")
def files(voice_cache: Path) -> ModelFiles:
    return prepare(voice_cache / "kokoro", KOKORO_INT8, lambda progress: None)


@pytest.fixture(scope="module")
def network(files: ModelFiles) -> SplitNetwork:
    assert files.text is not None
    assert files.decoder is not None
    return SplitNetwork(files.text, files.decoder, threads=2)


@pytest.fixture(scope="module")
def tokens() -> Ints:
    vocabulary = Vocabulary.load(package_folder(DATA_PACKAGE) / "data" / "vocab.json")
    return vocabulary.tokens(SCRIPT["The morning train was late again."])


@pytest.fixture(scope="module")
def style(tokens: Ints) -> Floats:
    return StylePacks.load().style(RECIPES[0], len(tokens) - 2)


@pytest.fixture
def run() -> Run:
    return Run(Cancellation())


@pytest.fixture(scope="module")
def plan(network: SplitNetwork, tokens: Ints, style: Floats) -> Plan:
    return network.plan(tokens, style, np.ones(len(tokens), np.float32), Run(Cancellation()))


def median_hz(audio: Floats) -> float:
    import pyworld

    f0_hz, _ = pyworld.harvest(audio.astype(np.float64), SAMPLE_RATE_HZ, f0_floor=60, f0_ceil=500)
    return float(np.median(f0_hz[f0_hz > 0]))


@pytest.mark.parametrize("rate", [1.0, 0.8])
def test_the_halves_are_bit_for_bit_the_whole(
    network: SplitNetwork, voice_cache: Path, tokens: Ints, style: Floats, run: Run, rate: float
) -> None:
    whole = WholeNetwork(assemble(voice_cache / "kokoro", KOKORO_INT8, lambda progress: None), threads=2)
    expected = whole.speak(tokens, style, rate, run)
    plan = network.plan(tokens, style, np.full(len(tokens), rate, np.float32), run)
    audio = network.decode(plan, style, run)
    assert np.array_equal(audio, expected)
    assert np.array_equal(network.decode(plan, style, run), expected)


def test_a_neutral_utterance_is_bit_for_bit_the_whole_model_s(
    network: SplitNetwork, voice_cache: Path, tokens: Ints, style: Floats, run: Run
) -> None:
    # Shortening even the silence before the first sound makes a listener miss that sound.
    whole = WholeNetwork(assemble(voice_cache / "kokoro", KOKORO_INT8, lambda progress: None), threads=2)
    utterance = Utterance(tokens, style, (), 1.0, Prosody(), gain_db=0.0, tonal=False, final=True)
    assert np.array_equal(SplitSpeaker(network).speak(utterance, run), whole.speak(tokens, style, 1.0, run))


def test_a_plan_s_parts_agree_in_length(network: SplitNetwork, plan: Plan, style: Floats, run: Run) -> None:
    assert int(plan.durations.sum()) == plan.frames
    assert len(plan.f0_hz) == len(plan.energy) == 2 * plan.frames
    assert len(network.decode(plan, style, run)) == plan.frames * FRAME_SAMPLES


def test_one_token_can_be_slowed(network: SplitNetwork, plan: Plan, tokens: Ints, style: Floats, run: Run) -> None:
    rates = np.ones(len(tokens), np.float32)
    rates[5] = 0.25
    slowed = network.plan(tokens, style, rates, run)
    assert slowed.durations[5] >= 3 * plan.durations[5]
    others = np.arange(len(tokens)) != 5
    assert np.array_equal(slowed.durations[others], plan.durations[others])


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_edited_pitch_is_heard(network: SplitNetwork, plan: Plan, style: Floats, run: Run, semitones: float) -> None:
    factor = np.where(plan.f0_hz > 40, 2 ** (semitones / 12), 1).astype(np.float32)
    before = median_hz(network.decode(plan, style, run))
    after = median_hz(network.decode(replace(plan, f0_hz=plan.f0_hz * factor), style, run))
    assert 12 * np.log2(after / before) == pytest.approx(semitones, abs=0.8)


@pytest.mark.parametrize("factor", [0.5, 1.7, 3.0])
def test_a_stretched_plan_keeps_pitch_and_edges(plan: Plan, factor: float) -> None:
    stretched = stretch(plan, factor)
    head, tail = int(plan.durations[0]), int(plan.durations[-1])
    assert stretched.frames == head + tail + round((plan.frames - head - tail) * factor)
    assert len(stretched.f0_hz) == len(stretched.energy) == 2 * stretched.frames
    assert np.array_equal(stretched.features[:, :, :head], plan.features[:, :, :head])
    assert np.median(stretched.f0_hz[stretched.f0_hz > 40]) == pytest.approx(
        np.median(plan.f0_hz[plan.f0_hz > 40]), rel=0.03
    )
    assert stretch(plan, 1.0) is plan


def test_a_cancelled_request_runs_nothing(network: SplitNetwork, tokens: Ints, style: Floats) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        network.plan(tokens, style, np.ones(len(tokens), np.float32), Run(cancellation))


def test_wrong_input_is_no_cancellation(network: SplitNetwork, plan: Plan, run: Run) -> None:
    with pytest.raises(Exception, match="style"):
        network.decode(plan, np.zeros(3, np.float32), run)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"broken\.onnx cannot be loaded") as caught:
        open_session(path, 1)
    assert str(tmp_path) in caught.value.fix
