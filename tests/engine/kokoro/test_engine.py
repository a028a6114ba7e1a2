"""The embedded voice as an engine, with its real network."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from launcher.errors import EngineError, SpeechError
from launcher.progress import Progress
from tests.engine.kokoro.conftest import ScriptedPhonemizer, speak
from tests.engine.kokoro.test_model_files import make_package
from webui.emotion import EmotionVector
from webui.engine.base import Cancellation, Cancelled, Engine, SpeechRequest
from webui.engine.kokoro.engine import KokoroEngine
from webui.engine.kokoro.graph import F0
from webui.engine.kokoro.network import SAMPLE_RATE_HZ
from webui.engine.kokoro.weights import KOKORO_INT8

pytestmark = pytest.mark.voice

SENTENCE = "The morning train was late again."


def pitch_hz(pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    """The median: a tracker's octave errors at the edges of voicing move a mean by a semitone."""
    import pyworld

    f0_hz, _ = pyworld.harvest(pcm / 32768.0, SAMPLE_RATE_HZ, f0_floor=50, f0_ceil=600)
    return float(np.median(f0_hz[f0_hz > 0]))


def level_db(pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    frames = (pcm[: len(pcm) // 240 * 240] / 32768.0).reshape(-1, 240)
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() * 1e-4])))


def test_it_is_an_engine(engine: KokoroEngine) -> None:
    assert isinstance(engine, Engine)
    info = engine.info()
    assert info.sample_rate_hz == SAMPLE_RATE_HZ
    assert len(info.voices) >= 4
    assert info.languages[:2] == ("zh", "en")
    assert info.capabilities == ("emotion_vector", "readings")
    assert "IndexTTS-2" in info.notes["en"]
    assert "克隆" in info.notes["zh"]
    assert type(info).from_json(info.to_json()) == info


def test_info_needs_no_load(tmp_path: Path) -> None:
    fresh = KokoroEngine(cache_dir=tmp_path, device="auto", threads=0)
    assert fresh.info().voices[0].id == "lian"
    assert not list(tmp_path.iterdir())
    with pytest.raises(EngineError, match="not loaded"):
        next(fresh.synthesize(SpeechRequest("hi"), Cancellation()))


def test_neutral_speech_is_at_its_level_and_ends_in_a_pause(engine: KokoroEngine) -> None:
    pcm = speak(engine, SENTENCE)
    assert pcm.dtype == np.int16
    assert 1.5 < len(pcm) / SAMPLE_RATE_HZ < 4
    assert level_db(pcm) == pytest.approx(-21, abs=2.5)
    assert not pcm[-int(0.2 * SAMPLE_RATE_HZ) :].any()


def test_the_same_request_gives_the_same_samples(engine: KokoroEngine) -> None:
    emotion = EmotionVector(happy=0.4, afraid=0.3)
    assert np.array_equal(speak(engine, SENTENCE, emotion=emotion), speak(engine, SENTENCE, emotion=emotion))


def test_voices_differ_in_pitch(engine: KokoroEngine) -> None:
    pitches = {voice.id: pitch_hz(speak(engine, SENTENCE, voice=voice.id)) for voice in engine.info().voices}
    assert pitches["yun"] < 130 < pitches["ping"] < 190 < pitches["lian"]


@pytest.mark.parametrize(
    ("emotion", "pitch", "rate", "level"),
    [("happy", 1, 1, 1), ("sad", -1, -1, -1), ("angry", 1, 1, 1), ("surprised", 1, 0, 1)],
)
def test_emotions_are_heard_and_grow_with_the_slider(
    engine: KokoroEngine, emotion: str, pitch: int, rate: int, level: int
) -> None:
    said = [speak(engine, SENTENCE, emotion=EmotionVector(**{emotion: step})) for step in (0.0, 0.5, 1.0)]
    # Durations are whole frames of 25 ms, so half a slider may move a short sentence's by next to nothing.
    for values, way, least, least_in_all in (
        ([12 * np.log2(pitch_hz(pcm)) for pcm in said], pitch, 0.4, 1.0),
        ([-np.log(len(pcm)) for pcm in said], rate, -0.001, 0.03),
        ([level_db(pcm) for pcm in said], level, 0.3, 1.0),
    ):
        if way:
            assert min(np.diff(values) * way) > least, (emotion, values)
            assert (values[-1] - values[0]) * way > least_in_all, (emotion, values)


def test_intensity_scales_the_emotion(engine: KokoroEngine) -> None:
    half = SpeechRequest(SENTENCE, emotion=EmotionVector(sad=1.0), intensity=0.5)
    pcm = np.concatenate([chunk.pcm for chunk in engine.synthesize(half, Cancellation())])
    assert np.array_equal(pcm, speak(engine, SENTENCE, emotion=EmotionVector(sad=0.5)))


@pytest.mark.parametrize("voice", ["lian", "yun"])
def test_the_loudest_emotion_does_not_clip(engine: KokoroEngine, voice: str) -> None:
    pcm = speak(engine, SENTENCE, emotion=EmotionVector(angry=1.0), voice=voice)
    assert np.abs(pcm.astype(np.int32)).max() < 0.985 * 32767
    assert level_db(pcm) > level_db(speak(engine, SENTENCE, voice=voice)) + 4


def test_speed_is_followed_to_its_extremes(engine: KokoroEngine) -> None:
    lengths = {speed: len(speak(engine, SENTENCE, speed=speed)) for speed in (0.25, 0.5, 1.0, 2.0, 4.0)}
    assert list(lengths.values()) == sorted(lengths.values(), reverse=True)
    # Very slow speech comes phrase by phrase, with a pause after each.
    assert 3 < lengths[0.25] / lengths[1.0] < 7
    assert lengths[1.0] / lengths[2.0] == pytest.approx(2, rel=0.25)
    assert lengths[4.0] > 0.2 * lengths[1.0]


def test_mandarin_tones_reach_the_sound(voice_cache: Path, engine: KokoroEngine) -> None:
    pcm = speak(engine, "妈妈骂马吗？")
    assert len(pcm) > SAMPLE_RATE_HZ / 2


def test_segments_name_their_language(engine: KokoroEngine) -> None:
    request = SpeechRequest("你好，世界。Hello world, this is a test. 我用Python写代码。")
    segments = engine.segments(request)
    assert "".join(segment.text for segment in segments) == request.text
    assert [segment.index for segment in segments] == list(range(len(segments)))
    assert {segment.language for segment in segments} <= {"zh", "en", "mixed"}


def test_what_could_be_any_language_is_in_the_texts(engine: KokoroEngine) -> None:
    for text, language in (("今天学了圆周率。3.14。", "zh"), ("We learnt about circles. 3.14.", "en")):
        assert {segment.language for segment in engine.segments(SpeechRequest(text))} == {language}


def test_a_very_long_text_comes_in_bounded_chunks(engine: KokoroEngine) -> None:
    request = SpeechRequest("a" * 20_000)
    assert len(engine.segments(request)) > 100
    chunks = engine.synthesize(request, Cancellation())
    for _, chunk in zip(range(4), chunks, strict=False):
        assert len(chunk.pcm) < 14 * SAMPLE_RATE_HZ
    chunks.close()


def test_cancel_ends_a_run_that_is_under_way(engine: KokoroEngine) -> None:
    cancellation = Cancellation()
    timer = threading.Timer(0.3, cancellation.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        for _ in engine.synthesize(SpeechRequest("hello there " * 500), cancellation):
            pass
    timer.join()
    assert len(speak(engine, SENTENCE))  # and the engine goes on


@pytest.mark.parametrize("text", ["。。。", "!?", "—"])
def test_punctuation_alone_is_answered(engine: KokoroEngine, text: str) -> None:
    with pytest.raises(SpeechError) as caught:
        list(engine.synthesize(SpeechRequest(text), Cancellation()))
    assert caught.value.code == "nothing_to_say"


def test_an_unknown_voice_and_language_are_answered(engine: KokoroEngine) -> None:
    with pytest.raises(SpeechError) as caught:
        next(engine.synthesize(SpeechRequest("hi", voice="alloy"), Cancellation()))
    assert caught.value.code == "unknown_voice"
    with pytest.raises(SpeechError, match="Use auto or one of zh, en") as caught:
        next(engine.synthesize(SpeechRequest("hi", language="xx"), Cancellation()))
    assert caught.value.param == "language"


def test_load_tells_its_stages_and_unload_can_be_followed_by_load(voice_cache: Path) -> None:
    stages: list[Progress] = []
    other = KokoroEngine(cache_dir=voice_cache, device="cpu", threads=1, make_phonemizer=ScriptedPhonemizer)
    for _ in range(2):
        stages.clear()
        other.load(stages.append)
        assert [stage.stage for stage in stages] == ["load"] * 3 + ["warm_up"] * 2
        assert len(speak(other, SENTENCE))
        other.unload()
        with pytest.raises(EngineError, match="not loaded"):
            next(other.synthesize(SpeechRequest("hi"), Cancellation()))


def test_a_model_with_other_names_still_speaks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    voice_cache: Path,
    engine: KokoroEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = (voice_cache / "kokoro" / KOKORO_INT8.name).read_bytes()
    renamed = model.replace(F0.encode(), F0.replace("Reshape", "Reshaqe").encode())
    source = make_package(tmp_path, monkeypatch, "renamed_voice_part", renamed, renamed)
    whole = KokoroEngine(
        cache_dir=tmp_path / "cache", device="cpu", threads=2, source=source, make_phonemizer=ScriptedPhonemizer
    )
    whole.load(lambda progress: None)
    assert "through its whole model" in caplog.text
    neutral = speak(whole, SENTENCE)
    assert len(neutral) == pytest.approx(len(speak(engine, SENTENCE)), rel=0.15)
    happy = speak(whole, SENTENCE, emotion=EmotionVector(happy=1.0))
    sad = speak(whole, SENTENCE, emotion=EmotionVector(sad=1.0))
    assert pitch_hz(sad) < pitch_hz(neutral) * 0.95 < pitch_hz(happy) * 0.9
    assert len(happy) < len(neutral) < len(sad)
    whole.unload()
