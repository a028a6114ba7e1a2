"""The library's voices: `/api/voices`.

Invariants: a recording comes as the request's body, as it is, and is written to the disk while it comes; what cannot be
a voice is refused before anything is kept.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from webui.api.body import read_object
from webui.api.downloads import attachment
from webui.api.queries import flag, names, number
from webui.api.threads import in_parts, in_slow_thread, in_thread, received
from webui.engine.streaming import StreamedAnswer
from webui.library.archives import MEDIA_TYPE
from webui.library.decoding import decode
from webui.library.library import Library
from webui.library.recordings import VoiceRecording
from webui.library.voice_archive import export_voices, import_voices
from webui.library.voices import StoredVoice

IMPORT_PATH = "/api/voices/import"
_FRESH = {"Cache-Control": "no-store"}
#: A recording is named after its content, so what a browser has of it stays right.
_LASTING = {"Cache-Control": "private, max-age=31536000, immutable"}


def routes(library: Library) -> list[Route]:
    """The routes, over one library."""
    return [*_files(library), *_rows(library)]


def _rows(library: Library) -> list[Route]:
    """One voice at a time."""
    voices = library.voices

    async def listing(_request: Request) -> Response:
        return JSONResponse({"voices": [voice.to_json() for voice in await in_thread(voices.all)]}, headers=_FRESH)

    async def one(request: Request) -> Response:
        return JSONResponse((await in_thread(voices.get, _id(request))).to_json(), headers=_FRESH)

    async def change(request: Request) -> Response:
        changes = await read_object(request)
        return JSONResponse((await in_thread(voices.change, _id(request), changes)).to_json())

    async def remove(request: Request) -> Response:
        await in_thread(voices.remove, _id(request))
        return JSONResponse({"removed": 1})

    async def audio(request: Request) -> Response:
        voice = await in_thread(voices.get, _id(request))
        path = await in_thread(voices.path, voice)
        name = f"{voice.name}.wav"
        return FileResponse(
            path, media_type="audio/wav", headers=_LASTING, filename=name, content_disposition_type="inline"
        )

    return [
        Route("/api/voices", listing, methods=["GET"]),
        Route("/api/voices/{id}", one, methods=["GET"]),
        Route("/api/voices/{id}", change, methods=["PATCH"]),
        Route("/api/voices/{id}", remove, methods=["DELETE"]),
        Route("/api/voices/{id}/audio", audio, methods=["GET"]),
    ]


def _files(library: Library) -> list[Route]:
    """What comes in as a file, and what goes out as one."""
    voices = library.voices

    async def add(request: Request) -> Response:
        async with received(request, library.parts) as path:
            recording = await in_slow_thread(request, read_part, request, path)
        voice, is_new = await in_thread(voices.add, recording, _given(request))
        return JSONResponse({**voice.to_json(), "new": is_new}, 201 if is_new else 200)

    async def check(request: Request) -> Response:
        async with received(request, library.parts) as path:
            recording = await in_slow_thread(request, read_part, request, path)
        return JSONResponse(described(recording))

    async def export(request: Request) -> Response:
        parts = in_parts(request, await in_thread(partial(_export, library, names(request, "ids"))))
        headers = {**_FRESH, **attachment("voices.zip")}
        return StreamedAnswer(parts, media_type=MEDIA_TYPE, headers=headers)

    async def take_in(request: Request) -> Response:
        async with received(request, library.parts) as path:
            done = await in_slow_thread(request, import_voices, voices, path, library.parts)
        return JSONResponse(done.to_json())

    return [
        Route("/api/voices", add, methods=["POST"]),
        Route("/api/voices/check", check, methods=["POST"]),
        Route("/api/voices/export", export, methods=["GET"]),
        Route(IMPORT_PATH, take_in, methods=["POST"]),
    ]


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def read_part(request: Request, path: Path) -> VoiceRecording:
    """The recording in a file that was sent, cut as the query says.

    Raises:
        SpeechError: when there is none in it.
    """
    trim = flag(request, "trim")
    return decode(
        path,
        start_s=number(request, "start_s") or 0.0,
        end_s=number(request, "end_s"),
        trim=True if trim is None else trim,
    )


def _given(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: request.query_params[name]
        for name in ("name", "tags", "language", "consent")
        if name in request.query_params
    }
    default = flag(request, "default")
    return given if default is None else {**given, "default": default}


def described(recording: VoiceRecording) -> dict[str, Any]:
    """A recording and what is to be known of it, as JSON."""
    return {
        "duration_s": round(recording.duration_s, 3),
        "sample_rate_hz": recording.sample_rate_hz,
        "level_dbfs": recording.level_dbfs,
        "peak_dbfs": recording.peak_dbfs,
        "noise_dbfs": recording.noise_dbfs,
        "findings": [asdict(finding) for finding in recording.findings],
    }


def _export(library: Library, ids: tuple[str, ...] | None) -> Any:
    chosen: list[StoredVoice]
    chosen = library.voices.all() if ids is None else [library.voices.get(voice_id) for voice_id in ids]
    return export_voices(library.voices, chosen)
