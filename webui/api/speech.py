"""Speech for the page and the command line: `/api/info`, `/api/segments`, `/api/speak`.

Invariants: a body is a `SpeechRequest`'s object; the answer of `/api/speak` is frames, sent as they are made; a client
that goes cancels its request at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.errors import LauncherError
from launcher.frames import MEDIA_TYPE, Frame, encode_event
from webui.api.answers import WHO, describe_error
from webui.api.body import read_object
from webui.api.offer import Offer
from webui.api.preparation import Preparation, Wishes, take_wishes
from webui.engine.base import SpeechRequest
from webui.engine.pool import EnginePool
from webui.engine.streaming import StreamedAnswer, begin
from webui.synthesis import Synthesis
from webui.text import clean


def routes(
    engine: EnginePool,
    synthesis: Synthesis,
    offer: Offer,
    preparation: Preparation,
    *,
    max_text_chars: int,
) -> list[Route]:
    """The routes, over the engine and the queue in front of it."""

    async def info(_request: Request) -> Response:
        return JSONResponse((await offer.info()).to_json(), headers={"Cache-Control": "no-store"})

    async def segments(request: Request) -> Response:
        wanted, wishes = await speech_request(request, max_text_chars)
        prepared = await preparation.prepare(wanted, "page", wishes)
        return JSONResponse({"segments": await engine.segments(prepared.request)})

    async def speak(request: Request) -> Response:
        wanted, wishes = await speech_request(request, max_text_chars)
        prepared = await preparation.prepare(wanted, "page", wishes)
        spoken = synthesis.speak(prepared.request, client_of(request, "page"))
        frames = _encoded(preparation.recorded(spoken, prepared))
        first = await begin(frames, request.receive)
        headers = {"Cache-Control": "no-store", **prepared.headers}
        return StreamedAnswer(frames, media_type=MEDIA_TYPE, headers=headers, first=first)

    return [
        Route("/api/info", info, methods=["GET"]),
        Route("/api/segments", segments, methods=["POST"]),
        Route("/api/speak", speak, methods=["POST"]),
    ]


async def speech_request(request: Request, max_text_chars: int) -> tuple[SpeechRequest, Wishes]:
    """The body as a request with cleaned text, and what is wished of the library.

    Raises:
        SpeechError: naming the first field that is wrong.
    """
    data = await read_object(request)
    text = data.get("text")
    if isinstance(text, str):
        data["text"] = clean(text, max_text_chars)
    wishes = take_wishes(data)
    return SpeechRequest.from_json(data), wishes


def client_of(request: Request, kind: str) -> str:
    """Whose turn a request takes in the queue: its user or address, page and programs apart."""
    who = request.scope.get(WHO) or (request.client.host if request.client else "")
    return f"{who}/{kind}"


async def _encoded(frames: AsyncGenerator[Frame, None]) -> AsyncGenerator[bytes, None]:
    """The frames' bytes; an error before the first is raised, a later one becomes an ``error`` frame."""
    started = False
    async with contextlib.aclosing(frames):
        try:
            async for frame in frames:
                yield frame.encode()
                started = True
        except LauncherError as error:
            if not started:
                raise
            status, param, code, _ = describe_error(error)
            yield encode_event(
                "error", message=error.message, fix=error.fix, param=param, code=code, http_status=status
            )
