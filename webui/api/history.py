"""The history of takes: `/api/history`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from webui.api.body import read_object
from webui.api.downloads import attachment
from webui.api.queries import flag, names, number, whole
from webui.api.threads import in_parts, in_slow_thread, in_thread
from webui.audio import check_format, encode
from webui.engine.streaming import StreamedAnswer
from webui.library.archives import MEDIA_TYPE
from webui.library.fields import read_flag
from webui.library.history import MAX_PAGE, PAGE, HistoryStore, Take, Wanted
from webui.library.library import Library

_FRESH = {"Cache-Control": "no-store"}
#: A take never changes.
_LASTING = {"Cache-Control": "private, max-age=31536000, immutable"}
#: Most words of a search, and most takes named in one request.
_MAX_WORDS, _MAX_IDS = 10, 10_000
#: Media type of an export, and what makes it.
_EXPORTS = {"zip": (MEDIA_TYPE, HistoryStore.export), "jsonl": ("application/jsonl", HistoryStore.export_lines)}


def routes(library: Library) -> list[Route]:
    """The routes, over one library."""
    history = library.history

    async def listing(request: Request) -> Response:
        wanted, before = _wanted(request), whole(request, "before")
        limit = whole(request, "limit", low=1, high=MAX_PAGE) or PAGE
        return JSONResponse(
            {**await in_thread(_page, history, wanted, before, limit), "recording": library.keeps_history},
            headers=_FRESH,
        )

    async def one(request: Request) -> Response:
        return JSONResponse((await in_thread(history.get, _id(request))).to_json(), headers=_FRESH)

    async def change(request: Request) -> Response:
        changes = await read_object(request)
        if set(changes) != {"starred"}:
            raise SpeechError("Only starred can be changed.", fix='Send {"starred": true}.', param="starred")
        starred = read_flag(changes["starred"], "starred")
        return JSONResponse((await in_thread(history.star, _id(request), starred)).to_json())

    async def remove(request: Request) -> Response:
        take = await in_thread(history.get, _id(request))
        return JSONResponse({"removed": await in_thread(history.remove, [take.id])})

    async def remove_many(request: Request) -> Response:
        ids = (await read_object(request)).get("ids")
        if not isinstance(ids, list) or len(ids) > _MAX_IDS or not all(isinstance(item, str) for item in ids):
            raise SpeechError(f"ids is no list of at most {_MAX_IDS} takes.", param="ids")
        return JSONResponse({"removed": await in_thread(history.remove, ids)})

    async def audio(request: Request) -> Response:
        return await _audio(history, request)

    async def export(request: Request) -> Response:
        return await _export(history, request)

    return [
        Route("/api/history", listing, methods=["GET"]),
        Route("/api/history/delete", remove_many, methods=["POST"]),
        Route("/api/history/export", export, methods=["GET"]),
        Route("/api/history/{id}", one, methods=["GET"]),
        Route("/api/history/{id}", change, methods=["PATCH"]),
        Route("/api/history/{id}", remove, methods=["DELETE"]),
        Route("/api/history/{id}/audio", audio, methods=["GET"]),
    ]


async def _export(history: HistoryStore, request: Request) -> Response:
    wanted, kind = _wanted(request), request.query_params.get("format") or "zip"
    if kind not in _EXPORTS:
        raise SpeechError(f"format={kind!r:.40} is neither zip nor jsonl.", param="format")
    media_type, make = _EXPORTS[kind]
    headers = {**_FRESH, **attachment(f"takes.{kind}")}
    return StreamedAnswer(
        in_parts(request, await in_thread(make, history, wanted)), media_type=media_type, headers=headers
    )


async def _audio(history: HistoryStore, request: Request) -> Response:
    take = await in_thread(history.get, _id(request))
    path = await in_thread(history.path, take)
    audio_format = request.query_params.get("format") or "flac"
    if audio_format == "flac":
        return FileResponse(
            path,
            media_type="audio/flac",
            headers=_LASTING,
            filename=f"{_file_name(take)}.flac",
            content_disposition_type="inline",
        )
    check_format(audio_format)
    content, media_type = await in_slow_thread(request, _converted, path, take.sample_rate_hz, audio_format)
    headers = {**_LASTING, **attachment(f"{_file_name(take)}.{audio_format}")}
    return Response(content, media_type=media_type, headers=headers)


def _converted(path: Path, sample_rate_hz: int, audio_format: str) -> tuple[bytes, str]:
    import soundfile

    pcm, _ = soundfile.read(path, dtype="int16")
    return encode(np.asarray(pcm, np.int16), sample_rate_hz, audio_format)


def _file_name(take: Take) -> str:
    """The first words of the text, which people recognise, and the id, which is unique."""
    start = "".join(char if char.isalnum() else " " for char in take.text[:40])
    return f"{'-'.join(start.split())[:30]}-{take.id[:8]}".strip("-")


def _page(history: HistoryStore, wanted: Wanted, before: int | None, limit: int) -> dict[str, Any]:
    takes, mark = history.page(wanted, before=before, limit=limit)
    return {"takes": [take.to_json() for take in takes], "next": mark, **history.totals(wanted)}


def _wanted(request: Request) -> Wanted:
    query = request.query_params
    words = tuple(query.get("q", "")[:500].split())
    if len(words) > _MAX_WORDS:
        raise SpeechError(f"q has {len(words)} words, more than {_MAX_WORDS}.", param="q")
    return Wanted(
        words=words,
        starred=flag(request, "starred"),
        voice=query.get("voice", ""),
        engine=query.get("engine", ""),
        language=query.get("language", ""),
        source=query.get("source", ""),
        since=number(request, "since"),
        until=number(request, "until"),
        ids=names(request, "ids"),
    )


def _id(request: Request) -> str:
    return str(request.path_params["id"])
