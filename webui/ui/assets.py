"""The page's own scripts, styles, texts and icon, served under an address that changes with their content.

Invariants: only files that lay in the package at start are served, from memory, so no request names a path; the
digest in the address makes each answer immutable, and a new version is a new address.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, HTTPException, Response

from webui.ui.catalogs import FOLDER as CATALOG_FOLDER

FOLDER = Path(__file__).parent / "static"
PREFIX = "/assets/ui"
ICON = "icon.svg"
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Assets:
    """Files by their name under the address.

    Attributes:
        digest: of all names and contents; part of the address.
        files: content by name (``js/main.js``, ``i18n/en.json``).
    """

    digest: str
    files: dict[str, bytes]

    def address(self, name: str) -> str:
        """The file's address relative to the page, so that a prefix set by a reverse proxy stays in place."""
        if name not in self.files:
            raise KeyError(name)
        return f"{PREFIX.lstrip('/')}/{self.digest}/{name}"


def collect() -> Assets:
    """Reads every asset of the package."""
    files: dict[str, bytes] = {}
    for folder, prefix in ((FOLDER, ""), (CATALOG_FOLDER, "i18n/")):
        for path in sorted(folder.rglob("*")):
            if path.suffix in _MEDIA_TYPES:
                files[prefix + path.relative_to(folder).as_posix()] = path.read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Assets(digest.hexdigest()[:16], files)


def serve(app: FastAPI, assets: Assets) -> None:
    """Adds the routes of ``assets`` and of ``/favicon.ico`` to ``app``; call it before Gradio is mounted at ``/``."""

    async def asset(digest: str, name: str) -> Response:
        content = assets.files.get(name)
        if content is None or digest != assets.digest:
            raise HTTPException(404, "There is no such file; reload the page.")
        return _answer(name, content, "public, max-age=31536000, immutable")

    async def icon() -> Response:
        return _answer(ICON, assets.files[ICON], "public, max-age=86400")

    app.add_api_route(f"{PREFIX}/{{digest}}/{{name:path}}", asset, methods=["GET"], include_in_schema=False)
    app.add_api_route("/favicon.ico", icon, methods=["GET"], include_in_schema=False)


def _answer(name: str, content: bytes, caching: str) -> Response:
    media_type = _MEDIA_TYPES[Path(name).suffix]
    return Response(content, media_type=media_type, headers={"Cache-Control": caching})
