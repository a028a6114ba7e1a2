"""Recordings for a request or a few, which are not kept: `/api/recordings`.

Invariant: one comes and is read as a voice's is; requests name it by its id, in `reference` or `emotion_reference`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from webui.api.threads import in_slow_thread, in_thread, received
from webui.api.voices import described, read_part
from webui.library.library import Library
from webui.library.uploads import Uploads

_FRESH = {"Cache-Control": "no-store"}


def routes(library: Library, uploads: Uploads) -> list[Route]:
    """The routes; a file is read in the library's folder of unfinished ones."""

    async def add(request: Request) -> Response:
        async with received(request, library.parts) as path:
            recording = await in_slow_thread(request, read_part, request, path)
        name = await in_thread(uploads.add, recording)
        return JSONResponse({"id": name, **described(recording)}, 201, headers=_FRESH)

    async def audio(request: Request) -> Response:
        path = await in_thread(uploads.path, request.path_params["id"], "id")
        if path is None:
            raise SpeechError("There is no such recording.", param="id", code="not_found", http_status=404)
        return FileResponse(path, media_type="audio/wav", headers=_FRESH)

    async def remove(request: Request) -> Response:
        await in_thread(uploads.remove, request.path_params["id"])
        return JSONResponse({"removed": 1})

    return [
        Route("/api/recordings", add, methods=["POST"]),
        Route("/api/recordings/{id}/audio", audio, methods=["GET"]),
        Route("/api/recordings/{id}", remove, methods=["DELETE"]),
    ]
