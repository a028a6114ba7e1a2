"""The OpenAI speech API: `POST /v1/audio/speech`, `GET /v1/models`, and the list of models that chat programs ask for.

Invariants: field names and error objects are OpenAI's, so its client library works unchanged; a client that goes
cancels its request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.frames import Frame
from webui.api.body import read_object
from webui.api.judged import Judged
from webui.api.offer import Offer
from webui.api.openai_request import Asked, check_model, model_names, read_asked
from webui.api.openai_sound import ALWAYS_PIECEWISE, PIECEWISE_FORMATS, as_events, in_one, in_pieces, whole
from webui.api.preparation import Preparation, take_wishes
from webui.api.speech import client_of
from webui.audio import MEDIA_TYPES
from webui.engine.streaming import StreamedAnswer, begin, while_connected
from webui.synthesis import Synthesis


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
        names = model_names(await offer.info())
        return JSONResponse({"object": "list", "data": [_model(name, started_at) for name in names]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        check_model(name, model_names(await offer.info()), "model")
        return JSONResponse(_model(name, started_at))

    async def audio_models(_request: Request) -> Response:
        names = model_names(await offer.info())
        return JSONResponse({"models": [{"id": name, "name": name} for name in names]})

    async def speech(request: Request) -> Response:
        data = await read_object(request)
        info = await offer.info()
        wishes = take_wishes(data)
        asked = read_asked(data, info, max_text_chars)
        prepared = await preparation.prepare(asked.request, "api", wishes)
        frames = synthesis.speak(prepared.request, client_of(request, "api"), buffered=not _goes_in_pieces(asked))
        spoken = preparation.recorded(frames, prepared)
        headers = {"Cache-Control": "no-store", **prepared.headers, **asked.headers}
        return await _answer(request, asked, spoken, info.sample_rate_hz, headers)

    return [
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{name:path}", model, methods=["GET"]),
        Route("/v1/audio/models", audio_models, methods=["GET"]),
        Route("/v1/audio/speech", speech, methods=["POST"]),
    ]


async def _answer(
    request: Request, asked: Asked, spoken: AsyncGenerator[Frame, None], rate_hz: int, headers: dict[str, str]
) -> Response:
    """The speech in the form that was asked for."""
    audio_format, as_sse = asked.audio_format, asked.stream_format == "sse"
    in_parts = _goes_in_pieces(asked)
    if not (in_parts or as_sse):
        judged = Judged()
        sound = whole(judged.frames(spoken), rate_hz, audio_format)
        body, media_type = await while_connected(request.receive, sound)
        return Response(body, media_type=media_type, headers={**headers, **judged.headers})
    pieces = (in_pieces if in_parts else in_one)(spoken, rate_hz, audio_format)
    media_type = MEDIA_TYPES[audio_format]
    if as_sse:
        pieces, media_type = as_events(pieces, len(asked.request.text)), "text/event-stream"
        headers["X-Accel-Buffering"] = "no"
    first = await begin(pieces, request.receive)
    return StreamedAnswer(pieces, media_type=media_type, headers=headers, first=first)


def _goes_in_pieces(asked: Asked) -> bool:
    return asked.audio_format in (PIECEWISE_FORMATS if asked.stream_format else ALWAYS_PIECEWISE)


def _model(name: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": "tts-launcher"}
