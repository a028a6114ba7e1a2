"""The page's texts in every language: one flat JSON file each, read by Gradio's labels and by the page's scripts.

The texts of a tab may lie in files of their own, ``<tab>.<language>.json``, which are loaded when it is opened.

Invariants: a key is in one file of a language only; every catalog has the same keys (a test compares them); a
text may hold ``{name}`` places only when the scripts fill it in, because Gradio shows texts as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from webui.emotion import EMOTIONS

FOLDER = Path(__file__).parent / "i18n"
#: The first is used when the browser asks for none of them.
LANGUAGES = ("en", "zh")
#: What Gradio's components are labelled with; the scripts have all other texts, and set these, too.
GRADIO_KEYS = (
    *("text_label", "text_placeholder", "generate", "stop", "speed_label", "emotion_intensity"),
    *(f"emotion_{name}" for name in EMOTIONS),
)
#: Tags under which Gradio's own front end knows Chinese; it does not fall back from a region to ``zh``.
_GRADIO_TAGS = {"en": ("en",), "zh": ("zh", "zh-CN", "zh-TW")}


def load_catalogs() -> dict[str, dict[str, str]]:
    """The texts that the page starts with, by language code and key."""
    return {code: json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8")) for code in LANGUAGES}


def load_all_catalogs() -> dict[str, dict[str, str]]:
    """`load_catalogs` with the texts of every tab.

    Raises:
        ValueError: when two files of a language have the same key.
    """
    catalogs = load_catalogs()
    for code, texts in catalogs.items():
        for path in sorted(FOLDER.glob(f"*.{code}.json")):
            own = json.loads(path.read_text(encoding="utf-8"))
            if own.keys() & texts.keys():
                raise ValueError(f"{path.name} repeats {sorted(own.keys() & texts.keys())}")
            texts.update(own)
    return catalogs


def gradio_texts(catalogs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The labels of Gradio's components for ``gr.I18n``, by Gradio's language tag: they stand in the page itself."""
    return {
        tag: {key: catalogs[code][key] for key in GRADIO_KEYS} for code, tags in _GRADIO_TAGS.items() for tag in tags
    }
