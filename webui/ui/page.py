"""The page on the application: `mount` adds its routes, its scripts and Gradio at ``/``.

Our part of the head stands in the page itself: in Gradio's configuration it would be found only when Gradio's own
scripts are there and have run.

Invariants: the page loads nothing from another host; importing this module does not import Gradio, `mount` does,
after `webui.ui.gradio_import` has made that quicker.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.settings import PageSettings
from webui.ui import assets as page_assets
from webui.ui.bundle import BUNDLE
from webui.ui.catalogs import LANGUAGES, gradio_texts, load_catalogs
from webui.ui.frontend import Frontend, hints
from webui.ui.gradio_import import prepare_import

if TYPE_CHECKING:
    import gradio as gr

    from webui.ui.tabs import Tab


def mount(
    app: FastAPI,
    *,
    settings: PageSettings,
    tabs: tuple[Tab, ...] | None = None,
    assets: page_assets.Assets | None = None,
) -> FastAPI:
    """Mounts the page at ``/``; every other route must have been added before.

    Args:
        app: the application that has the HTTP routes of the speech service.
        settings: of the page's process.
        tabs: besides the Speak tab; ``None`` takes `webui.ui.tabs.TABS`.
        assets: scripts, styles and texts; ``None`` reads the package's.

    Returns:
        The same application.
    """
    prepare_import()
    import gradio as gr

    from webui.ui.client_api import offer_speech
    from webui.ui.layout import TITLE, build_page, wire
    from webui.ui.tabs import SPEAK, TABS, describe

    assets = assets or page_assets.collect()
    page_assets.serve(app, assets)
    texts = gr.I18n(**gradio_texts(load_catalogs()))
    tabs = TABS if tabs is None else tabs
    demo, panels = build_page(texts, tabs)
    offer_speech(demo, app, Path(settings.temp_dir).resolve() / "spoken")
    frontend = Frontend(Path(gr.__file__).parent / "templates" / "frontend")
    needed = frontend.needed(sorted({block.get_block_name() for block in demo.blocks.values()}))
    frontend.serve(app, needed)
    frontend.serve_theme(app, demo)
    configuration = {
        "title": TITLE,
        "version": settings.version,
        "maxTextChars": settings.max_text_chars,
        "logOut": f"{settings.root_path}/logout" if settings.token or settings.users else "",
        "languages": LANGUAGES,
        "catalogs": {code: assets.address(f"i18n/{code}.json") for code in LANGUAGES},
        "parts": wire(panels),
        "tabs": [describe(tab, assets) for tab in (SPEAK, *tabs)],
    }
    mount_blocks(app, demo, settings=settings, texts=texts)
    theme = f'<link rel="preload" as="style" href="theme.css?v={demo.theme_hash}">'
    app.add_middleware(WithHead, head="".join([*hints(needed), theme, *_head(assets, configuration)]))
    return app


def mount_blocks(app: FastAPI, demo: gr.Blocks, *, settings: PageSettings, texts: gr.I18n | None = None) -> FastAPI:
    """Mounts ``demo`` at ``/`` of ``app`` with everything off that would leave traces or reach other hosts."""
    import gradio as gr

    from webui.ui.theme import build_theme

    gr.mount_gradio_app(
        app,
        demo,
        path="/",
        root_path=settings.root_path or None,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=settings.max_body_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        i18n=texts,
        theme=build_theme(),
    )
    # Gradio checks which files a request may name only in blocks that have "launched"; mounting does not count.
    demo.has_launched = True
    return app


def _head(assets: page_assets.Assets, configuration: dict[str, Any]) -> list[str]:
    value = html.escape(json.dumps(configuration, ensure_ascii=False), quote=True)
    # A tab's own styles come when it is opened.
    sheets = sorted(name for name in assets.files if name.endswith(".css") and not name.startswith("css/tab_"))
    return [
        f'<meta name="tts-page" content="{value}">',
        f'<link rel="icon" type="image/svg+xml" href="{assets.address(page_assets.ICON)}">',
        *(f'<link rel="stylesheet" href="{assets.address(name)}">' for name in sheets),
        f'<script type="module" src="{assets.address(BUNDLE)}"></script>',
    ]


class WithHead:
    """ASGI middleware that writes something at the end of the page's head.

    Args:
        app: answers ``/`` with a page.
        head: what it writes.
    """

    def __init__(self, app: ASGIApp, head: str) -> None:
        self.app = app
        self._head = head.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, and the page with the head."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in ("/", ""):
            send = _Insertion(send, self._head).send
        await self.app(scope, receive, send)


class _Insertion:
    """Holds an answer back until it is whole, and sends it with ``head`` if it is a page."""

    def __init__(self, send: Send, head: bytes) -> None:
        self._send = send
        self._head = head
        self._start: Message = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        headers = MutableHeaders(raw=list(self._start["headers"]))
        if headers.get("content-type", "").startswith("text/html"):
            before, end, after = bytes(self._body).partition(b"</head>")
            self._body = bytearray(before + self._head + end + after if end else before)
            headers["content-length"] = str(len(self._body))
        await self._send({**self._start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": bytes(self._body)})
