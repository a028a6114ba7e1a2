"""From the command to speech, through every door: API, command line, second start, and every bad request."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.system.running import ROOT, Running, http

pytestmark = pytest.mark.voice


def spoken(instance: Running, text: str, **fields: Any) -> tuple[np.ndarray, int]:
    """The samples and the rate of a spoken text."""
    body = {"model": "tts-1", "input": text, "response_format": "wav", **fields}
    status, _, answer = http(f"{instance.url}/v1/audio/speech", body)
    assert status == 200, answer
    return read_wav(answer)


def read_wav(data: bytes) -> tuple[np.ndarray, int]:
    """Samples and rate of a mono 16-bit wav, also of one that was streamed with an open length."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        rate_hz = file.getframerate()
    start = data.index(b"data") + 8
    return np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], np.int16), rate_hz


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [("你好，世界。Hello world!", 1.5, 6), ("今天是2026年11月21日，气温3.5°C。", 3, 12), ("こんにちは、世界。", 1, 5)],
)
def test_it_speaks_chinese_english_and_japanese(
    shared_instance: Running, text: str, least_s: float, most_s: float
) -> None:
    samples, rate_hz = spoken(shared_instance, text)
    assert least_s < len(samples) / rate_hz < most_s
    assert 500 < np.sqrt(np.mean(samples.astype(float) ** 2)) < 20_000
    assert np.abs(samples.astype(int)).max() <= 32767


def test_the_sliders_change_the_voice(shared_instance: Running) -> None:
    text = "The river was quiet and nobody said a word."
    lengths = {
        name: len(spoken(shared_instance, text, emotion=emotion)[0])
        for name, emotion in {"neutral": {}, "sad": {"sad": 1.0}, "angry": {"angry": 1.0}}.items()
    }
    assert lengths["angry"] < lengths["neutral"] < lengths["sad"]


def test_intensity_zero_is_neutral_and_speech_is_repeatable(shared_instance: Running) -> None:
    text = "Nothing changes."
    neutral, _ = spoken(shared_instance, text, seed=1)
    silent, _ = spoken(shared_instance, text, emotion={"happy": 1.0}, intensity=0.0, seed=1)
    assert np.array_equal(neutral, silent)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"input": ""}, "empty"),
        ({"input": "   \n"}, "empty"),
        ({"input": "🎉🎉"}, "input"),
        ({"input": "\x00\x07\x1b"}, "input"),
        ({"input": "a" * 100_000}, "20000"),
        ({"input": "hi", "voice": "nobody"}, "nobody"),
        ({"input": "hi", "speed": 9}, "speed"),
        ({"input": "hi", "emotion": {"happy": 1.5}}, "happy"),
        ({"input": "hi", "emotion": {"joy": 0.5}}, "joy"),
        ({"input": "hi", "emotion": [0.1]}, "emotion"),
        ({"input": "hi", "response_format": "midi"}, "response_format"),
        ({"input": 5}, "input"),
        ({}, "input"),
    ],
)
def test_a_bad_request_gets_one_sentence_and_400(shared_instance: Running, fields: dict[str, Any], words: str) -> None:
    status, headers, answer = http(f"{shared_instance.url}/v1/audio/speech", {"model": "tts-1", **fields})
    assert status == 400, answer
    assert headers["content-type"].startswith("application/json")
    error = json.loads(answer)["error"]
    assert words in json.dumps(error, ensure_ascii=False)
    assert "Traceback" not in error["message"]
    shared_instance.wait_ready_for_clients()


def test_nan_in_the_body_is_refused(shared_instance: Running) -> None:
    request = {"model": "tts-1", "input": "hi", "emotion": {"happy": float("nan")}}
    assert http(f"{shared_instance.url}/v1/audio/speech", request)[0] == 400


def test_say_writes_a_file_through_the_running_instance(shared_instance: Running, tmp_path: Path) -> None:
    file = tmp_path / "out.wav"
    result = shared_instance.launcher("say", "你好，世界。Hello world!", "-o", str(file), "--emotion", "happy=0.8")
    samples, rate_hz = read_wav(file.read_bytes())
    assert 1.0 < len(samples) / rate_hz < 6
    assert str(file) in json.dumps(result, ensure_ascii=False)


def test_say_alone_reads_standard_input_and_writes_standard_output(data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "say", "-", "-o", "-"],
        cwd=ROOT,
        env={**os.environ, "LAUNCHER_DATA_DIR": str(data_dir), "LAUNCHER_INSTANCE": "alone"},
        input=b"Hello from nobody.",
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    samples, rate_hz = read_wav(done.stdout)
    assert 0.5 < len(samples) / rate_hz < 5


def test_a_second_start_gives_the_address_and_success(shared_instance: Running) -> None:
    pid = shared_instance.snapshot()["pid"]
    answer = shared_instance.launcher("start", "--no-open")
    assert answer["url"].rstrip("/") == shared_instance.url
    assert shared_instance.snapshot()["pid"] == pid
