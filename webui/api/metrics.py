"""`/metrics`: the page's own numbers and the supervisor's, in Prometheus's format.

Invariants: the guard decides who may read it, as with every route; a supervisor that does not answer in time costs
its numbers and never the page's.
"""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launcher.channel import ChannelError
from webui.metrics.requests import RequestMetrics
from webui.supervisor_link import SupervisorLink

#: The text format's own type; newer ones are not needed.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(metrics: RequestMetrics, link: SupervisorLink) -> list[Route]:
    """The route."""

    async def show(_request: Request) -> Response:
        told = ""
        with contextlib.suppress(ChannelError):
            told = str((await link.ask("metrics")).get("text", ""))
        headers = {"Cache-Control": "no-store"}
        return Response(metrics.text() + told.encode(), media_type=MEDIA_TYPE, headers=headers)

    return [Route("/metrics", show, methods=["GET"])]
