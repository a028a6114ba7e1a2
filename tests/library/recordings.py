"""Recordings for tests: something with the levels of speech, as a file of any shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from webui.library.library import Library
from webui.library.recordings import read_recording
from webui.library.voices import StoredVoice


def voiced(
    seconds: float = 4.0, rate_hz: int = 24_000, *, level: float = 0.25, noise: float = 0.0005, pitch: float = 150.0
) -> Any:
    """Bursts of a tone with pauses between them, over a little noise; shape (samples,), float."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    bursts = (np.sin(2 * np.pi * 1.3 * at) > -0.4) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    hiss = np.random.default_rng(7).normal(0.0, noise, at.size)
    return level * bursts * np.sin(2 * np.pi * pitch * at) + hiss


def write(path: Path, samples: Any, rate_hz: int = 24_000, **how: Any) -> Path:
    """A sound file; ``how`` goes to soundfile."""
    soundfile.write(path, samples, rate_hz, **how)
    return path


def add_voice(library: Library, folder: Path, name: str, pitch: float = 150.0, **given: Any) -> StoredVoice:
    """A voice of the library; another pitch is another recording."""
    path = write(folder / "given.wav", voiced(3.5, pitch=pitch))
    return library.voices.add(read_recording(path), {"name": name, **given})[0]
