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
from webui.api import encoding, glossary, history, login, openai, presets, readings, speech, status, voices
from webui.api.answers import error_answer, launcher_error_answer
from webui.api.offer import Offer
from webui.api.preparation import Preparation
from webui.engine.client import EngineClient
from webui.engine.streaming import GONE_STATUS, ClientGoneError
from webui.guard import Guard
from webui.library.library import Library
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink
from webui.synthesis import Synthesis

#: Adds the page to the application, at `/`.
MountPage = Callable[[FastAPI], FastAPI]

#: Of a file with voices or presets, which is written to the disk as it comes: 1,000 voices of 10 s.
MAX_IMPORT_BYTES = 2**30
_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(
    settings: PageSettings,
    *,
    engine: EngineClient,
    link: SupervisorLink,
    synthesis: Synthesis,
    library: Library | None = None,
    mount_page: MountPage | None = None,
) -> Guard:
    """The guarded application; `Guard.app` is the FastAPI application inside.

    Args:
        settings: of the page's process.
        engine: the engine's process.
        link: the supervisor.
        synthesis: the queue in front of ``engine``.
        library: voices, presets, glossary and history; ``None`` when it cannot be opened.
        mount_page: adds the page at `/`; ``None`` leaves the API alone.
    """
    app = FastAPI(title="tts-launcher", version=settings.version, docs_url=None, redoc_url=None, openapi_url=None)
    rules = AccessRules(token=settings.token, allowed_hosts=settings.allowed_hosts)
    offer = Offer(engine, link, library)
    preparation = Preparation(library, offer)
    app.router.routes += [
        *status.routes(link),
        *speech.routes(engine, synthesis, offer, preparation, max_text_chars=settings.max_text_chars),
        *openai.routes(synthesis, offer, preparation, max_text_chars=settings.max_text_chars, started_at=time.time()),
        *encoding.routes(),
        *readings.routes(engine, offer, preparation),
        *_library_routes(library),
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
    larger = {
        encoding.PATH: encoding.MAX_BODY_BYTES,
        voices.IMPORT_PATH: MAX_IMPORT_BYTES,
        presets.IMPORT_PATH: MAX_IMPORT_BYTES,
    }
    return Guard(app, rules=rules, max_body_bytes=settings.max_body_bytes, larger_bodies=larger)


def _library_routes(library: Library | None) -> list[Route]:
    if library is not None:
        return [route for part in (voices, presets, glossary, history) for route in part.routes(library)]
    paths = ("/api/voices", "/api/presets", "/api/glossary", "/api/history")
    return [Route(f"{path}{{rest:path}}", _library_away, methods=_ANY_METHOD) for path in paths]


async def _library_away(request: Request) -> Response:
    return error_answer(
        request,
        503,
        "Voices, presets, glossary and history cannot be opened.",
        fix="The log says why: launcher logs.",
        code="library_away",
    )


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
