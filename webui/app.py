"""The application on the port: guard, status, speech, OpenAI's API, and the page at `/`.

Invariants: everything that it needs comes as an argument; every route is registered before the page takes the rest;
the guard stands in front of all of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from launcher.access import AccessRules, EndedSessions
from launcher.access.clients import parse_networks
from launcher.errors import FULL_ERRNOS, DiskFullError, LauncherError
from webui.api import (
    docs,
    encoding,
    glossary,
    history,
    login,
    metrics,
    openai,
    openai_batch,
    openai_voice_routes,
    presets,
    readings,
    recordings,
    speech,
    status,
    system,
    voices,
)
from webui.api import jobs as job_routes
from webui.api.answers import error_answer, launcher_error_answer
from webui.api.job_speech import row_speaker
from webui.api.offer import Offer
from webui.api.openapi import build_document
from webui.api.preparation import Preparation
from webui.api.threads import SLOW_PLACES
from webui.engine.pool import EnginePool
from webui.engine.streaming import GONE_STATUS, ClientGoneError
from webui.guard import Guard, Limits
from webui.jobs.runner import Runner
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.library.uploads import Uploads
from webui.metrics.measured import CountAnswers, Measured
from webui.metrics.requests import RequestMetrics
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink
from webui.synthesis import Synthesis

#: Adds the page to the application, at `/`.
MountPage = Callable[[FastAPI], FastAPI]
#: Answers a request that ended with an error.
Handler = Callable[[Request, Exception], Awaitable[Response]]

#: Of a file with voices or presets, which is written to the disk as it comes: 1,000 voices of 10 s.
MAX_IMPORT_BYTES = 2**30
_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(
    settings: PageSettings,
    *,
    engine: EnginePool,
    link: SupervisorLink,
    synthesis: Synthesis,
    library: Library | None = None,
    jobs: JobStore | None = None,
    mount_page: MountPage | None = None,
) -> Guard:
    """The guarded application; `Guard.app` is the FastAPI application inside.

    Args:
        settings: of the page's process.
        engine: the engines' processes.
        link: the supervisor.
        synthesis: the queue in front of ``engine``.
        library: voices, presets, glossary and history; ``None`` when it cannot be opened.
        jobs: long work; ``None`` when it cannot be opened.
        mount_page: adds the page at `/`; ``None`` leaves the API alone.
    """
    figures = RequestMetrics(lambda: synthesis.waiting)
    synthesis.measure = lambda frames: Measured(figures).frames(frames)
    offer = Offer(engine, link, library)
    uploads = Uploads(Path(settings.temp_dir) / "recordings")
    preparation = Preparation(library, offer, uploads)
    runner = _runner(jobs, synthesis, offer, preparation)
    app = _application(settings, runner)
    rules = _rules(settings)
    app.router.routes += [
        *_state_routes(figures, link, rules, settings.log_dir),
        *speech.routes(engine, synthesis, offer, preparation, max_text_chars=settings.max_text_chars),
        *openai.routes(synthesis, offer, preparation, max_text_chars=settings.max_text_chars, started_at=time.time()),
        *encoding.routes(),
        *readings.routes(engine, offer, preparation),
        *_library_routes(library, offer, uploads),
        *_job_routes(jobs, runner, offer, settings.max_text_chars),
        *login.routes(rules),
        *docs.routes(build_document(settings.version, settings.max_text_chars)),
        Route("/api/{path:path}", _nothing_here, methods=_ANY_METHOD),
        Route("/v1/{path:path}", _nothing_here, methods=_ANY_METHOD),
    ]
    _add_error_answers(app, figures)
    app.add_middleware(CountAnswers, metrics=figures)
    if mount_page is not None:
        app = mount_page(app)
    return _guarded(app, rules, settings)


def _rules(settings: PageSettings) -> AccessRules:
    ended = EndedSessions(Path(settings.ended_sessions) if settings.ended_sessions else None)
    return AccessRules(settings.token, settings.allowed_hosts, settings.users, ended)


def _state_routes(figures: RequestMetrics, link: SupervisorLink, rules: AccessRules, log_dir: str) -> list[Route]:
    return [*status.routes(link), *metrics.routes(figures, link), *system.routes(link, rules, log_dir)]


def _application(settings: PageSettings, runner: Runner | None) -> FastAPI:
    app = FastAPI(
        title="tts-launcher",
        version=settings.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(runner),
    )
    app.state.slow_places = asyncio.Semaphore(SLOW_PLACES)
    return app


def _guarded(app: FastAPI, rules: AccessRules, settings: PageSettings) -> Guard:
    larger = {
        encoding.PATH: encoding.MAX_BODY_BYTES,
        voices.IMPORT_PATH: MAX_IMPORT_BYTES,
        presets.IMPORT_PATH: MAX_IMPORT_BYTES,
    }
    return Guard(
        app,
        rules=rules,
        limits=Limits(settings.max_body_bytes, larger, settings.rate_limit),
        trusted=parse_networks(settings.trusted_proxies),
        root_path=settings.root_path,
        audit_dir=settings.audit_dir,
    )


def _add_error_answers(app: FastAPI, figures: RequestMetrics) -> None:
    app.add_exception_handler(LauncherError, _counted(figures, _launcher_error))
    app.add_exception_handler(ClientGoneError, _client_gone)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(RecursionError, _too_deep)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OSError, _counted(figures, _system_error))
    app.add_exception_handler(Exception, _counted(figures, _unexpected))


def _library_routes(library: Library | None, offer: Offer, uploads: Uploads) -> list[Route]:
    if library is not None:
        parts = [route for part in (voices, presets, glossary, history) for route in part.routes(library)]
        return [*parts, *recordings.routes(library, uploads), *openai_voice_routes.routes(library, offer)]
    paths = ("/api/voices", "/api/recordings", "/api/presets", "/api/glossary", "/api/history", "/v1/audio/voices")
    return [Route(f"{path}{{rest:path}}", _library_away, methods=_ANY_METHOD) for path in paths]


def _job_routes(store: JobStore | None, runner: Runner | None, offer: Offer, max_text_chars: int) -> list[Route]:
    if store is None or runner is None:
        paths = ("/api/jobs", "/v1/jobs", "/v1/audio/speech/batch")
        return [Route(f"{path}{{rest:path}}", _jobs_away, methods=_ANY_METHOD) for path in paths]
    return [
        *job_routes.routes(store, runner, max_text_chars=max_text_chars),
        *openai_batch.routes(store, runner, offer, max_text_chars=max_text_chars),
    ]


def _runner(store: JobStore | None, synthesis: Synthesis, offer: Offer, preparation: Preparation) -> Runner | None:
    if store is None:
        return None
    speak = row_speaker(synthesis, offer, preparation)
    return Runner(store, speak, offer.engine_info, lambda: synthesis.places)


def _lifespan(runner: Runner | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Speaks the rows of jobs for as long as the application serves."""

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        task = None if runner is None else asyncio.create_task(runner.run())
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return running


async def _jobs_away(request: Request) -> Response:
    words = "Jobs cannot be opened."
    return error_answer(request, 503, words, fix="The log says why: tts-launcher logs.", code="jobs_away")


async def _library_away(request: Request) -> Response:
    return error_answer(
        request,
        503,
        "Voices, presets, glossary and history cannot be opened.",
        fix="The log says why: tts-launcher logs.",
        code="library_away",
    )


def _counted(figures: RequestMetrics, answer: Handler) -> Handler:
    async def counted(request: Request, error: Exception) -> Response:
        figures.count_error(error)
        return await answer(request, error)

    return counted


async def _nothing_here(request: Request) -> Response:
    method, path = request.method, request.url.path
    words = f"There is no {method} {path:.100}."
    known = [one for one in request.app.router.routes if isinstance(one, Route) and one.endpoint is not _nothing_here]
    allowed = sorted(
        {name for one in known if one.matches(request.scope)[0] != Match.NONE for name in one.methods or ()}
    )
    if allowed:
        fix, headers = f"Use {' or '.join(allowed)}.", {"Allow": ", ".join(allowed)}
        return error_answer(request, 405, words, fix=fix, code="method_not_allowed", headers=headers)
    return error_answer(request, 404, words, code="not_found")


async def _launcher_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LauncherError)
    return launcher_error_answer(request, error)


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE_STATUS)


async def _too_deep(request: Request, _error: Exception) -> Response:
    """JSON within JSON within JSON: Python reads it, and copies it no further than it can count."""
    words = "Something in the request lies too deep within other things."
    return error_answer(request, 400, words, fix="Send it flat.", code="too_deep")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer(request, error.status_code, f"{error.detail}.", headers=error.headers)


async def _system_error(request: Request, error: Exception) -> Response:
    """What the system refused where nobody expected it, such as the parts of a form on a full disk."""
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        full = DiskFullError("The disk is full; nothing was kept.", fix="Free space there, then try again.")
        return launcher_error_answer(request, full)
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> Response:
    path = request.url.path
    # Gradio raises for what is merely a wrong request of somebody's: a line is enough.
    told = None if path.startswith("/gradio_api/") else error
    logging.getLogger(__name__).error("%s %.200r failed: %.200r", request.method, path, error, exc_info=told)
    return error_answer(
        request,
        500,
        "Something went wrong here.",
        fix="The log has the details: tts-launcher logs.",
        code="internal_error",
    )
