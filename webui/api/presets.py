"""Presets: `/api/presets`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webui.api.body import read_object
from webui.api.downloads import attachment
from webui.api.queries import flag
from webui.api.threads import in_slow_thread, in_thread, received
from webui.library.library import Library

IMPORT_PATH = "/api/presets/import"
_FRESH = {"Cache-Control": "no-store"}


def routes(library: Library) -> list[Route]:
    """The routes, over one library."""
    presets = library.presets

    async def listing(_request: Request) -> Response:
        found = [preset.to_json(with_state=False) for preset in await in_thread(presets.all)]
        return JSONResponse({"presets": found}, headers=_FRESH)

    async def add(request: Request) -> Response:
        body = await read_object(request)
        preset = await in_thread(presets.add, body.get("name"), body.get("state"))
        return JSONResponse(preset.to_json(), 201)

    async def one(request: Request) -> Response:
        return JSONResponse((await in_thread(presets.get, _id(request))).to_json(), headers=_FRESH)

    async def change(request: Request) -> Response:
        changes = await read_object(request)
        return JSONResponse((await in_thread(presets.change, _id(request), changes)).to_json())

    async def remove(request: Request) -> Response:
        await in_thread(presets.remove, _id(request))
        return JSONResponse({"removed": 1})

    async def file(request: Request) -> Response:
        preset = await in_thread(presets.get, _id(request))
        content = preset.to_file(with_text=flag(request, "text") is not False)
        return Response(content, media_type="application/json", headers={**_FRESH, **attachment(f"{preset.name}.json")})

    async def take_in(request: Request) -> Response:
        async with received(request, library.parts) as path:
            name = request.query_params.get("name", "")
            done = await in_slow_thread(request, library.preset_import.read, path, name)
        return JSONResponse(done.to_json())

    return [
        Route("/api/presets", listing, methods=["GET"]),
        Route("/api/presets", add, methods=["POST"]),
        Route(IMPORT_PATH, take_in, methods=["POST"]),
        Route("/api/presets/{id}", one, methods=["GET"]),
        Route("/api/presets/{id}", change, methods=["PATCH"]),
        Route("/api/presets/{id}", remove, methods=["DELETE"]),
        Route("/api/presets/{id}/file", file, methods=["GET"]),
    ]


def _id(request: Request) -> str:
    return str(request.path_params["id"])
