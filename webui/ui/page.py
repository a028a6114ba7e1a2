"""The page on the application: `mount` adds its routes, its scripts and Gradio at ``/``.

Invariants: the page loads nothing from another host; importing this module does not import Gradio, `mount` does,
after `webui.ui.gradio_import` has made that quicker.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from webui.settings import PageSettings
from webui.ui import assets as page_assets
from webui.ui.catalogs import LANGUAGES, gradio_texts, load_catalogs
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
    return mount_blocks(app, demo, settings=settings, texts=texts, head=_head(assets, configuration))


def mount_blocks(
    app: FastAPI, demo: gr.Blocks, *, settings: PageSettings, texts: gr.I18n | None = None, head: str = ""
) -> FastAPI:
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
        head=head,
    )
    # Gradio checks which files a request may name only in blocks that have "launched"; mounting does not count.
    demo.has_launched = True
    return app


def imported(script: str, assets: page_assets.Assets) -> list[str]:
    """The scripts that a script needs, and theirs: a browser told of all of them fetches them at once, not in turn."""
    found: list[str] = []
    waiting = [script]
    while waiting:
        name = waiting.pop()
        for target in re.findall(rb'^(?:import|export).* from "(\.[^"]+)";', assets.files[name], re.MULTILINE):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.decode()))
            if other not in found and other != script:
                found.append(other)
                waiting.append(other)
    return sorted(found)


def _head(assets: page_assets.Assets, configuration: dict[str, Any]) -> str:
    value = html.escape(json.dumps(configuration, ensure_ascii=False), quote=True)
    # A tab's own styles come when it is opened.
    sheets = sorted(name for name in assets.files if name.endswith(".css") and not name.startswith("css/tab_"))
    return "".join(
        [
            f'<meta name="tts-page" content="{value}">',
            f'<link rel="icon" type="image/svg+xml" href="{assets.address(page_assets.ICON)}">',
            *(f'<link rel="stylesheet" href="{assets.address(name)}">' for name in sheets),
            *(f'<link rel="modulepreload" href="{assets.address(name)}">' for name in imported("js/main.js", assets)),
            f'<script type="module" src="{assets.address("js/main.js")}"></script>',
        ]
    )
