"""The engine's HTTP: `/health`, `/info`, `/segments`, `/readings`, `/speak`, `/load`, `/unload`.

Invariants: every answer that is not speech is JSON; an error is one sentence and a fix, never a traceback; a dropped
`/speak` cancels its request; a token, where there is one, is needed for every route.
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from launcher.errors import ENGINE_ERROR, EngineError, LauncherError, SpeechError
from launcher.frames import MEDIA_TYPE, encode_event
from webui.engine.holder import EngineHolder, EngineLoadingError
from webui.engine.streaming import GONE_STATUS, ClientGoneError, StreamedAnswer, begin

if TYPE_CHECKING:
    from webui.engine.base import SpeechRequest

_log = logging.getLogger(__name__)
_Endpoint = Callable[[Request], Awaitable[Response]]

#: Seconds after which a client should ask again while the engine loads. The official OpenAI client asks three times in
#: all, so twice this long must cover a start of the embedded engine (3 to 8 s).
RETRY_AFTER_S = 5


def create_service(holder: EngineHolder, token: str = "") -> ASGIApp:
    """The ASGI application around one engine.

    Args:
        holder: the engine; whoever creates the service also loads it.
        token: secret that every request must bring as ``Authorization: Bearer``; empty on a Unix socket.
    """

    async def health(_request: Request) -> Response:
        return JSONResponse(describe(holder))

    async def info(_request: Request) -> Response:
        if holder.info is None:
            raise holder.error or EngineLoadingError()
        return JSONResponse(holder.info.to_json())

    async def speak(request: Request) -> Response:
        frames = _with_error_frame(holder.speak(await _speech_request(request)))
        first = await begin(frames, request.receive)
        return StreamedAnswer(frames, media_type=MEDIA_TYPE, first=first)

    async def load(_request: Request) -> Response:
        await holder.load()
        return JSONResponse(describe(holder))

    async def unload(_request: Request) -> Response:
        await holder.unload()
        return JSONResponse(describe(holder))

    router = Router(
        [
            Route("/health", _answering(holder, health), methods=["GET"]),
            Route("/info", _answering(holder, info), methods=["GET"]),
            *_text_routes(holder),
            Route("/speak", _answering(holder, speak), methods=["POST"]),
            Route("/load", _answering(holder, load), methods=["POST"]),
            Route("/unload", _answering(holder, unload), methods=["POST"]),
        ]
    )
    return _TokenGate(router, token) if token else router


def _text_routes(holder: EngineHolder) -> list[Route]:
    """What is asked about a text before it is spoken."""

    async def segments(request: Request) -> Response:
        found = await holder.segments(await _speech_request(request))
        return JSONResponse({"segments": found})

    async def readings(request: Request) -> Response:
        from dataclasses import asdict

        wanted = await _speech_request(request)
        found = await holder.readings(wanted.text, wanted.language)
        return JSONResponse({"readings": [asdict(reading) for reading in found]})

    return [
        Route("/segments", _answering(holder, segments), methods=["POST"]),
        Route("/readings", _answering(holder, readings), methods=["POST"]),
    ]


def describe(holder: EngineHolder) -> dict[str, Any]:
    """`/health`'s object."""
    error = holder.error
    return {
        "state": holder.state,
        "engine": holder.name,
        "pid": os.getpid(),
        "progress": holder.progress.to_json() if holder.progress else None,
        "error": {"message": error.message, "fix": error.fix} if error else None,
        "busy": holder.busy,
        "resident_bytes": resident_bytes(),
    }


def error_object(error: LauncherError) -> dict[str, Any]:
    """The JSON form of an error, as answers and ``error`` frames carry it."""
    if isinstance(error, SpeechError):
        extra = {"param": error.param, "code": error.code, "http_status": error.http_status}
    else:
        code = error.code if isinstance(error, EngineError) else ENGINE_ERROR
        if isinstance(error, EngineLoadingError):
            code = "engine_loading"
        extra = {"param": "", "code": code, "http_status": _status(error)}
    return {"message": error.message, "fix": error.fix, **extra}


def resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not tell without a further package."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError, IndexError):
        return 0


def _status(error: LauncherError) -> int:
    if isinstance(error, SpeechError):
        return error.http_status
    return 503 if isinstance(error, EngineError) else 500


def _answering(holder: EngineHolder, endpoint: _Endpoint) -> _Endpoint:
    """The endpoint with every error turned into its answer."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientGoneError:
            return Response(status_code=GONE_STATUS)
        except LauncherError as error:
            headers = {}
            if isinstance(error, EngineLoadingError):
                headers["Retry-After"] = str(retry_after_s(holder.progress.eta_s if holder.progress else None))
            return JSONResponse({"error": error_object(error)}, status_code=_status(error), headers=headers)

    return answer


def retry_after_s(eta_s: float | None) -> int:
    """Whole seconds for a Retry-After header, from an estimate of the present stage that may be missing."""
    return max(RETRY_AFTER_S, min(30, math.ceil(eta_s or 0)))


async def _speech_request(request: Request) -> SpeechRequest:
    from webui.engine.base import SpeechRequest
    from webui.text import clean

    try:
        data = json.loads(await request.body())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise SpeechError("The body is not a JSON object.", fix="Send a SpeechRequest as JSON.", code="malformed_json")
    text = data.get("text")
    if isinstance(text, str):
        # The page has cleaned it and knows its limit; the command line's private engine gets it as it was typed.
        # Normalising may lengthen a character fourfold at most in what people write; there is no limit of our own.
        data["text"] = clean(text, 4 * len(text) + 1)
    return SpeechRequest.from_json(data)


async def _with_error_frame(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The frames; an error before the first is raised, a later one becomes an ``error`` frame."""
    started = False
    try:
        async for frame in frames:
            yield frame
            started = True
    except LauncherError as error:
        if not started:
            raise
        yield encode_event("error", **error_object(error))
    finally:
        await frames.aclose()


class _TokenGate:
    """Refuses requests without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                answer = JSONResponse({"error": {"message": "The token is missing or wrong.", "fix": ""}}, 401)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
