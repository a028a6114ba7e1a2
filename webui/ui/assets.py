"""The page's own scripts, styles, texts and icon, served under an address that changes with their content.

Invariants: only files that lay in the package at start are served, from memory, so no request names a path; the
digest in the address makes each answer immutable, and a new version is a new address.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import brotli
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webui.ui.bundle import bundled
from webui.ui.catalogs import FOLDER as CATALOG_FOLDER

FOLDER = Path(__file__).parent / "static"
PREFIX = "/assets/ui"
ICON = "icon.svg"
#: The script that runs the page.
ENTRY = "js/main.js"
#: Of answers whose address changes with their content.
FOR_GOOD = "public, max-age=31536000, immutable"
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
#: Each answer is packed once: what a higher quality costs then is paid once, too.
_QUALITY = 9
#: Below this a packed answer is hardly shorter.
_SHORT_BYTES = 500


@dataclass(frozen=True)
class Packed:
    """Something that is served as it is, packed as each browser can take it.

    Attributes:
        content: unpacked.
        media_type: of it.
        caching: value of ``Cache-Control``.
    """

    content: bytes
    media_type: str
    caching: str = FOR_GOOD
    _forms: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def answer(self, request: Request) -> Response:
        """The answer; packing is done at the first request that wants it."""
        headers = {"Cache-Control": self.caching, "Vary": "Accept-Encoding"}
        accepted = request.headers.get("accept-encoding", "")
        form = next((name for name in ("br", "gzip") if name in accepted), "")
        if not form or len(self.content) < _SHORT_BYTES:
            return Response(self.content, media_type=self.media_type, headers=headers)
        if form not in self._forms:
            self._forms[form] = _packed(self.content, form)
        return Response(self._forms[form], media_type=self.media_type, headers={**headers, "Content-Encoding": form})


def _packed(content: bytes, form: str) -> bytes:
    if form == "gzip":
        return gzip.compress(content, _QUALITY)
    return bytes(brotli.compress(content, mode=brotli.MODE_TEXT, quality=_QUALITY))


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


def collect(more: Mapping[str, bytes] | None = None) -> Assets:
    """Reads every asset of the package; the scripts that the page starts with become one.

    Args:
        more: files of tabs that lie elsewhere, by name.
    """
    files: dict[str, bytes] = {**(more or {})}
    for folder, prefix in ((FOLDER, ""), (CATALOG_FOLDER, "i18n/")):
        for path in sorted(folder.rglob("*")):
            if path.suffix in MEDIA_TYPES:
                files[prefix + path.relative_to(folder).as_posix()] = path.read_bytes()
    files = bundled(files, ENTRY)
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Assets(digest.hexdigest()[:16], files)


def serve(app: FastAPI, assets: Assets) -> None:
    """Adds the routes of ``assets`` and of ``/favicon.ico`` to ``app``; call it before Gradio is mounted at ``/``."""
    shelf = {name: Packed(content, MEDIA_TYPES[Path(name).suffix]) for name, content in assets.files.items()}
    favicon = Packed(assets.files[ICON], MEDIA_TYPES[".svg"], "public, max-age=86400")

    async def asset(request: Request) -> Response:
        packed = shelf.get(request.path_params["name"])
        if packed is None or request.path_params["digest"] != assets.digest:
            raise HTTPException(404, "There is no such file; reload the page")
        return packed.answer(request)

    async def icon(request: Request) -> Response:
        return favicon.answer(request)

    # Plain routes: FastAPI's own take several times as long, and a page asks for many files at once.
    app.router.routes += [
        Route(f"{PREFIX}/{{digest}}/{{name:path}}", asset, methods=["GET"]),
        Route("/favicon.ico", icon, methods=["GET"]),
    ]
