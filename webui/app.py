"""The application on the port: guard, status, speech, OpenAI's API, and the page at `/`.

Invariants: everything that it needs comes as an argument; every route is registered before the page takes the rest;
the guard stands in front of all of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launcher.access import AccessRules
from launcher.errors import LauncherError
from webui.api import login, openai, speech, status
from webui.api.answers import error_answer, launcher_error_answer
from webui.api.offer import Offer
from webui.engine.client import EngineClient
from webui.engine.pool import EnginePool
from webui.engine.streaming import GONE_STATUS, ClientGoneError
from webui.guard import Guard
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink
from webui.synthesis import Synthesis

#: Adds the page to the application, at `/`.
MountPage = Callable[[FastAPI], FastAPI]

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(
    settings: PageSettings,
    *,
    engine: EngineClient | EnginePool,
    link: SupervisorLink,
    synthesis: Synthesis,
    mount_page: MountPage | None = None,
) -> Guard:
    """The guarded application; `Guard.app` is the FastAPI application inside.

    Args:
        settings: of the page's process.
        engine: the engine's process, or several.
        link: the supervisor.
        synthesis: the queue in front of ``engine``.
        mount_page: adds the page at `/`; ``None`` leaves the API alone.
    """
    app = FastAPI(title="tts-launcher", version=settings.version, docs_url=None, redoc_url=None, openapi_url=None)
    rules = AccessRules(token=settings.token, allowed_hosts=settings.allowed_hosts)
    offer = Offer(engine, link)
    app.router.routes += [
        *status.routes(link),
        *speech.routes(engine, synthesis, offer, max_text_chars=settings.max_text_chars),
        *openai.routes(synthesis, offer, max_text_chars=settings.max_text_chars, started_at=time.time()),
        *login.routes(rules),
        Route("/api/{path:path}", _nothing_here, methods=_ANY_METHOD),
        Route("/v1/{path:path}", _nothing_here, methods=_ANY_METHOD),
    ]
    app.add_exception_handler(LauncherError, _launcher_error)
    app.add_exception_handler(ClientGoneError, _client_gone)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    if mount_page is not None:
        app = mount_page(app)
    return Guard(app, rules=rules, max_body_bytes=settings.max_body_bytes)


async def _nothing_here(request: Request) -> Response:
    method, path = request.method, request.url.path
    return error_answer(request, 404, f"There is no {method} {path:.100}.", code="not_found")


async def _launcher_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LauncherError)
    return launcher_error_answer(request, error)


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE_STATUS)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer(request, error.status_code, f"{error.detail}.", headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_answer(
        request, 500, "Something went wrong here.", fix="The log has the details: launcher logs.", code="internal_error"
    )
