"""The OpenAI speech API: `POST /v1/audio/speech`, `GET /v1/models`.

Invariants: field names and error objects are OpenAI's, so its client library works unchanged; what we add (emotion,
intensity, language, seed) are further fields; an unknown field is ignored, as other servers of this API do; a long
input is spoken whole or refused, never cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from launcher.frames import EVENT, PCM, Frame
from webui.api.body import read_object
from webui.api.offer import Offer
from webui.api.openai_voices import voice_id
from webui.api.preparation import Preparation, take_wishes
from webui.api.speech import client_of
from webui.audio import MEDIA_TYPES, STREAMED_FORMATS, check_format, encode, wav_header
from webui.engine.base import EngineInfo, SpeechRequest
from webui.engine.request import MAX_EMOTION_TEXT_CHARS
from webui.engine.streaming import StreamedAnswer, begin, while_connected
from webui.synthesis import Synthesis
from webui.text import clean

#: OpenAI's own names for speech models: programs that know no other may keep them.
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
#: The name of whatever engine is loaded.
OWN_MODEL = "tts-launcher"
#: Fields that `SpeechRequest` has under the same name; ``null`` is the same as leaving one out.
_REQUEST_FIELDS = (
    *("speed", "emotion", "intensity", "language", "seed", "reference", "emotion_mode", "emotion_reference"),
    *("emotion_text", "random_emotion", "duration_factor", "glossary", "generation", "markup"),
)
#: Names the fields of a request that had no effect.
IGNORED_HEADER = "X-Ignored-Fields"


def routes(
    synthesis: Synthesis, offer: Offer, preparation: Preparation, *, max_text_chars: int, started_at: float
) -> list[Route]:
    """The routes, over the queue in front of the engine.

    Args:
        synthesis: speaks.
        offer: which voices and models there are.
        preparation: makes the engine's request of a client's, and keeps what is spoken.
        max_text_chars: longest ``input``.
        started_at: seconds since 1970, for the ``created`` of the models.
    """

    async def models(_request: Request) -> Response:
        names = await _model_names(offer)
        return JSONResponse({"object": "list", "data": [_model(name, started_at) for name in names]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        _check_model(name, await _model_names(offer))
        return JSONResponse(_model(name, started_at))

    async def speech(request: Request) -> Response:
        data = await read_object(request)
        info = await offer.info()
        _check_model(data.get("model", OWN_MODEL), [info.name, OWN_MODEL, *OPENAI_MODELS])
        audio_format = _audio_format(data)
        wishes = take_wishes(data)
        wanted = _speech_request(data, info, max_text_chars)
        prepared = await preparation.prepare(wanted, "api", wishes)
        headers = {"Cache-Control": "no-store", **prepared.headers}
        if data.get("instructions") and not wanted.emotion_text:
            headers[IGNORED_HEADER] = "instructions"
        client = client_of(request, "api")
        if audio_format in STREAMED_FORMATS:
            spoken = preparation.recorded(synthesis.speak(prepared.request, client), prepared)
            sound = _streamed(spoken, info, audio_format)
            first = await begin(sound, request.receive)
            return StreamedAnswer(sound, media_type=MEDIA_TYPES[audio_format], headers=headers, first=first)
        frames = preparation.recorded(synthesis.speak(prepared.request, client, buffered=True), prepared)
        body, media_type = await while_connected(request.receive, _whole(frames, info, audio_format))
        return Response(body, media_type=media_type, headers=headers)

    return [
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{name:path}", model, methods=["GET"]),
        Route("/v1/audio/speech", speech, methods=["POST"]),
    ]


def _speech_request(data: dict[str, Any], info: EngineInfo, max_text_chars: int) -> SpeechRequest:
    text = data.get("input")
    if not isinstance(text, str):
        raise SpeechError("input is missing or is not text.", fix="Give input as a string.", param="input")
    fields = {name: data[name] for name in _REQUEST_FIELDS if data.get(name) is not None}
    described = isinstance(data.get("instructions"), str) and "emotion_text" in info.capabilities
    if described and not {"emotion", "emotion_text", "emotion_reference"} & fields.keys():
        fields["emotion_text"] = data["instructions"][:MAX_EMOTION_TEXT_CHARS]
    cleaned = clean(text, max_text_chars)
    return SpeechRequest.from_json({**fields, "text": cleaned, "voice": voice_id(data.get("voice"), info)})


def _audio_format(data: dict[str, Any]) -> str:
    audio_format = data.get("response_format") or "mp3"
    check_format(audio_format)
    if data.get("stream_format") not in (None, "audio"):
        raise SpeechError(
            f"stream_format={data['stream_format']!r:.40} is not available.",
            fix="Use audio, with response_format wav or pcm to get sound while it is made.",
            param="stream_format",
        )
    return str(audio_format)


async def _model_names(offer: Offer) -> list[str]:
    return [(await offer.info()).name, OWN_MODEL, *OPENAI_MODELS]


def _check_model(name: object, names: list[str]) -> None:
    if name not in names:
        raise SpeechError(
            f"model {name!r:.100} is not here.",
            fix=f"Use one of {', '.join(names)}.",
            param="model",
            code="model_not_found",
            http_status=404,
        )


def _model(name: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": "tts-launcher"}


async def _streamed(
    frames: AsyncGenerator[Frame, None], info: EngineInfo, audio_format: str
) -> AsyncGenerator[bytes, None]:
    """The sound as it is made; a WAV header goes with the first of it, so that an early failure is still a status."""
    rate_hz, head = info.sample_rate_hz, audio_format == "wav"
    async with contextlib.aclosing(frames):
        async for frame in frames:
            if frame.kind == EVENT and frame.event.get("event") == "start":
                rate_hz = int(frame.event["sample_rate_hz"])
            elif frame.kind == PCM:
                yield (wav_header(rate_hz) if head else b"") + frame.payload
                head = False
    if head:
        yield wav_header(rate_hz, 0)


async def _whole(frames: AsyncGenerator[Frame, None], info: EngineInfo, audio_format: str) -> tuple[bytes, str]:
    """The whole speech as one file and its media type."""
    rate_hz, pcm = info.sample_rate_hz, bytearray()
    async with contextlib.aclosing(frames):
        async for frame in frames:
            if frame.kind == PCM:
                pcm += frame.payload
            elif frame.event.get("event") == "start":
                rate_hz = int(frame.event["sample_rate_hz"])
                pcm.clear()  # a second start: the engine died, and speaks it all again
    return await asyncio.to_thread(encode, np.frombuffer(bytes(pcm), "<i2"), rate_hz, audio_format)
