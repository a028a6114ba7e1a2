"""`POST /api/encode`: sound that a browser holds, as a file with everything in it that made it.

The body is frames (`launcher/frames.py`): an event ``take`` with ``sample_rate_hz``, ``format``, ``take`` (what made
it) and perhaps ``loudness_lufs``, then PCM. A browser has takes that no server has: spliced ones, yesterday's.

Invariants: nothing is kept; what the browser says of a take goes into the file as it stands (JSON, deflated, in
base64: no container changes that); the work is done in a thread.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launcher.errors import SpeechError
from launcher.frames import PCM, FrameError, FrameReader
from webui.api.threads import in_slow_thread
from webui.audio import Pcm, check_format, encode
from webui.loudness import LUFS_RANGE, normalise

PATH = "/api/encode"
#: An hour and a half of 24 kHz speech.
MAX_BODY_BYTES = 256 * 1024 * 1024
#: Stands before the object inside a file, `END` behind it; the page looks for them in a file that is dropped.
MARK, END = "tts-launcher-take:", ";"
#: libsndfile's Opus writer drops a longer comment without a word (54,000 are too many, 48,000 are not).
MAX_COMMENT_CHARS = 48_000
_RATES_HZ = (8_000, 192_000)


def routes() -> list[Route]:
    """The route."""

    async def encode_take(request: Request) -> Response:
        body = await request.body()
        content, media_type = await in_slow_thread(request, _encoded, body)
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-store"})

    return [Route(PATH, encode_take, methods=["POST"])]


def comment(take: dict[str, Any]) -> str:
    """What stands inside a file about the take it holds; `static/js/takefile.js` writes and reads the same."""
    packed = zlib.compress(json.dumps(take, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(), 9)
    return MARK + base64.b64encode(packed).decode("ascii") + END


def _encoded(body: bytes) -> tuple[bytes, str]:
    event, pcm = _read(body)
    audio_format, rate_hz, target = event.get("format"), event.get("sample_rate_hz"), event.get("loudness_lufs")
    check_format(audio_format)
    assert isinstance(audio_format, str)
    if not isinstance(rate_hz, int) or not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
        raise SpeechError(f"sample_rate_hz={rate_hz!r:.40} is not a rate of speech.", param="sample_rate_hz")
    if target is not None:
        low, high = LUFS_RANGE
        if not isinstance(target, (int, float)) or isinstance(target, bool) or not low <= target <= high:
            raise SpeechError(
                f"loudness_lufs={target!r:.40} is not a number from {low:g} to {high:g}.", param="loudness_lufs"
            )
        pcm = normalise(pcm, rate_hz, float(target))
    take = event.get("take")
    return encode(pcm, rate_hz, audio_format, comment=_comment(take))


def _comment(take: object) -> str:
    if take is None:
        return ""
    if not isinstance(take, dict):
        raise SpeechError("take is no object.", param="take")
    try:
        words = comment(take)
    except ValueError:
        raise SpeechError("take holds what JSON has not.", param="take") from None
    if len(words) > MAX_COMMENT_CHARS:
        raise SpeechError("take says more than a file can hold.", fix="Leave something out of it.", param="take")
    return words


def _read(body: bytes) -> tuple[dict[str, Any], Pcm]:
    """The event and the samples.

    Raises:
        SpeechError: when the body is not a take in frames.
    """
    reader = FrameReader()
    try:
        frames = reader.feed(body)
        event = frames[0].event if frames and frames[0].kind != PCM else {}
    except (FrameError, ValueError):
        frames, event = [], {}
    if event.get("event") != "take" or reader.pending_bytes or any(frame.kind != PCM for frame in frames[1:]):
        raise SpeechError(
            "The body is not a take in frames.",
            fix="Send an event named take, then PCM.",
            code="malformed_frames",
        )
    data = b"".join(frame.payload for frame in frames[1:])
    if len(data) % 2:
        raise SpeechError("The sound has half a sample.", code="malformed_frames")
    return event, np.frombuffer(data, "<i2").astype(np.int16)
