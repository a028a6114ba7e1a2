"""What an engine says, by upstream's own classes with tiny checkpoints."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CACHE, LONG, VOICES, Say, digest

from launcher.errors import OUT_OF_MEMORY, EngineError, SpeechError
from launcher.progress import Progress
from webui.emotion import EMOTIONS, EmotionVector
from webui.engine.base import Cancellation, Cancelled, EngineLostError, GenerationParameters, SpeechRequest
from webui.engine.indextts.upstream import find_upstream, keep_grammars_in

STARTED_AT = time.time()
HAPPY = EmotionVector(happy=1.0)


def test_the_class_is_upstreams_own(engine: Any) -> None:
    expected = {"indextts2": "indextts.infer_v2", "indextts2.5": "indextts25.infer_v2_5"}[engine.name]
    assert type(engine._speaker.instance).__module__ == expected


def test_a_seed_decides_every_sample_and_the_first_call_is_like_the_later_ones(say: Say) -> None:
    first = say(seed=5)
    random.random(), np.random.rand(), torch.rand(3)  # a request must not depend on what was drawn before
    assert digest(say(seed=5)) == digest(first)
    assert digest(say(seed=6)) != digest(first)
    assert first.dtype == np.int16
    assert np.abs(first).max() > 100


def test_it_says_what_upstream_itself_says(engine: Any, say: Say) -> None:
    ours = say("你好世界。", seed=9)
    instance = engine._speaker.instance
    language = {"lang": "zh"} if engine.name == "indextts2.5" else {}
    engine._speaker.seed(9)
    with torch.no_grad():
        rate_hz, theirs = instance.infer(
            spk_audio_prompt=str((VOICES / "one.wav").resolve()), text="你好世界。", output_path=None, **language
        )
    assert rate_hz == engine.info().sample_rate_hz
    assert np.array_equal(ours, theirs.reshape(-1))


@pytest.fixture
def acted(engine: Any, say: Say, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Speaks, and gives the emotion that upstream's language model was conditioned on."""
    real = engine._speaker.instance.gpt.inference_speech
    heard: list[bytes] = []

    def listen(*arguments: Any, **options: Any) -> Any:
        vector = options["emo_vec"] if "emo_vec" in options else arguments[2]
        heard.append(vector.numpy().tobytes())
        return real(*arguments, **options)

    monkeypatch.setattr(engine._speaker.instance.gpt, "inference_speech", listen)

    def speak(**fields: Any) -> bytes:
        heard.clear()
        say(**fields)
        return heard[0]

    return speak


def test_every_emotion_mode_acts_differently(engine: Any, acted: Callable[..., bytes]) -> None:
    heard = {
        "voice": acted(),
        "vector": acted(emotion=HAPPY),
        "vector, half": acted(emotion=HAPPY, intensity=0.5),
        "other vector": acted(emotion=EmotionVector(sad=1.0)),
        "recording": acted(emotion_reference=str(VOICES / "two.wav")),
        "recording, half": acted(emotion_reference="two", intensity=0.5),
        "other voice": acted(voice="two"),
    }
    if "emotion_text" in engine.info().capabilities:
        heard["text"] = acted(emotion_text="我很平静")
    assert len(set(heard.values())) == len(heard), list(heard)
    assert acted(emotion_mode="voice", emotion=HAPPY) == heard["voice"]
    assert acted(emotion=HAPPY, intensity=0.0) == heard["voice"]
    none = np.frombuffer(acted(emotion_reference="two", intensity=0.0), np.float32)
    full, half = (np.frombuffer(heard[name], np.float32) for name in ("recording", "recording, half"))
    assert half == pytest.approx(none + 0.5 * (full - none), abs=1e-5)


def test_emotions_are_heard(say: Say) -> None:
    sounds = {digest(say(emotion=EmotionVector.from_mapping({name: 1.0}))) for name in EMOTIONS}
    assert len(sounds) > 1  # so small a network does not hear every one


def test_random_emotion_draws_from_the_seed(acted: Callable[..., bytes]) -> None:
    calm = EmotionVector(calm=1.0)
    drawn = [acted(emotion=calm, random_emotion=True, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert acted(emotion=calm, seed=1) != drawn[0]


def test_the_emotion_arithmetic_is_upstreams(engine: Any) -> None:
    instance = engine._speaker.instance
    if not hasattr(instance, "normalize_emo_vec"):
        pytest.skip("this package leaves the arithmetic to its caller")
    draws = random.Random(3)
    for _ in range(200):
        vector = EmotionVector(*(draws.random() * draws.choice((0.1, 1.0)) for _ in range(8)))
        theirs = instance.normalize_emo_vec(list(vector.as_tuple()))
        assert vector.for_indextts().as_tuple() == pytest.approx(theirs, abs=1e-12)
        scaled = instance.normalize_emo_vec(list(vector.as_tuple()), apply_bias=False)
        assert vector.limited(0.8).as_tuple() == pytest.approx(scaled, abs=1e-12)


def test_the_model_for_text_emotions_comes_when_it_is_needed_and_goes(engine: Any, say: Say) -> None:
    if "emotion_text" not in engine.info().capabilities:
        pytest.skip("this package has no such model")
    reader = engine._speaker.instance.qwen_emo
    engine.release_text_emotion()
    before = digest(say(emotion=EmotionVector(calm=0.8), emotion_mode="vector"))
    assert not reader.loaded
    said = digest(say(emotion_mode="text"))
    assert reader.loaded
    assert reader.inference("x")["calm"] == 1.0
    engine.release_text_emotion()
    assert not reader.loaded
    assert digest(say(emotion_mode="text")) == said != before


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two reports."""
    monkeypatch.setattr("webui.engine.indextts.speaking._REPORT_S", 0.0)


@pytest.mark.usefixtures("every_report")
def test_segments_come_one_by_one_with_progress(engine: Any) -> None:
    request = SpeechRequest(LONG, seed=1, generation=GenerationParameters(segment_tokens=30))
    told: list[Progress] = []
    engine.report_speech_to(told.append)
    expected = engine.segments(request)
    assert [segment.index for segment in expected] == [0, 1, 2]
    assert "".join(segment.text for segment in expected) == LONG
    came = [(chunk.segment.index, len(told)) for chunk in engine.synthesize(request, Cancellation())]
    engine.report_speech_to(None)
    indices = [index for index, _ in came]
    assert sorted(set(indices)) == [0, 1, 2]  # what has more tokens than fit comes in several pieces
    assert indices == sorted(indices)
    assert came[0][1] < came[-1][1]
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert all(progress.total == 3 and progress.done <= 3 for progress in told)


@pytest.mark.usefixtures("every_report")
def test_a_cancelled_request_ends_inside_a_segment_and_the_next_one_is_whole(engine: Any, say: Say) -> None:
    whole = digest(say())
    for moment in ("codes", "spectrum"):
        cancellation = Cancellation()
        seen = []

        def cancel_at(progress: Progress, wanted: str = moment, into: Any = cancellation, log: Any = seen) -> None:
            log.append(progress.done)
            if progress.done >= (0.6 if wanted == "spectrum" else 0.0):
                into.cancel()

        engine.report_speech_to(cancel_at)
        with pytest.raises(Cancelled):
            say(LONG, cancellation)
        engine.report_speech_to(None)
        assert seen[-1] < 1.0
    assert digest(say()) == whole


def test_cancelling_from_another_thread_is_quick(engine: Any, say: Say) -> None:
    cancellation = Cancellation()
    cancelled_at: list[float] = []

    def cancel() -> None:
        time.sleep(0.15)
        cancelled_at.append(time.monotonic())
        cancellation.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        say(LONG * 6, cancellation)
    thread.join()
    assert cancelled_at


@pytest.mark.parametrize("full", [torch.cuda.OutOfMemoryError("CUDA out of memory."), MemoryError()], ids=str)
def test_what_does_not_fit_into_the_memory_is_spoken_in_halves(engine: Any, say: Say, full: Exception) -> None:
    say()  # the voice is known then, and what is tried is the text
    first, second = "今天天气很好，", "我们去公园看花。"
    whole = engine._speaker.instance.infer_generator
    tried: list[str] = []

    def small(*, text: str, **given: Any) -> Any:
        tried.append(text)
        if len(text) > len(second):
            raise full
        yield from whole(text=text, **given)

    engine._speaker.instance.infer_generator = small
    try:
        assert len(say(first + second))
        assert tried == [first + second, first, second]
        with pytest.raises(EngineError, match="memory") as caught:
            say(first * 3 + second, generation=GenerationParameters(segment_tokens=200))
        assert caught.value.code == OUT_OF_MEMORY
    finally:
        del engine._speaker.instance.infer_generator
    assert len(say(first + second))


@pytest.mark.parametrize(("words", "lost"), [("CUDA error: device-side assert triggered", True), ("a shape", False)])
def test_a_device_that_has_failed_is_no_mere_error(engine: Any, say: Say, words: str, lost: bool) -> None:
    def broken(**_given: Any) -> Any:
        raise RuntimeError(f"{words}\nCompile with TORCH_USE_CUDA_DSA")
        yield

    engine._speaker.instance.infer_generator = broken
    try:
        with pytest.raises(EngineLostError if lost else RuntimeError, match=words):
            say()
    finally:
        del engine._speaker.instance.infer_generator
    assert len(say())


class Grammar:
    """Stands for one that takes a minute to build."""

    def __init__(self, *, lang: str, cache_dir: str = "", **_options: Any) -> None:
        if cache_dir:
            Path(cache_dir, f"{lang}_tn.far").touch()


def test_the_building_of_a_grammar_is_told_once(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = type(engine._speaker.instance).__module__.partition(".")[0]
    upstream = find_upstream(engine.name, None)
    monkeypatch.setattr("nemo_text_processing.text_normalization.normalize.Normalizer", Grammar)
    told: list[str] = []
    seen: list[Progress] = []
    keep_grammars_in(tmp_path, upstream, lambda language: (told.append(language), engine._tell_grammar(language)))
    engine.report_speech_to(seen.append)
    try:
        own = sys.modules.get(f"{package}.utils.nemo_tn")
        for _ in range(2):
            if own is not None:
                own._build_normalizer("es", "cased")
            else:
                sys.modules[f"{package}.utils.front"].TextNormalizer._get_nemo_normalizer(object(), "es")
    finally:
        engine.report_speech_to(None)
        keep_grammars_in(CACHE / "indextts" / "grammars", upstream, engine._tell_grammar)
    assert told == ["es"] and [progress.stage for progress in seen] == ["grammar"]


def test_generation_parameters_reach_upstream(engine: Any, say: Say) -> None:
    plain = say()
    assert digest(say(generation=GenerationParameters(temperature=1.8, top_k=60))) != digest(plain)
    assert len(say(generation=GenerationParameters(max_mel_tokens=10))) < len(plain)
    if engine.name == "indextts2":
        with pytest.raises(SpeechError, match="diffusion_steps") as caught:
            say(generation=GenerationParameters(diffusion_steps=10))
        assert caught.value.param == "generation.diffusion_steps"
    else:
        assert digest(say(generation=GenerationParameters(diffusion_steps=10))) != digest(plain)


def test_the_pace_of_the_one_that_has_it(engine: Any, say: Say) -> None:
    plain = len(say())
    if engine.name == "indextts2":
        assert "duration" not in engine.info().capabilities
        assert engine.info().speed_range == (1.0, 1.0)
    else:
        assert len(say(duration_factor=2.0)) == pytest.approx(2 * plain, rel=0.05)
        assert len(say(speed=1.25)) == pytest.approx(plain / 1.25, rel=0.05)


def test_a_glossary_is_read_in_place_of_its_terms(say: Say) -> None:
    assert digest(say("abc世界。", glossary=(("ABC", "你好"),))) == digest(say("你好世界。"))


def test_what_is_known_of_a_voice_is_not_computed_again(engine: Any, say: Say) -> None:
    sound = digest(say(voice="three"))
    calls: list[int] = []
    hook = engine._speaker.instance.semantic_model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        for name in ("three", "two", "one", "three"):
            say(voice=name)
        assert calls == []  # several voices stay hot
        engine._speaker._store.forget()
        assert digest(say(voice="three")) == sound  # from the disk
        assert calls == []
        (VOICES / "same.wav").write_bytes((VOICES / "three.wav").read_bytes())
        assert digest(say(voice="same")) == sound  # another name, the same content
        assert calls == []
        engine._speaker._store.forget()
        for file in (CACHE / "indextts" / "features").rglob("*.safetensors"):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert digest(say(voice="three")) == sound  # damaged: computed anew
        assert calls != []
    finally:
        hook.remove()
        (VOICES / "same.wav").unlink(missing_ok=True)


def test_only_recordings_in_their_folders_are_read(engine: Any, say: Say, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    outside.write_bytes((VOICES / "one.wav").read_bytes())
    (VOICES / "link.wav").symlink_to(outside)
    (VOICES / "noise.wav").write_bytes(b"no sound at all")
    try:
        for name in (
            str(outside),
            "/etc/passwd",
            "nobody",
            str(VOICES / ".." / "outside.wav"),
            str(VOICES / "link.wav"),
        ):
            with pytest.raises(SpeechError) as caught:
                say(reference=name)
            assert (caught.value.param, caught.value.code) == ("reference", "unknown_recording")
        with pytest.raises(SpeechError, match="no sound file"):
            say(emotion_reference=str(VOICES / "noise.wav"))
    finally:
        (VOICES / "link.wav").unlink()
        (VOICES / "noise.wav").unlink()


def test_nothing_is_written_beside_the_packages(engine: Any, say: Say) -> None:
    say("今天是2026年。")
    package = Path(sys.modules[type(engine._speaker.instance).__module__].__file__).parent
    built = [path for path in package.rglob("*") if path.suffix in (".far", ".pkl", ".fst")]
    assert not [path for path in built if path.stat().st_mtime > STARTED_AT]
    assert any((CACHE / "indextts" / "grammars").iterdir())


def test_it_loads_again_after_it_was_unloaded(engine: Any, say: Say) -> None:
    before = digest(say())
    engine.unload()
    engine.load(lambda _progress: None)
    assert digest(say()) == before
