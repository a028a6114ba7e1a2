"""The page's Gradio theme: colours for light and dark, system fonts, nothing fetched from elsewhere.

Invariant: the same colours stand in ``static/css/base.css`` as ``--tts-*``; Gradio's variables point at those, so a
colour is written once.
"""

from __future__ import annotations

import gradio as gr

_SANS = (
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

#: Gradio variable -> our colour; the same in light and dark because ours change themselves.
_COLOURS = {
    "body_background_fill": "--tts-ground",
    "body_text_color": "--tts-text",
    "body_text_color_subdued": "--tts-quiet",
    "background_fill_primary": "--tts-card",
    "background_fill_secondary": "--tts-ground",
    "block_background_fill": "--tts-card",
    "block_label_text_color": "--tts-text",
    "block_title_text_color": "--tts-text",
    "block_info_text_color": "--tts-quiet",
    "border_color_primary": "--tts-line",
    "border_color_accent": "--tts-accent",
    "color_accent_soft": "--tts-accent-soft",
    "input_background_fill": "--tts-field",
    "input_border_color": "--tts-line",
    "input_border_color_focus": "--tts-accent",
    "input_placeholder_color": "--tts-quiet",
    "button_primary_background_fill": "--tts-accent",
    "button_primary_background_fill_hover": "--tts-accent-strong",
    "button_primary_text_color": "--tts-on-accent",
    "button_secondary_background_fill": "--tts-field",
    "button_secondary_background_fill_hover": "--tts-line",
    "button_secondary_text_color": "--tts-text",
    "slider_color": "--tts-accent",
}


def build_theme() -> gr.themes.Base:
    """The theme for ``mount_gradio_app``."""
    theme = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="stone",
        radius_size="lg",
        font=_SANS,
        font_mono=_MONO,
    )
    values = {name: f"var({colour})" for name, colour in _COLOURS.items()}
    return theme.set(**values, **{f"{name}_dark": value for name, value in values.items() if name != "color_accent"})
