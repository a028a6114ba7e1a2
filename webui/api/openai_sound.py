"""Speech as OpenAI's API sends it: whole files, files while they are made, and events that carry pieces of one.

Invariants: an error before the first sound is raised; after it a file breaks off (nobody takes half of one for a whole)
and events end with an error; what an encoder holds back goes out at the end.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncGenerator
from typing import Protocol

import numpy as np

from launcher.errors import LauncherError
from launcher.frames import EVENT, PCM, Frame
from webui.api.answers import describe_error, openai_error
from webui.audio import Resampler, encode, rate_in, wav_header

#: Formats that can be sent while the speech is made, and those of them that every request gets so: a compressed file
#: is made at once where nobody asks for pieces, because then an engine that dies is not noticed.
PIECEWISE_FORMATS = ("wav", "pcm", "mp3", "opus")
ALWAYS_PIECEWISE = ("wav", "pcm")
#: libsndfile's container, codec and compression. MP3 at a constant rate (80 kbit/s at 24 kHz): the header with the
#: length is written at the end, when it has gone, and players then reckon the length from the rate.
_SOUNDFILE = {"mp3": ("MP3", "MPEG_LAYER_III", 0.5), "opus": ("OGG", "OPUS", None)}


class _Encoder(Protocol):
    def feed(self, pcm: bytes) -> bytes:
        """What can be sent after these samples."""

    def finish(self) -> bytes:
        """What is left."""


class _Bare:
    """WAV and bare PCM; a WAV header goes with the first samples."""

    def __init__(self, header: bytes, empty: bytes) -> None:
        self._header, self._empty = header, empty

    def feed(self, pcm: bytes) -> bytes:
        header, self._header, self._empty = self._header, b"", b""
        return header + pcm

    def finish(self) -> bytes:
        return self._empty


class _Compressed:
    """What libsndfile has written so far."""

    def __init__(self, audio_format: str, sample_rate_hz: int) -> None:
        import soundfile

        container, codec, level = _SOUNDFILE[audio_format]
        mode = {} if level is None else {"bitrate_mode": "CONSTANT", "compression_level": level}
        self._buffer = io.BytesIO()
        self._file = soundfile.SoundFile(self._buffer, "w", sample_rate_hz, 1, subtype=codec, format=container, **mode)
        self._block = sample_rate_hz
        self._sent = 0

    def feed(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2")
        # In blocks: libsndfile's Opus encoder overflows its stack when it gets minutes of sound at once.
        for start in range(0, len(samples), self._block):
            self._file.write(samples[start : start + self._block])
        return self._new()

    def finish(self) -> bytes:
        self._file.close()
        return self._new()

    def _new(self) -> bytes:
        data = bytes(self._buffer.getbuffer()[self._sent :])
        self._sent += len(data)
        return data


class _Converted:
    """What another encoder makes of the sound at a rate that its format can carry."""

    def __init__(self, encoder: _Encoder, from_hz: int, to_hz: int) -> None:
        self._encoder, self._resampler = encoder, Resampler(from_hz, to_hz)

    def feed(self, pcm: bytes) -> bytes:
        return self._encoder.feed(self._resampler.feed(np.frombuffer(pcm, "<i2")).tobytes())

    def finish(self) -> bytes:
        return self._encoder.feed(self._resampler.finish().tobytes()) + self._encoder.finish()


def _encoder(audio_format: str, sample_rate_hz: int) -> _Encoder:
    target_hz = rate_in(audio_format, sample_rate_hz)
    if target_hz != sample_rate_hz:
        return _Converted(_encoder(audio_format, target_hz), sample_rate_hz, target_hz)
    if audio_format == "pcm":
        return _Bare(b"", b"")
    if audio_format == "wav":
        return _Bare(wav_header(sample_rate_hz), wav_header(sample_rate_hz, 0))
    return _Compressed(audio_format, sample_rate_hz)


async def in_pieces(
    frames: AsyncGenerator[Frame, None], sample_rate_hz: int, audio_format: str
) -> AsyncGenerator[bytes, None]:
    """The sound as it is made.

    Args:
        frames: of one request.
        sample_rate_hz: until a ``start`` says another.
        audio_format: one of `PIECEWISE_FORMATS`.
    """
    encoder: _Encoder | None = None
    async with contextlib.aclosing(frames):
        async for frame in frames:
            if frame.kind == EVENT and frame.event.get("event") == "start":
                sample_rate_hz = int(frame.event["sample_rate_hz"])
            elif frame.kind == PCM:
                encoder = encoder or _encoder(audio_format, sample_rate_hz)
                data = await _fed(encoder, frame.payload)
                if data:
                    yield data
    data = (encoder or _encoder(audio_format, sample_rate_hz)).finish()
    if data:
        yield data


async def whole(frames: AsyncGenerator[Frame, None], sample_rate_hz: int, audio_format: str) -> tuple[bytes, str]:
    """The whole speech as one file and its media type."""
    pcm = bytearray()
    async with contextlib.aclosing(frames):
        async for frame in frames:
            if frame.kind == PCM:
                pcm += frame.payload
            elif frame.event.get("event") == "start":
                sample_rate_hz = int(frame.event["sample_rate_hz"])
                pcm.clear()  # a second start: the engine died, and speaks it all again
    return await asyncio.to_thread(encode, np.frombuffer(bytes(pcm), "<i2"), sample_rate_hz, audio_format)


async def in_one(
    frames: AsyncGenerator[Frame, None], sample_rate_hz: int, audio_format: str
) -> AsyncGenerator[bytes, None]:
    """The whole speech as the only piece."""
    yield (await whole(frames, sample_rate_hz, audio_format))[0]


async def as_events(pieces: AsyncGenerator[bytes, None], characters: int) -> AsyncGenerator[bytes, None]:
    """Server-sent events: ``speech.audio.delta`` for each piece of the file, then ``speech.audio.done``.

    Args:
        pieces: of one file.
        characters: of the text; told as the tokens that went in, because no engine here counts any.
    """
    heard = False
    async with contextlib.aclosing(pieces):
        try:
            async for piece in pieces:
                heard = True
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
        except LauncherError as error:
            if not heard:
                raise
            status, param, code, _ = describe_error(error)
            yield _event({"type": "error", **openai_error(status, error.message, error.fix, param, code)})
            return
    usage = {"input_tokens": characters, "output_tokens": 0, "total_tokens": characters}
    yield _event({"type": "speech.audio.done", "usage": usage})


async def _fed(encoder: _Encoder, pcm: bytes) -> bytes:
    """Compressing takes time; what is only copied is not worth a thread."""
    return encoder.feed(pcm) if isinstance(encoder, _Bare) else await asyncio.to_thread(encoder.feed, pcm)


def _event(value: dict[str, object]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()
