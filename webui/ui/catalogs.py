"""The page's texts in every language: one flat JSON file each, read by Gradio's labels and by the page's scripts.

Invariants: every catalog has the same keys (a test compares them); a text may hold ``{name}`` places only when the
scripts fill it in, because Gradio shows texts as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "i18n"
#: The first is used when the browser asks for none of them.
LANGUAGES = ("en", "zh")
#: Tags under which Gradio's own front end knows Chinese; it does not fall back from a region to ``zh``.
_GRADIO_TAGS = {"en": ("en",), "zh": ("zh", "zh-CN", "zh-TW")}


def load_catalogs() -> dict[str, dict[str, str]]:
    """The texts by language code and key."""
    return {code: json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8")) for code in LANGUAGES}


def gradio_texts(catalogs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """``catalogs`` for ``gr.I18n``: the texts without places to fill in, by Gradio's language tag."""
    return {
        tag: {key: text for key, text in catalogs[code].items() if "{" not in text}
        for code, tags in _GRADIO_TAGS.items()
        for tag in tags
    }
