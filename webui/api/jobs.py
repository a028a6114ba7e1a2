"""Jobs: `/api/jobs` for the page and the command line, `/v1/jobs` for programs; errors in the form of each.

Invariants: an answer never holds more than a page of rows; results are sent while they are made; whoever leaves a
stream of events costs nothing from then on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from webui.api.body import read_object
from webui.api.downloads import attachment
from webui.api.job_bodies import changed_row, wanted_job
from webui.api.queries import path_number, whole
from webui.api.threads import in_parts, in_slow_thread, in_thread
from webui.audio import MEDIA_TYPES
from webui.engine.streaming import StreamedAnswer
from webui.jobs.joining import arrange, srt_of, vtt_of
from webui.jobs.records import ROW_STATES, Job, JobRow
from webui.jobs.results import FORMATS, all_rows, joined_of, names_of, row_file, zip_of
from webui.jobs.rows import safe_name
from webui.jobs.runner import Runner
from webui.jobs.store import JobStore

#: Rows and jobs in one answer: without being asked, and at most.
PAGE, MAX_PAGE = 100, 500
#: Proxies close a silent connection after 30 to 60 s.
HEARTBEAT_S = 15.0
#: Between two events of one stream; quicker is not seen.
EVENT_S = 0.25
_FRESH = {"Cache-Control": "no-store"}
_SUBTITLES: dict[str, tuple[str, Callable[..., str]]] = {
    "srt": ("application/x-subrip; charset=utf-8", srt_of),
    "vtt": ("text/vtt; charset=utf-8", vtt_of),
}
_MAKERS: dict[str, Callable[[JobStore, Job, str], Iterator[bytes]]] = {"zip": zip_of, "joined": joined_of}
_WISHES = {"pause": "pause", "resume": "go", "cancel": "cancel"}


def routes(store: JobStore, runner: Runner, *, max_text_chars: int) -> list[Route]:
    """The routes, over one store and the runner that speaks what is in it."""
    parts = [_job_routes(store, runner, max_text_chars), _row_routes(store, runner, max_text_chars), _results(store)]
    return [
        Route(f"{prefix}{path}", endpoint, methods=[method])
        for prefix in ("/api/jobs", "/v1/jobs")
        for part in parts
        for method, path, endpoint in part
    ]


_Part = list[tuple[str, str, Callable[[Request], Any]]]


def _job_routes(store: JobStore, runner: Runner, max_text_chars: int) -> _Part:
    async def create(request: Request) -> Response:
        wanted = await wanted_job(request, max_text_chars)
        wish = "go" if wanted.starts else "pause"
        job = await in_thread(store.create, wanted.title, wanted.reading, wanted.options, wish=wish)
        runner.wake()
        return JSONResponse(job.to_json(runner.width), 201, {"Location": f"{request.url.path}/{job.id}"})

    async def listing(request: Request) -> Response:
        limit = whole(request, "limit", low=1, high=MAX_PAGE) or PAGE
        jobs = await in_thread(store.jobs, before=whole(request, "before"), limit=limit)
        mark = jobs[-1].number if len(jobs) == limit else None
        shown = [job.to_json(runner.width) for job in jobs]
        return JSONResponse({"object": "list", "data": shown, "next": mark}, headers=_FRESH)

    async def one(request: Request) -> Response:
        job = await in_thread(store.job, _id(request))
        return JSONResponse(_shown(job, runner), headers=_FRESH)

    async def remove(request: Request) -> Response:
        await in_thread(store.remove, _id(request))
        runner.stop_rows(_id(request))
        runner.wake()
        return JSONResponse({"removed": 1})

    async def wish(request: Request) -> Response:
        job = await _wish(store, _id(request), request.path_params["action"])
        if job.wish == "cancel":
            runner.stop_rows(job.id)
        runner.wake()
        return JSONResponse(_shown(job, runner))

    async def events(request: Request) -> Response:
        job = await in_thread(store.job, _id(request))
        since = whole(request, "since")
        stream = _events(store, runner, job.id, job.changed if since is None else since)
        return StreamedAnswer(stream, media_type="text/event-stream", headers={**_FRESH, "X-Accel-Buffering": "no"})

    return [
        ("POST", "", create),
        ("GET", "", listing),
        ("GET", "/{id}", one),
        ("DELETE", "/{id}", remove),
        ("GET", "/{id}/events", events),
        ("POST", "/{id}/{action}", wish),
    ]


async def _wish(store: JobStore, job_id: str, action: str) -> Job:
    if action == "retry":
        return await in_thread(store.retry, job_id)
    if action not in _WISHES:
        raise SpeechError(f"There is no {action!r:.40}.", code="not_found", http_status=404)
    return await in_thread(store.wish, job_id, _WISHES[action])


def _row_routes(store: JobStore, runner: Runner, max_text_chars: int) -> _Part:
    async def listing(request: Request) -> Response:
        offset, limit = whole(request, "offset") or 0, whole(request, "limit", low=1, high=MAX_PAGE) or PAGE
        state = request.query_params.get("state", "")
        if state and state not in ROW_STATES:
            raise SpeechError(f"state={state!r:.40} is not known.", fix=f"Use {', '.join(ROW_STATES)}.", param="state")
        job = await in_thread(store.job, _id(request))
        rows = await in_thread(store.rows, job.id, offset=offset, limit=limit, state=state)
        total = job.counts.get(state, 0) if state else job.total
        shown = [row.to_json() for row in rows]
        return JSONResponse({"object": "list", "data": shown, "total": total, "changed": job.changed}, headers=_FRESH)

    async def one(request: Request) -> Response:
        return JSONResponse((await in_thread(store.row, *_place(request))).to_json(), headers=_FRESH)

    async def change(request: Request) -> Response:
        changes = await read_object(request)
        job, position = _place(request)
        altered = partial(changed_row, changes=changes, max_text_chars=max_text_chars)
        new = await in_thread(store.change, job, position, altered)
        runner.wake()
        return JSONResponse(new.to_json())

    async def retry(request: Request) -> Response:
        job, position = _place(request)
        await in_thread(store.retry, job, [position])
        runner.wake()
        return JSONResponse((await in_thread(store.row, job, position)).to_json())

    async def audio(request: Request) -> Response:
        row = await in_thread(store.row, *_place(request))
        return await _row_audio(store, row, request)

    return [
        ("GET", "/{id}/rows", listing),
        ("GET", "/{id}/rows/{position}", one),
        ("PATCH", "/{id}/rows/{position}", change),
        ("POST", "/{id}/rows/{position}/retry", retry),
        ("GET", "/{id}/rows/{position}/audio", audio),
    ]


def _results(store: JobStore) -> _Part:
    async def whole_file(request: Request) -> Response:
        kind = "zip" if request.url.path.endswith("/zip") else "joined"
        job = await in_thread(store.job, _id(request))
        audio_format = _format(request)
        _require_sound(job)
        ending, media_type = ("zip", "application/zip") if kind == "zip" else (audio_format, MEDIA_TYPES[audio_format])
        parts = in_parts(request, await in_thread(_MAKERS[kind], store, job, audio_format))
        return StreamedAnswer(parts, media_type=media_type, headers={**_FRESH, **_file(job, ending)})

    async def subtitles(request: Request) -> Response:
        kind = request.query_params.get("format") or "srt"
        if kind not in _SUBTITLES:
            raise SpeechError(f"format={kind!r:.40} is neither srt nor vtt.", param="format")
        job = await in_thread(store.job, _id(request))
        _require_sound(job)
        media_type, make = _SUBTITLES[kind]
        text = make(arrange(await in_thread(all_rows, store, job), float(job.options["gap_s"])))
        return Response(text, media_type=media_type, headers={**_FRESH, **_file(job, kind)})

    return [
        ("GET", "/{id}/zip", whole_file),
        ("GET", "/{id}/joined", whole_file),
        ("GET", "/{id}/subtitles", subtitles),
    ]


async def _row_audio(store: JobStore, row: JobRow, request: Request) -> Response:
    audio_format = _format(request)
    if not row.file:
        raise SpeechError(
            f"Row {row.position} has no sound ({row.state}).",
            fix="Wait for it, or retry it.",
            code="no_sound",
            http_status=409,
        )
    path = store.path(row)
    if not await in_thread(path.is_file):
        raise SpeechError(
            f"The sound of row {row.position} is gone.",
            fix="Retry the row to speak it again.",
            code="sound_gone",
            http_status=410,
        )
    headers = {**_FRESH, **attachment(f"{names_of([row])[row.position]}.{audio_format}")}
    if audio_format == "wav":
        return FileResponse(path, media_type="audio/wav", headers=headers)
    content, media_type = await in_slow_thread(request, row_file, store, row, audio_format)
    return Response(content, media_type=media_type, headers=headers)


async def _events(store: JobStore, runner: Runner, job_id: str, since: int) -> AsyncGenerator[bytes, None]:
    told = ""
    while True:
        changed = runner.next_change
        try:
            job = await in_thread(store.job, job_id)
            for offset in range(0, job.total if job.changed > since else 0, MAX_PAGE):
                rows = await in_thread(store.rows, job_id, since=since, offset=offset, limit=MAX_PAGE)
                if rows:
                    yield _event("rows", [row.to_json() for row in rows])
                if len(rows) < MAX_PAGE:
                    break
        except SpeechError:
            yield _event("removed", {"id": job_id})
            return
        since = max(since, job.changed)
        shown = json.dumps(_shown(job, runner))
        if shown != told:
            told = shown
            yield _event("job", json.loads(shown))
        try:
            await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
        except asyncio.TimeoutError:  # its own class before Python 3.11
            yield b": still here\n\n"
        else:
            await asyncio.sleep(EVENT_S)


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _shown(job: Job, runner: Runner) -> dict[str, Any]:
    waits = runner.trouble if job.state in ("queued", "running") else ""
    return {**job.to_json(runner.width), "waiting_for": waits or None}


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _place(request: Request) -> tuple[str, int]:
    return _id(request), path_number(request, "position")


def _format(request: Request) -> str:
    audio_format = request.query_params.get("format") or "wav"
    if audio_format not in FORMATS:
        raise SpeechError(
            f"format={audio_format!r:.40} is not available.", fix=f"Use one of {', '.join(FORMATS)}.", param="format"
        )
    return audio_format


def _require_sound(job: Job) -> None:
    if not job.size_bytes:
        raise SpeechError(
            "No row of this job has a sound.", fix="Wait for one, or retry them.", code="no_sound", http_status=409
        )


def _file(job: Job, ending: str) -> dict[str, str]:
    stem = safe_name(job.title.rsplit(".", 1)[0] if "." in job.title[-9:] else job.title) or "speech"
    return attachment(f"{stem}.{ending}")
