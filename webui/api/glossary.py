"""The glossary: `/api/glossary`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webui.api.body import read_object
from webui.api.downloads import attachment
from webui.api.queries import flag, path_number
from webui.api.threads import in_slow_thread, in_thread, received
from webui.library.archives import copy_text
from webui.library.library import Library

_FRESH = {"Cache-Control": "no-store"}


def routes(library: Library) -> list[Route]:
    """The routes, over one library."""
    glossary = library.glossary

    async def listing(_request: Request) -> Response:
        return JSONResponse({"terms": [term.to_json() for term in await in_thread(glossary.all)]}, headers=_FRESH)

    async def add(request: Request) -> Response:
        term, is_new = await in_thread(glossary.add, await read_object(request))
        return JSONResponse({**term.to_json(), "new": is_new}, 201 if is_new else 200)

    async def change(request: Request) -> Response:
        changes = await read_object(request)
        return JSONResponse((await in_thread(glossary.change, path_number(request, "id"), changes)).to_json())

    async def remove(request: Request) -> Response:
        await in_thread(glossary.remove, path_number(request, "id"))
        return JSONResponse({"removed": 1})

    async def export(_request: Request) -> Response:
        headers = {**_FRESH, **attachment("glossary.yaml")}
        return Response(await in_thread(glossary.to_yaml), media_type="application/yaml", headers=headers)

    async def take_in(request: Request) -> Response:
        async with received(request, library.parts) as path:
            text = await in_thread(copy_text, path)
        added, changed = await in_slow_thread(request, glossary.merge, text, replace=flag(request, "replace") is True)
        return JSONResponse({"added": added, "changed": changed})

    return [
        Route("/api/glossary", listing, methods=["GET"]),
        Route("/api/glossary", add, methods=["POST"]),
        Route("/api/glossary/export", export, methods=["GET"]),
        Route("/api/glossary/import", take_in, methods=["POST"]),
        Route("/api/glossary/{id}", change, methods=["PATCH"]),
        Route("/api/glossary/{id}", remove, methods=["DELETE"]),
    ]
