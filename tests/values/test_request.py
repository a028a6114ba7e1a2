"""SpeechRequest, EngineInfo, Cancellation, Progress and the settings line: what they accept and how they travel."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from launcher.errors import SpeechError
from launcher.progress import Progress
from webui.emotion import EmotionVector
from webui.engine.base import Cancellation, Cancelled, EngineInfo, GenerationParameters, SpeechRequest, Voice
from webui.engine.offer import check_offer
from webui.settings import PageSettings, WorkerSettings, parse_settings


def test_a_request_survives_json() -> None:
    request = SpeechRequest("你好", "lin", EmotionVector(happy=0.8, calm=0.2), 0.5, 1.25, "zh", 7)
    assert SpeechRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    assert request.effective_emotion == EmotionVector(happy=0.4, calm=0.1)


def test_every_field_survives_json() -> None:
    request = SpeechRequest(
        "你好",
        reference="/voices/a.wav",
        emotion_mode="recording",
        emotion_reference="lin",
        emotion_text="calm",
        random_emotion=True,
        duration_factor=1.5,
        glossary=(("GPU", "显卡"),),
        generation=GenerationParameters(temperature=0.9, top_k=20),
    )
    assert SpeechRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "voice"),
        ({"emotion": {"sad": 1}}, "vector"),
        ({"emotion": {"sad": 1}, "emotion_reference": "a"}, "recording"),
        ({"emotion_reference": "a", "emotion_text": "sad"}, "text"),
        ({"emotion": {"sad": 1}, "emotion_mode": "voice"}, "voice"),
        ({"emotion_mode": "text"}, "text"),
    ],
)
def test_where_the_emotion_comes_from(fields: dict[str, Any], source: str) -> None:
    assert SpeechRequest.from_json({"text": "a", **fields}).emotion_source == source


def test_eight_numbers_are_an_emotion_too() -> None:
    assert SpeechRequest.from_json({"text": "a", "emotion": [0, 1, 0, 0, 0, 0, 0, 0]}).emotion == EmotionVector(angry=1)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "input", "empty_text"),
        ({"text": " \n"}, "input", "empty_text"),
        ({"text": 5}, "text", "invalid_value"),
        ({"text": "a", "voice": None}, "voice", "invalid_value"),
        ({"text": "a", "speed": 0}, "speed", "speed_out_of_range"),
        ({"text": "a", "speed": math.nan}, "speed", "speed_out_of_range"),
        ({"text": "a", "speed": "fast"}, "speed", "speed_out_of_range"),
        ({"text": "a", "speed": True}, "speed", "speed_out_of_range"),
        ({"text": "a", "intensity": 1.5}, "intensity", "intensity_out_of_range"),
        ({"text": "a", "seed": -1}, "seed", "invalid_value"),
        ({"text": "a", "seed": 2**32}, "seed", "invalid_value"),
        ({"text": "a", "emotion": "happy"}, "emotion", "invalid_value"),
        ({"text": "a", "emotion": {"happy": 9}}, "emotion", "emotion_out_of_range"),
        ({"text": "a", "pitch": 1}, "pitch", "unknown_field"),
        ({"text": "a", "reference": 3}, "reference", "invalid_value"),
        ({"text": "a", "reference": "x" * 5000}, "reference", "reference_too_long"),
        ({"text": "a", "emotion_mode": "loud"}, "emotion_mode", "unknown_emotion_mode"),
        ({"text": "a", "emotion_mode": "recording"}, "emotion_reference", "emotion_reference_missing"),
        ({"text": "a", "emotion_text": "x" * 1001}, "emotion_text", "emotion_text_too_long"),
        ({"text": "a", "random_emotion": 1}, "random_emotion", "invalid_value"),
        ({"text": "a", "duration_factor": 3}, "duration_factor", "duration_factor_out_of_range"),
        ({"text": "a", "glossary": ["GPU"]}, "glossary", "invalid_value"),
        ({"text": "a", "glossary": {"GPU": 1}}, "glossary", "invalid_value"),
        ({"text": "a", "generation": 1}, "generation", "invalid_value"),
        ({"text": "a", "generation": {"heat": 1}}, "generation", "unknown_parameter"),
        ({"text": "a", "generation": {"top_p": 2}}, "generation.top_p", "top_p_out_of_range"),
        ({"text": "a", "generation": {"top_k": 2.5}}, "generation.top_k", "invalid_value"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        SpeechRequest.from_json(fields)
    assert (caught.value.param, caught.value.code, caught.value.http_status) == (param, code, 400)


def test_engine_info_survives_json() -> None:
    info = EngineInfo("tone", {"en": "Tone"}, 24_000, (Voice("a", {"en": "A"}, languages=("zh", "en")),), ("zh", "en"))
    assert EngineInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_cancellation_runs_each_callback_once_and_late_ones_at_once() -> None:
    cancellation, calls = Cancellation(), []
    cancellation.on_cancel(lambda: calls.append("early"))
    cancellation.check()
    cancellation.cancel()
    cancellation.cancel()
    cancellation.on_cancel(lambda: calls.append("late"))
    assert calls == ["early", "late"]
    assert cancellation.cancelled
    with pytest.raises(Cancelled):
        cancellation.check()


def test_progress_survives_json_and_needs_its_stage() -> None:
    progress = Progress("assemble", 3, 10, "bytes", 1.5, 4.0)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress
    with pytest.raises(KeyError):
        Progress.from_json({"done": 1})


def test_settings_ignore_keys_of_another_version_and_name_a_missing_one() -> None:
    line = {"instance": "a", "engine": "kokoro", "address": "unix:/a", "control_address": "unix:/b", "cache_dir": "/c"}
    assert parse_settings(WorkerSettings, json.dumps({**line, "newer": 1})).engine == "kokoro"
    with pytest.raises(ValueError, match="cache_dir"):
        parse_settings(WorkerSettings, json.dumps({k: v for k, v in line.items() if k != "cache_dir"}))
    with pytest.raises(ValueError, match="no JSON object"):
        parse_settings(PageSettings, "[]")


def test_an_engine_refuses_what_it_has_not_and_takes_the_rest() -> None:
    info = EngineInfo("tone", {"en": "Tone"}, 24_000, (), ("zh",), capabilities=("clone",))
    check_offer(SpeechRequest("a", reference="/a.wav", emotion=EmotionVector(happy=1)), info)
    for fields, param in (
        ({"emotion_reference": "a"}, "emotion_reference"),
        ({"emotion_text": "sad"}, "emotion_text"),
        ({"random_emotion": True}, "random_emotion"),
        ({"duration_factor": 1.2}, "duration_factor"),
        ({"glossary": {"a": "b"}}, "glossary"),
        ({"generation": {"top_k": 3}}, "generation"),
        ({"voice": "lin"}, "voice"),
    ):
        with pytest.raises(SpeechError) as caught:
            check_offer(SpeechRequest.from_json({"text": "a", **fields}), info)
        assert caught.value.param == param


def test_the_options_of_an_engine_reach_it() -> None:
    line = {
        "instance": "a",
        "engine": "k",
        "address": "",
        "control_address": "",
        "cache_dir": "",
        "options": {"a": "b"},
    }
    assert parse_settings(WorkerSettings, json.dumps(line)).options == {"a": "b"}
