"""Length-prefixed frames: how events and PCM travel from the engine to the page and on to a client.

A frame is one byte of kind (``J`` a JSON object, ``P`` signed 16-bit little-endian mono PCM), four bytes of
length (unsigned, big-endian) and the payload. Invariants: nothing is ever unpickled; a frame longer than
`MAX_PAYLOAD_BYTES` is refused before it is buffered; the standard library alone is needed on either side.

The events of one spoken request, in order: ``start`` {sample_rate_hz, segments: [{index, text, language}]},
then per segment ``segment`` {index, text, start_sample} followed by its PCM frames, at most one ``mark`` {index,
findings: [{kind, value, limit, words}], redos, seed} some time after them, any number of ``progress`` {stage, done,
total, ...} and ``queue`` {position} between, and last exactly one of ``end`` {samples, audio_s, synthesis_s, seed,
marked, redos} or ``error`` {message, fix, param, code, http_status}.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

EVENT = b"J"
PCM = b"P"
_HEADER = struct.Struct(">cI")
#: A segment is at most about 30 s of 48 kHz audio (2.9 MB); anything much longer is not ours.
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
MEDIA_TYPE = "application/vnd.tts-launcher.frames"


class FrameError(ValueError):
    """The byte stream is not a stream of frames."""


@dataclass(frozen=True)
class Frame:
    """One frame: ``kind`` is `EVENT` or `PCM`."""

    kind: bytes
    payload: bytes

    @cached_property
    def event(self) -> dict[str, Any]:
        """The JSON object of an event frame; not to be changed.

        Raises:
            FrameError: when this is no event frame or its payload is no JSON object.
        """
        if self.kind != EVENT:
            raise FrameError("a PCM frame holds no event")
        try:
            value = json.loads(self.payload)
        except ValueError as error:
            raise FrameError(f"an event frame holds no JSON: {error}") from None
        if not isinstance(value, dict):
            raise FrameError("an event frame holds JSON that is no object")
        return value

    def encode(self) -> bytes:
        """The frame's bytes, as it travels."""
        return _HEADER.pack(self.kind, len(self.payload)) + self.payload


def encode_event(event: str, **fields: Any) -> bytes:
    """The bytes of an event frame with the given name and fields."""
    payload = json.dumps({"event": event, **fields}, ensure_ascii=False, separators=(",", ":")).encode()
    return _HEADER.pack(EVENT, len(payload)) + payload


def encode_pcm(pcm: bytes) -> bytes:
    """The bytes of a PCM frame; ``pcm`` is signed 16-bit little-endian mono.

    Raises:
        FrameError: when ``pcm`` is longer than `MAX_PAYLOAD_BYTES`.
    """
    if len(pcm) > MAX_PAYLOAD_BYTES:
        raise FrameError(f"{len(pcm)} bytes of PCM exceed one frame's {MAX_PAYLOAD_BYTES}")
    return _HEADER.pack(PCM, len(pcm)) + pcm


class FrameReader:
    """Cuts a byte stream into frames, however the transport split it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes and returns the frames that are now complete.

        Raises:
            FrameError: when a frame's kind is unknown or its length is over the bound.
        """
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            if kind not in (EVENT, PCM) or length > MAX_PAYLOAD_BYTES:
                raise FrameError(f"no frame starts with {bytes(self._buffer[:5])!r}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(kind, bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that has begun and not ended; 0 at a clean end of stream."""
        return len(self._buffer)
