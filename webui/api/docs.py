"""`/docs`: the API as a page to read and to try, and `/openapi.json`, the document behind it.

Invariants: nothing comes from another host: Swagger UI's files are those of the package `fastapi_offline`; without that
package there is the document alone.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from webui.api.answers import error_answer

_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_LASTING = {"Cache-Control": "private, max-age=86400"}


def routes(document: dict[str, Any]) -> list[Route]:
    """The routes.

    Args:
        document: in OpenAPI's form; its ``servers`` are filled in.
    """
    folder = _assets()

    async def openapi(request: Request) -> Response:
        root_path = request.scope.get("root_path", "")
        return JSONResponse({**document, "servers": [{"url": root_path or "/"}]})

    async def page(request: Request) -> Response:
        if folder is None:
            return error_answer(
                request,
                404,
                "The package fastapi-offline, which holds this page's files, is not installed.",
                fix="Install it, or read openapi.json.",
                code="not_found",
            )
        root_path = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root_path}/openapi.json",
            title=f"{document['info']['title']} · API",
            swagger_js_url=f"{root_path}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root_path}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root_path}/docs/favicon.png",
        )

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if folder is None or name not in _FILES:
            return error_answer(request, 404, f"There is no {request.url.path:.100}.", code="not_found")
        return FileResponse(folder / name, media_type=_FILES[name], headers=_LASTING)

    return [
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/docs", page, methods=["GET"]),
        Route("/docs/{name}", asset, methods=["GET"]),
    ]


def _assets() -> Path | None:
    """The package's folder of files, found without importing it."""
    spec = find_spec("fastapi_offline")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((path for folder in folders if (path := Path(folder) / "static").is_dir()), None)
