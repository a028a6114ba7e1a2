"""Gradio's front end, sooner: what a browser will need of it is told in the page itself, and served packed from memory.

Left alone a browser learns of Gradio's scripts in five steps, each of which waits for the one before: the page names
the first script, that one the next ones, those the blocks, the blocks their components. The names are read from the
scripts that are installed. Invariant: what is not found is only not told of; Gradio's own routes serve it as ever.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webui.ui.assets import MEDIA_TYPES, Packed

if TYPE_CHECKING:
    import gradio as gr

#: Where Gradio serves them.
PREFIX = "/assets"
#: In the page: its own script. In a script: files that it may need later; a script that it imports later, and which of
#: those that one needs.
_ENTRY = re.compile(r'src="\./assets/([\w.-]+\.js)"')
_LIST = re.compile(r"m\.f=\[([^\]]*)\]")
_LATER = re.compile(r"import\(`\./([\w.-]+)`\)[^`\[]{0,60}__vite__mapDeps\(\[([\d,]*)\]\)")
#: Beginnings of the names of the two scripts between the page's own and the components.
_STEPS = ("Index-", "Blocks-")
#: What knows the components, and whose script stands for one that has none.
_CORE = "core-"
_STANDS_FOR = {"api": "state"}


class Frontend:
    """The front end of an installed Gradio.

    Args:
        folder: its ``templates/frontend``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def needed(self, kinds: Iterable[str]) -> list[str]:
        """Names of the scripts and styles that a page needs; empty when this Gradio is built in another way.

        Args:
            kinds: of the page's components, as Gradio's configuration names them.
        """
        entry = _ENTRY.search((self._folder / "index.html").read_text(encoding="utf-8"))
        if entry is None:
            return []
        found, script = [entry[1]], entry[1]
        for beginning in _STEPS:
            text = self._text(script)
            match = next((match for match in _LATER.finditer(text) if match[1].startswith(beginning)), None)
            if match is None:
                return []
            found += _files(text, match)
            script = match[1]
        core = next((name for name in found if name.startswith(_CORE)), "")
        text = self._text(core) if core else ""
        for kind in kinds:
            # An example of a component is another import, which comes before.
            name = _STANDS_FOR.get(kind, kind)
            place = re.search(rf"[{{,]{name}:{{(?:example:.{{1,200}}?)?component:", text)
            match = _LATER.search(text, place.end()) if place else None
            if match:
                found += _files(text, match)
        return [name for name in dict.fromkeys(found) if (self._folder / "assets" / name).is_file()]

    def serve(self, app: FastAPI, names: Iterable[str]) -> None:
        """Serves these files from memory, before Gradio is mounted; it serves the others."""
        for name in names:
            path = self._folder / "assets" / name
            app.router.routes.append(
                Route(f"{PREFIX}/{name}", _endpoint(Packed(path.read_bytes(), MEDIA_TYPES[path.suffix])))
            )

    @staticmethod
    def serve_theme(app: FastAPI, demo: gr.Blocks) -> None:
        """Serves the theme's style, which blocks have once they are mounted, likewise; its address has its digest."""
        shelf: list[Packed] = []

        async def theme(request: Request) -> Response:
            if not shelf:
                shelf.append(Packed(demo.theme_css.encode(), MEDIA_TYPES[".css"]))
            lasting = request.query_params.get("v") == demo.theme_hash
            return (shelf[0] if lasting else replace(shelf[0], caching="no-cache")).answer(request)

        app.router.routes.append(Route("/theme.css", theme))

    def _text(self, script: str) -> str:
        return (self._folder / "assets" / script).read_text(encoding="utf-8")


def _files(text: str, match: re.Match[str]) -> list[str]:
    """The script that a match imports later, and what that one needs."""
    listed = _LIST.search(text)
    names = [name.strip('"./') for name in listed[1].split(",")] if listed else []
    numbers = [int(number) for number in match[2].split(",") if number]
    return [match[1], *(names[number] for number in numbers if number < len(names))]


def _endpoint(packed: Packed) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return packed.answer(request)

    return endpoint


def hints(names: Iterable[str]) -> Iterator[str]:
    """The elements of the page's head by which a browser fetches these at once, as Gradio itself will ask for them."""
    for name in names:
        kind = 'rel="modulepreload"' if name.endswith(".js") else 'rel="preload" as="style"'
        yield f'<link {kind} crossorigin href="{PREFIX.lstrip("/")}/{name}">'
