"""Whether it works: `/healthz`, `/readyz`, `/api/status`, `/api/events`.

Invariants: `/healthz` says only that this process answers; everything else shows the supervisor's snapshot, the same
that the command line prints.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from webui.engine.service import retry_after_s
from webui.engine.streaming import StreamedAnswer
from webui.supervisor_link import SupervisorLink

#: Proxies close a silent connection after 30 to 60 s; a comment every 15 s keeps it.
HEARTBEAT_S = 15.0
_FRESH = {"Cache-Control": "no-store"}


def routes(link: SupervisorLink) -> list[Route]:
    """The routes, over the supervisor's snapshots."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_FRESH)

    async def readyz(_request: Request) -> Response:
        if link.ready:
            return JSONResponse(link.snapshot, headers=_FRESH)
        headers = {**_FRESH, "Retry-After": str(engine_retry_after_s(link))}
        return JSONResponse(link.snapshot, 503, headers)

    async def status(_request: Request) -> Response:
        return JSONResponse(link.snapshot, headers=_FRESH)

    async def events(_request: Request) -> Response:
        headers = {**_FRESH, "X-Accel-Buffering": "no"}
        return StreamedAnswer(_server_sent(link), media_type="text/event-stream", headers=headers)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/api/status", status, methods=["GET"]),
        Route("/api/events", events, methods=["GET"]),
    ]


def engine_retry_after_s(link: SupervisorLink) -> int:
    """Whole seconds until the engine is expected, from its own estimate."""
    progress: dict[str, Any] = link.engine.get("progress") or {}
    eta_s = progress.get("eta_s")
    return retry_after_s(eta_s if isinstance(eta_s, (int, float)) else None)


async def _server_sent(link: SupervisorLink) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(link.snapshots(HEARTBEAT_S)) as snapshots:
        async for snapshot in snapshots:
            if snapshot is None:
                yield b": still here\n\n"
            else:
                yield f"event: snapshot\ndata: {json.dumps(snapshot, ensure_ascii=False)}\n\n".encode()
