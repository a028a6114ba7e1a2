"""Sound files: they decode to what went in, at its level."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
import soundfile

from launcher.errors import SpeechError
from tests.engine.tone_engine import tone
from webui.audio import MEDIA_TYPES, Resampler, encode, resample, wav_header


@pytest.mark.parametrize("audio_format", sorted(set(MEDIA_TYPES) - {"pcm"}))
@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 44_100])
def test_what_goes_in_comes_out(audio_format: str, rate_hz: int) -> None:
    pcm = (8_000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz * 2) / rate_hz)).astype(np.int16)
    data, media_type = encode(pcm, rate_hz, audio_format)
    assert media_type == MEDIA_TYPES[audio_format]
    sound, decoded_hz = soundfile.read(io.BytesIO(data), dtype="int16")
    assert abs(len(sound) / decoded_hz - 2.0) < 0.1
    assert abs(int(np.abs(sound[decoded_hz // 2 : -decoded_hz // 2]).max()) - 8_000) < 600
    spectrum = np.abs(np.fft.rfft(sound[:decoded_hz].astype(float)))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def test_lossless_formats_lose_nothing() -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32767, 10_000).astype(np.int16)
    assert np.array_equal(np.frombuffer(encode(pcm, 24_000, "pcm")[0], "<i2"), pcm)
    for audio_format in ("wav", "flac"):
        decoded, _ = soundfile.read(io.BytesIO(encode(pcm, 24_000, audio_format)[0]), dtype="int16")
        assert np.array_equal(decoded, pcm)


@pytest.mark.parametrize("audio_format", sorted(MEDIA_TYPES))
def test_silence_of_no_length_is_a_file(audio_format: str) -> None:
    data, _ = encode(np.zeros(0, np.int16), 24_000, audio_format)
    assert isinstance(data, bytes)


def test_minutes_of_opus_do_not_overflow_the_encoder() -> None:
    data, _ = encode(np.tile(tone(1.0), 240), 24_000, "opus")
    assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(240, abs=0.1)


def test_a_header_without_length_reads_to_the_end() -> None:
    pcm = tone(0.5)
    data = wav_header(24_000) + pcm.tobytes()
    assert np.array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], pcm)
    with wave.open(io.BytesIO(data)) as sound:
        assert sound.readframes(1 << 30) == pcm.tobytes()


@pytest.mark.parametrize(("from_hz", "to_hz"), [(22_050, 24_000), (48_000, 16_000), (8_000, 48_000), (24_000, 24_000)])
def test_resampling_keeps_a_tone(from_hz: int, to_hz: int) -> None:
    pcm = np.rint(10_000 * np.sin(2 * np.pi * 1_000 * np.arange(from_hz) / from_hz)).astype(np.int16)
    got = resample(pcm, from_hz, to_hz)
    wanted = 10_000 * np.sin(2 * np.pi * 1_000 * np.arange(len(got)) / to_hz)
    assert len(got) == to_hz
    assert np.abs(got - wanted)[to_hz // 10 : -to_hz // 10].max() < 10


@pytest.mark.parametrize(("from_hz", "to_hz"), [(22_050, 24_000), (48_000, 16_000), (8_000, 48_000)])
def test_pieces_are_resampled_as_the_whole(from_hz: int, to_hz: int) -> None:
    pcm = np.random.default_rng(1).normal(0, 5000, from_hz // 2).astype(np.int16)
    for size in (1, 97, 480, 10_000):
        resampler, end = Resampler(from_hz, to_hz), 500 if size == 1 else len(pcm)
        pieces = [resampler.feed(pcm[start : start + size]) for start in range(0, end, size)]
        pieces.append(resampler.finish())
        whole = resample(pcm[:end], from_hz, to_hz)
        assert np.array_equal(np.concatenate(pieces), whole), size


def test_bare_samples_have_openais_rate() -> None:
    pcm = np.rint(10_000 * np.sin(2 * np.pi * 1_000 * np.arange(22_050) / 22_050)).astype(np.int16)
    assert len(encode(pcm, 22_050, "pcm")[0]) == 2 * 24_000
    assert encode(pcm, 24_000, "pcm")[0] == pcm.tobytes()


def test_resampling_down_removes_what_would_fold_back() -> None:
    pcm = np.rint(10_000 * np.sin(2 * np.pi * 15_000 * np.arange(48_000) / 48_000)).astype(np.int16)
    assert np.abs(resample(pcm, 48_000, 16_000)[1_000:-1_000]).max() < 10


@pytest.mark.parametrize("audio_format", ["aac", "", "WAV", None, 3, ["mp3"]])
def test_an_unknown_format_names_the_known_ones(audio_format: str) -> None:
    with pytest.raises(SpeechError, match="mp3") as caught:
        encode(tone(0.1), 24_000, audio_format)
    assert caught.value.param == "response_format"
