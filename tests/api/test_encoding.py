"""`POST /api/encode` and loudness: what made a take lies in its file, and files are as loud as they should be."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from launcher.frames import encode_event, encode_pcm
from tests.engine.processes import page
from webui.api.encoding import END, MARK
from webui.loudness import PEAK_LIMIT_DB, loudness, normalise

RATE_HZ = 24_000
#: About as much as a file can hold: 40 kB when it is packed.
NOISE = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=44_000))
TAKE = {
    "request": {"text": '你好, "world" 🙂\n', "emotion": {"happy": 0.7}},
    "seed": 4294967295,
    "segments": ["好" * 9000],
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with page("unix:/nobody") as server:
        yield server


def tone(seconds: float = 2.0, level: float = 0.1, rate_hz: int = RATE_HZ) -> np.ndarray[Any, np.dtype[np.int16]]:
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    return (32767 * level * np.sin(2 * np.pi * 440 * at)).astype(np.int16)


def ask(address: str, pcm: np.ndarray[Any, np.dtype[np.int16]], **fields: Any) -> httpx.Response:
    """The answer to a take; its samples go in several frames."""
    event = {"sample_rate_hz": RATE_HZ, "format": "wav", "take": TAKE, **fields}
    data = pcm.astype("<i2").tobytes()
    frames = [encode_pcm(data[at : at + 30_000]) for at in range(0, len(data), 30_000)]
    return httpx.post(f"{address}/api/encode", content=b"".join([encode_event("take", **event), *frames]), timeout=60)


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus"])
def test_what_made_a_take_lies_in_its_file(address: str, audio_format: str) -> None:
    answer = ask(address, tone(), format=audio_format)
    assert answer.status_code == 200, answer.text
    packed = answer.content.partition(MARK.encode())[2].partition(END.encode())[0]
    assert json.loads(zlib.decompress(base64.b64decode(packed, validate=True))) == TAKE
    sound, rate_hz = soundfile.read(io.BytesIO(answer.content))
    assert len(sound) / rate_hz == pytest.approx(2.0, abs=0.1)
    assert np.abs(sound).max() == pytest.approx(0.1, abs=0.02)


def test_a_file_may_be_made_as_loud_as_speech_should_be(address: str) -> None:
    answer = ask(address, tone(level=0.01), format="flac", loudness_lufs=-19)
    sound, _ = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert loudness(sound, RATE_HZ) == pytest.approx(-19, abs=0.1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"format": "aiff"}, "response_format"),
        ({"sample_rate_hz": 0}, "sample_rate_hz"),
        ({"sample_rate_hz": "fast"}, "sample_rate_hz"),
        ({"loudness_lufs": 3}, "loudness_lufs"),
        ({"take": "words"}, "take"),
        ({"take": {"text": NOISE * 2}}, "take"),
    ],
)
def test_what_cannot_be_is_one_sentence(address: str, fields: dict[str, Any], param: str) -> None:
    answer = ask(address, tone(0.1), **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"J\0\0", encode_pcm(b"\0\0"), encode_event("start"), encode_event("take") + b"P\0\0\0\1x"]
)
def test_a_body_that_is_no_take_is_refused(address: str, body: bytes) -> None:
    answer = httpx.post(f"{address}/api/encode", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 48_000])
def test_loudness_is_the_standards(rate_hz: int) -> None:
    """BS.1770-4, annex 1: 997 Hz at full scale in one channel is -3.01 LKFS."""
    at = np.arange(rate_hz * 4) / rate_hz
    sine = (32767 * np.sin(2 * np.pi * 997 * at)).astype(np.int16)
    assert loudness(sine, rate_hz) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize(("rate_hz", "noise", "bursts"), [(22_050, -17.90, -17.40), (48_000, -17.67, -17.39)])
def test_loudness_is_pyloudnorms(rate_hz: int, noise: float, bursts: float) -> None:
    """Measured with pyloudnorm 0.2.0, whose shelf differs a little; the bursts need both gates."""
    at = np.arange(rate_hz * 6) / rate_hz
    hiss = 3000 * np.random.default_rng(rate_hz).standard_normal(rate_hz * 6)
    assert loudness(hiss.clip(-32768, 32767).astype(np.int16), rate_hz) == pytest.approx(noise, abs=0.12)
    level = np.where((at % 2) < 1, 1, 0.003)
    sweep = 8000 * level * np.sin(2 * np.pi * (150 + 60 * np.sin(3 * at)) * at)
    assert loudness(sweep.astype(np.int16), rate_hz) == pytest.approx(bursts, abs=0.12)


def test_nothing_is_clipped_and_silence_stays() -> None:
    clicks = tone(level=0.003)
    clicks[::4800] = 20_000
    made = normalise(clicks, RATE_HZ, -12)
    assert 20 * math.log10(np.abs(made.astype(int)).max() / 32768) == pytest.approx(PEAK_LIMIT_DB, abs=0.01)
    for still in (np.zeros(RATE_HZ, np.int16), tone(0.2)):
        assert normalise(still, RATE_HZ) is still


def test_a_long_sound_is_evened_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.arange(5_000_000) / RATE_HZ
    pcm = (np.random.default_rng(1).normal(0, 3000, len(times)) * np.sin(times / 3)).astype(np.int16)
    tracemalloc.start()
    try:
        evened = normalise(pcm, RATE_HZ, -30.0)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 120_000_000, "an hour would take gigabytes"
    assert loudness(evened, RATE_HZ) == pytest.approx(-30.0, abs=0.01)
    # Where one piece ends and the next begins is not heard.
    part = pcm[:400_000]
    whole = loudness(part, RATE_HZ)
    monkeypatch.setattr("webui.loudness._PIECE_SAMPLES", 33_333)
    assert loudness(part, RATE_HZ) == pytest.approx(whole, abs=1e-9)
