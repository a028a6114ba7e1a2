"""Speech as files: WAV, FLAC, MP3, Opus and bare PCM.

Invariants: sound goes in as int16 mono and is never normalised, so a whisper stays a whisper; soundfile is imported
when a format needs it, not before.
"""

from __future__ import annotations

import io
import struct
from math import gcd

import numpy as np
import numpy.typing as npt

from launcher.errors import SpeechError

Pcm = npt.NDArray[np.int16]

#: Format -> media type; the names are those of the OpenAI speech API.
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
#: What a file with a comment says it was made with.
SOFTWARE = "tts-launcher"
#: libsndfile's container and codec for each format that it encodes.
_SOUNDFILE = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
#: The sample rates of RFC 6716, section 2.
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
#: The sample rates of MPEG-1, MPEG-2 and MPEG-2.5 layer III.
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: Bare samples say nothing of their rate, so programs take it for that of OpenAI's.
PCM_RATE_HZ = 24_000
#: What each format can carry, where that is not every rate.
RATES_HZ = {"opus": OPUS_RATES_HZ, "mp3": MP3_RATES_HZ, "pcm": (PCM_RATE_HZ,)}
#: Samples that are converted at once.
_BLOCK_SAMPLES = 1 << 18
#: What a WAV header says when the length is not known yet; every common player then reads to the end.
_UNKNOWN_SIZE = 0xFFFFFFFF


def encode(pcm: Pcm, sample_rate_hz: int, audio_format: str, *, comment: str = "") -> tuple[bytes, str]:
    """Speech as one file.

    Args:
        pcm: shape (samples,), int16, mono.
        sample_rate_hz: of ``pcm``; converted when the format cannot carry it.
        audio_format: a key of `MEDIA_TYPES`.
        comment: ASCII, kept inside the file where the format has a place for it (every one but ``pcm``).

    Returns:
        The file's bytes and its media type.

    Raises:
        SpeechError: when the format is not known.
    """
    check_format(audio_format)
    media_type = MEDIA_TYPES[audio_format]
    target_hz = rate_in(audio_format, sample_rate_hz)
    pcm, sample_rate_hz = resample(pcm, sample_rate_hz, target_hz), target_hz
    data = pcm.astype("<i2", copy=False).tobytes()
    if audio_format == "pcm":
        return data, media_type
    if audio_format == "wav":
        return _wav(data, sample_rate_hz, comment), media_type
    import soundfile

    container, codec = _SOUNDFILE[audio_format]
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate_hz, 1, subtype=codec, format=container) as file:
        if comment:
            file.comment = comment
            file.software = SOFTWARE
        # In blocks: libsndfile's Opus encoder overflows its stack when it gets minutes of sound at once.
        for start in range(0, len(pcm), sample_rate_hz):
            file.write(pcm[start : start + sample_rate_hz])
    return buffer.getvalue(), media_type


def _wav(data: bytes, sample_rate_hz: int, comment: str) -> bytes:
    """A WAV file; the comment is a ``LIST``/``INFO`` chunk behind the samples."""
    if not comment:
        return wav_header(sample_rate_hz, len(data)) + data
    entries = b"INFO"
    for name, words in ((b"ISFT", SOFTWARE), (b"ICMT", comment)):
        value = words.encode("ascii") + b"\0"
        entries += struct.pack("<4sI", name, len(value)) + value + b"\0" * (len(value) % 2)
    chunk = struct.pack("<4sI", b"LIST", len(entries)) + entries
    header = bytearray(wav_header(sample_rate_hz, len(data)))
    struct.pack_into("<I", header, 4, 36 + len(data) + len(chunk))
    return bytes(header) + data + chunk


def check_format(audio_format: object) -> None:
    """Checks that a format can be made.

    Raises:
        SpeechError: naming the formats that can.
    """
    if not isinstance(audio_format, str) or audio_format not in MEDIA_TYPES:
        raise SpeechError(
            f"response_format={audio_format!r:.40} is not available.",
            fix=f"Use one of {', '.join(MEDIA_TYPES)}.",
            param="response_format",
            code="unsupported_format",
        )


def wav_header(sample_rate_hz: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before the samples of a mono 16-bit WAV file.

    Args:
        sample_rate_hz: samples per second.
        data_bytes: length of the samples; ``None`` when it is not known yet (the sizes are then the largest possible,
            which players take as "until the end").
    """
    size = _UNKNOWN_SIZE if data_bytes is None or data_bytes > _UNKNOWN_SIZE - 36 else data_bytes
    riff_size = _UNKNOWN_SIZE if size == _UNKNOWN_SIZE else size + 36
    head = struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE")
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, sample_rate_hz * 2, 2, 16)
    return head + chunk + struct.pack("<4sI", b"data", size)


def rate_in(audio_format: str, sample_rate_hz: int) -> int:
    """The sample rate that sound of this rate gets in a format: the nearest one above that the format can carry."""
    rates_hz = RATES_HZ.get(audio_format, (sample_rate_hz,))
    return min((rate for rate in rates_hz if rate >= sample_rate_hz), default=rates_hz[-1])


def resample(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """The same sound at another sample rate.

    Args:
        pcm: shape (samples,), int16.
        from_hz, to_hz: sample rates.

    Returns:
        int16 samples, round(samples * to_hz / from_hz) of them.
    """
    if from_hz == to_hz or not len(pcm):
        return pcm
    resampler = Resampler(from_hz, to_hz)
    # In blocks: the filter needs fifty times the memory of what it works on.
    blocks = [resampler.feed(pcm[start : start + _BLOCK_SAMPLES]) for start in range(0, len(pcm), _BLOCK_SAMPLES)]
    return np.concatenate([*blocks, resampler.finish()])


class Resampler:
    """Converts sound as it comes, by a windowed-sinc polyphase filter; pieces give the same samples as the whole.

    Args:
        from_hz, to_hz: sample rates.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // divisor, from_hz // divisor
        # 16 zero crossings on each side with a Kaiser window of beta 8: about 80 dB of stop band, beyond int16's noise.
        wide = max(self._up, self._down)
        self._half = 16 * wide
        taps = np.arange(-self._half, self._half + 1)
        kernel = np.sinc(taps / wide) * np.kaiser(2 * self._half + 1, 8.0)
        self._kernel = kernel * (self._up / kernel.sum())
        self._reach = 2 * self._half // self._up + 1
        # What came, from the sample with this number on; before the first one there is silence.
        self._input = np.zeros(self._reach)
        self._begin = -self._reach
        self._received = self._made = 0

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples that can be had after these."""
        self._received += len(pcm)
        self._input = np.concatenate([self._input, pcm.astype(np.float64)])
        return self._make_to((self._received * self._up - self._half - 1) // self._down + 1)

    def finish(self) -> Pcm:
        """What is left."""
        self._input = np.concatenate([self._input, np.zeros(self._reach + 1)])
        return self._make_to(round(self._received * self._up / self._down))

    def _make_to(self, end: int) -> Pcm:
        """The samples up to the one with the number ``end``."""
        if end <= self._made:
            return np.zeros(0, np.int16)
        positions = np.arange(self._made, end, dtype=np.int64) * self._down + self._half
        phase, last = positions % self._up, positions // self._up - self._begin
        result = np.zeros(len(positions))
        for step in range(self._reach):
            tap = phase + step * self._up
            weight = np.where(tap <= 2 * self._half, self._kernel[np.minimum(tap, 2 * self._half)], 0.0)
            result += weight * self._input[np.minimum(last - step, len(self._input) - 1)]
        self._made = end
        used = (end * self._down + self._half) // self._up - self._reach - self._begin
        if used > 0:
            self._input, self._begin = self._input[used:], self._begin + used
        converted: Pcm = np.clip(np.rint(result), -32768, 32767).astype(np.int16)
        return converted
