"""What becomes of an uploaded recording."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from launcher.errors import SpeechError
from tests.library.recordings import voiced, write
from webui.library.recordings import MAX_KEPT_S, read_recording


def codes(path: Path, **how: object) -> set[str]:
    return {finding.code for finding in read_recording(path, **how).findings}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "rate_hz", "how"),
    [
        ("a.wav", 44_100, {"subtype": "PCM_24"}),
        ("b.wav", 8_000, {"subtype": "ULAW"}),
        ("c.flac", 96_000, {}),
        ("d.mp3", 44_100, {}),
        ("e.ogg", 48_000, {"format": "OGG", "subtype": "OPUS"}),
        ("f.aiff", 22_050, {}),
        ("g.wav", 192_000, {"subtype": "FLOAT"}),
    ],
)
def test_any_usual_file_becomes_mono_at_a_rate_that_is_kept(
    tmp_path: Path, name: str, rate_hz: int, how: dict[str, str]
) -> None:
    sound = np.stack([voiced(4, rate_hz), voiced(4, rate_hz) * 0.5], axis=1)
    recording = read_recording(write(tmp_path / name, sound, rate_hz, **how))
    assert recording.pcm.ndim == 1 and recording.pcm.dtype == np.int16
    assert recording.sample_rate_hz == min(rate_hz, 48_000)
    assert recording.duration_s == pytest.approx(4, abs=0.4)
    spectrum = np.abs(np.fft.rfft(recording.pcm))
    assert np.argmax(spectrum) * recording.sample_rate_hz / len(recording.pcm) == pytest.approx(150, abs=6)
    found = {finding.code for finding in recording.findings}
    assert "mixed" in found
    assert ("low_rate" in found) == (rate_hz < 16_000)


def test_silence_at_the_ends_goes_and_a_margin_stays(tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(48_000), voiced(4), np.zeros(36_000)])
    path = write(tmp_path / "a.wav", sound)
    recording = read_recording(path)
    assert recording.duration_s == pytest.approx(4.0, abs=0.5)
    assert codes(path) == {"trimmed"}
    assert read_recording(path, trim=False).duration_s == pytest.approx(7.5, abs=0.01)


def test_a_part_of_a_long_file_can_be_kept(tmp_path: Path) -> None:
    sound = np.concatenate([voiced(70, pitch=100), voiced(10, pitch=300)])
    path = write(tmp_path / "a.flac", sound)
    with pytest.raises(SpeechError, match=f"longer than {MAX_KEPT_S:.0f} s"):
        read_recording(path)
    recording = read_recording(path, start_s=71, end_s=79)
    spectrum = np.abs(np.fft.rfft(recording.pcm))
    assert np.argmax(spectrum) / recording.duration_s == pytest.approx(300, abs=6)


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (voiced(4), set()),
        (voiced(2), {"too_short"}),
        (voiced(20), {"too_long"}),
        (voiced(4, level=0.01, noise=0.00002), {"quiet"}),
        (np.clip(voiced(4) * 12, -1, 1), {"clipped"}),
        (voiced(4, noise=0.05), {"noisy"}),
    ],
)
def test_what_is_doubtful_is_a_finding(tmp_path: Path, sound: np.ndarray, expected: set[str]) -> None:
    assert codes(write(tmp_path / "a.wav", sound)) - {"trimmed"} == expected


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (np.zeros(96_000), "silent"),
        (voiced(0.5), "recording_too_short"),
        (np.zeros((24_000, 9)), "unreadable_recording"),
        (np.zeros(0), "silent"),
    ],
)
def test_what_is_useless_is_refused(tmp_path: Path, sound: np.ndarray, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        read_recording(write(tmp_path / "a.wav", sound))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"\x00" * 4096, b"ID3" + b"\xff" * 900]
)
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(SpeechError) as caught:
        read_recording(tmp_path / "a.wav")
    assert caught.value.code == "unreadable_recording"


def test_a_small_file_does_not_become_much_memory(tmp_path: Path) -> None:
    """Two hours of silence in a few kilobytes end at the limit."""
    path = write(tmp_path / "a.flac", np.zeros(7200 * 8000, np.int16), 8000)
    assert path.stat().st_size < 200_000
    with pytest.raises(SpeechError) as caught:
        read_recording(path)
    assert caught.value.code == "recording_too_long"
    with pytest.raises(SpeechError) as caught:
        read_recording(path, start_s=7000, end_s=7010)
    assert caught.value.code == "bad_cut"
    with zipfile.ZipFile(tmp_path / "b.wav", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(SpeechError):
        read_recording(tmp_path / "b.wav")
