"""The tabs of the page, in order: one line for each.

The Speak tab is the page itself and always there. Every other one is an empty column until it is opened for the first
time: then ``static/js/tabs.js`` loads its script, its styles and its texts, and calls the script's
``open(panel, context)``.

Invariant: a tab that nobody opened costs one button; its name is its address (``#voices``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from webui.ui.assets import Assets
from webui.ui.catalogs import LANGUAGES


@dataclass(frozen=True)
class Tab:
    """A tab.

    Attributes:
        name: word of the address; ``css/tab_<name>.css`` and ``i18n/<name>.<language>.json`` belong to it, if there.
        title_key: its title among the texts of the page.
        script: name of its script under ``static``, which exports ``open(panel, context)``.
        build: fills its column with Gradio components when the page is built; most tabs leave that to the script.
    """

    name: str
    title_key: str
    script: str | None = None
    build: Callable[[], None] | None = None

    @property
    def panel_id(self) -> str:
        """Element id of the column."""
        return f"tts-tab-{self.name}"


SPEAK = Tab("speak", "tab_speak")
#: Besides `SPEAK`, which comes first.
TABS: tuple[Tab, ...] = (
    Tab("batch", "tab_batch", "js/tab_batch.js"),
    Tab("voices", "tab_voices", "js/tab_voices.js"),
    Tab("presets", "tab_presets", "js/tab_presets.js"),
    Tab("history", "tab_history", "js/tab_history.js"),
    Tab("system", "tab_system", "js/tab_system.js"),
)


def tab_bar() -> gr.Column:
    """An empty place for the buttons."""
    bar = gr.Column(elem_id="tts-tabs", min_width=0)
    with bar:
        pass
    return bar


def build_tab(tab: Tab) -> gr.Column:
    """The tab's column inside the current Gradio block."""
    panel = gr.Column(elem_id=tab.panel_id, elem_classes="tts-tab-panel", min_width=0)
    with panel:
        if tab.build is not None:
            tab.build()
    return panel


def describe(tab: Tab, assets: Assets) -> dict[str, Any]:
    """What ``static/js/tabs.js`` needs to know of a tab; addresses of what there is."""
    style = f"css/tab_{tab.name}.css"
    texts = {code: f"i18n/{tab.name}.{code}.json" for code in LANGUAGES}
    return {
        "name": tab.name,
        "title": tab.title_key,
        "panel": tab.panel_id,
        "script": None if tab.script is None else assets.address(tab.script),
        "style": assets.address(style) if style in assets.files else None,
        "texts": {code: assets.address(name) for code, name in texts.items() if name in assets.files},
    }
