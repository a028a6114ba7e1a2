"""From an uploaded file to a recording of a voice: mono, without silence at its ends, with what is wrong with it.

Invariants: a file is decoded in blocks and no further than its limits, so that a small file cannot become a large
amount of memory; the level is never changed; whatever is doubtful is a finding, whatever makes it useless an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, gcd
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from launcher.errors import SpeechError
from webui.audio import Pcm, resample
from webui.quality.levels import CLIPPED_SHARE, FULL_SCALE
from webui.quality.sound import FLOOR_DBFS, SILENCE_BELOW_DB, SILENCE_DBFS

#: What libsndfile calls the containers of WAV, FLAC, MP3, Ogg (Vorbis, Opus) and AIFF.
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "MPEG", "OGG", "AIFF")
#: How far into a file a cut may lie, and how much of it may be kept, in seconds.
MAX_SOURCE_S, MAX_KEPT_S = 1800.0, 60.0
#: Shortest recording with a voice in it, and the range that the engines' authors recommend, in seconds.
MIN_S, GOOD_S = 1.0, (3.0, 15.0)
MAX_CHANNELS = 8
#: Rates that are read; the engines compute at 16,000 to 24,000 Hz, so nothing above the last one is kept.
RATES_HZ, KEPT_RATE_HZ = (8_000, 192_000), 48_000
#: Rates above which a ratio of two rates makes a filter of unreasonable length (44,100 to 48,000 has 160).
MAX_RATIO = 2_000
LOW_RATE_HZ = 16_000
#: What is left of the silence at each end, so that no breath or consonant is cut.
MARGIN_S = 0.15
FRAME_S = 0.02
#: Speech quieter than this is near the noise of ordinary microphones; recordings are usually made at -30 to -15.
QUIET_DBFS = -36.0
#: Speech less far above the pauses' noise is heard as noisy, and a clone takes the noise over.
NOISY_DB = 18.0
_BLOCK_FRAMES = 65_536

_Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Finding:
    """Something that a person should know about a recording.

    Attributes:
        code: ``too_short``, ``too_long``, ``quiet``, ``clipped``, ``noisy``, ``low_rate``, ``trimmed`` or ``mixed``.
        severity: ``warning`` (clones will suffer) or ``note``.
        value: the number behind it.
        message: one sentence.
    """

    code: str
    severity: str
    value: float
    message: str


@dataclass(frozen=True)
class VoiceRecording:
    """A recording, ready to be kept.

    Attributes:
        pcm: shape (samples,), int16, mono.
        level_dbfs: RMS of the speech; ``peak_dbfs``: the largest sample; ``noise_dbfs``: RMS of the pauses.
    """

    pcm: Pcm
    sample_rate_hz: int
    level_dbfs: float
    peak_dbfs: float
    noise_dbfs: float
    findings: tuple[Finding, ...]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.pcm) / self.sample_rate_hz


def read_recording(
    path: Path, *, start_s: float = 0.0, end_s: float | None = None, trim: bool = True
) -> VoiceRecording:
    """Reads an uploaded file.

    Args:
        path: the file; its name says nothing.
        start_s, end_s: the part to keep, in seconds; ``None``: until the end.
        trim: whether silence at both ends goes.

    Raises:
        SpeechError: when it is no sound file, or no voice can be had from it.
    """
    samples, rate_hz, channels = _decode(path, start_s, end_s)
    levels = _frame_levels(samples, rate_hz)
    loudest = float(levels.max(initial=FLOOR_DBFS))
    if loudest < SILENCE_DBFS:
        raise _refused("The recording is silent.", "Check the microphone and record again.", "silent")
    threshold = max(loudest - SILENCE_BELOW_DB, SILENCE_DBFS)
    speech = np.flatnonzero(levels >= threshold)
    first, last = 0, len(samples)
    if trim:
        frame, margin = round(FRAME_S * rate_hz), round(MARGIN_S * rate_hz)
        first = max(0, int(speech[0]) * frame - margin)
        last = min(len(samples), (int(speech[-1]) + 1) * frame + margin)
    removed_s = (len(samples) - (last - first)) / rate_hz
    samples = samples[first:last]
    duration_s = len(samples) / rate_hz
    if duration_s < MIN_S:
        raise _refused(f"The recording lasts {duration_s:.1f} s.", "Use one of 3 to 15 s.", "recording_too_short")
    level_dbfs = _db(float(np.sqrt(np.mean(np.square(10.0 ** (levels[speech] / 20))))))
    noise_dbfs = float(np.percentile(levels, 5))
    peak = float(np.abs(samples).max())
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    kept_hz = min(rate_hz, KEPT_RATE_HZ)
    findings = [
        *_length_findings(duration_s, removed_s),
        *_sound_findings(level_dbfs, noise_dbfs, clipped),
        *_format_findings(rate_hz, channels),
    ]
    pcm = resample(pcm, rate_hz, kept_hz)
    return VoiceRecording(
        pcm, kept_hz, round(level_dbfs, 1), round(_db(peak), 1), round(noise_dbfs, 1), tuple(findings)
    )


def _decode(path: Path, start_s: float, end_s: float | None) -> tuple[_Samples, int, int]:
    """The samples from ``start_s`` to ``end_s``, mixed to mono; rate; channels."""
    import soundfile

    _check_cut(start_s, end_s)
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, channels = int(file.samplerate), int(file.channels)
            if file.format not in FORMATS:
                raise _unreadable()
            _check_shape(rate_hz, channels)
            return _read_cut(file, rate_hz, start_s, end_s), rate_hz, channels
    except (RuntimeError, OSError, ValueError) as error:  # soundfile's own errors are RuntimeErrors
        raise _unreadable() from error


def _read_cut(file: Any, rate_hz: int, start_s: float, end_s: float | None) -> _Samples:
    skip = round(start_s * rate_hz)
    wanted = ceil(MAX_KEPT_S * rate_hz) + 1 if end_s is None else round((end_s - start_s) * rate_hz)
    blocks: list[_Samples] = []
    have = 0
    while have < wanted:
        block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        if not len(block):
            break
        dropped = min(skip, len(block))
        skip -= dropped
        mono = block[dropped:].mean(axis=1)[: wanted - have]
        blocks.append(np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0))
        have += len(mono)
    if end_s is None and have >= wanted:
        raise _refused(
            f"The recording is longer than {MAX_KEPT_S:.0f} s.",
            "Use one of 3 to 15 s, or give start_s and end_s of the part to keep.",
            "recording_too_long",
        )
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _check_cut(start_s: float, end_s: float | None) -> None:
    end = start_s + MAX_KEPT_S if end_s is None else end_s
    if not (0.0 <= start_s < end <= MAX_SOURCE_S + MAX_KEPT_S and end - start_s <= MAX_KEPT_S):
        raise _refused(
            f"start_s={start_s:g} and end_s={end:g} are no part of a recording that can be kept.",
            f"Keep at most {MAX_KEPT_S:.0f} s out of the first {MAX_SOURCE_S / 60:.0f} minutes.",
            "bad_cut",
        )


def _check_shape(rate_hz: int, channels: int) -> None:
    low, high = RATES_HZ
    if not low <= rate_hz <= high or channels > MAX_CHANNELS:
        raise _refused(
            f"The recording has {rate_hz} Hz and {channels} channels.",
            f"Use {low} to {high} Hz and at most {MAX_CHANNELS} channels.",
            "unreadable_recording",
        )
    if rate_hz > KEPT_RATE_HZ and KEPT_RATE_HZ // gcd(rate_hz, KEPT_RATE_HZ) > MAX_RATIO:
        raise _refused(f"The recording has the odd rate {rate_hz} Hz.", "Use 48000 Hz.", "unreadable_recording")


def _frame_levels(samples: _Samples, rate_hz: int) -> npt.NDArray[np.float64]:
    """dBFS of each frame of `FRAME_S`."""
    frame = round(FRAME_S * rate_hz)
    count = len(samples) // frame
    if not count:
        return np.zeros(0)
    power = np.mean(np.square(samples[: count * frame].reshape(count, frame), dtype=np.float64), axis=1)
    levels: npt.NDArray[np.float64] = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DBFS)
    return levels


def _length_findings(duration_s: float, removed_s: float) -> list[Finding]:
    low, high = GOOD_S
    found = []
    if duration_s < low:
        message = f"It lasts {duration_s:.1f} s; {low:.0f} to {high:.0f} s give a better likeness."
        found.append(Finding("too_short", "warning", round(duration_s, 2), message))
    if duration_s > high:
        message = f"It lasts {duration_s:.1f} s; engines use the first {high:.0f} s."
        found.append(Finding("too_long", "warning", round(duration_s, 2), message))
    if removed_s >= 0.05:
        message = f"{removed_s:.1f} s of silence at its ends were cut off."
        found.append(Finding("trimmed", "note", round(removed_s, 2), message))
    return found


def _sound_findings(level_dbfs: float, noise_dbfs: float, clipped: float) -> list[Finding]:
    found = []
    if level_dbfs < QUIET_DBFS:
        message = f"It is quiet ({level_dbfs:.0f} dBFS); record closer to the microphone."
        found.append(Finding("quiet", "warning", round(level_dbfs, 1), message))
    if clipped > CLIPPED_SHARE:
        message = f"{clipped:.2%} of it is clipped; record with a lower level."
        found.append(Finding("clipped", "warning", round(clipped, 5), message))
    distance_db = level_dbfs - noise_dbfs
    if distance_db < NOISY_DB:
        message = f"Speech is only {distance_db:.0f} dB above the noise; record in a quiet room, without music."
        found.append(Finding("noisy", "warning", round(distance_db, 1), message))
    return found


def _format_findings(rate_hz: int, channels: int) -> list[Finding]:
    found = []
    if rate_hz < LOW_RATE_HZ:
        found.append(Finding("low_rate", "warning", rate_hz, f"{rate_hz} Hz is telephone quality."))
    if channels > 1:
        found.append(Finding("mixed", "note", channels, f"Its {channels} channels were mixed to one."))
    return found


def _db(amplitude: float) -> float:
    return max(20.0 * float(np.log10(max(amplitude, 1e-6))), FLOOR_DBFS)


def _unreadable() -> SpeechError:
    return _refused("The file is no sound file that can be read.", "Use WAV, FLAC, MP3 or OGG.", "unreadable_recording")


def _refused(message: str, fix: str, code: str) -> SpeechError:
    return SpeechError(message, fix=fix, param="recording", code=code)
