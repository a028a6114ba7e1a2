"""The text panel: what to say, how long it is, and examples to start from."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class TextPanel:
    """The panel's components.

    Attributes:
        panel: the card around them.
        text: what to say.
        footer: an empty place in which the scripts show the examples and the number of characters.
    """

    panel: gr.Column
    text: gr.Textbox
    footer: gr.Column


def text_panel(texts: gr.I18n) -> TextPanel:
    """Builds the panel inside the current Gradio block."""
    with gr.Column(elem_id="tts-text-panel", elem_classes="tts-panel") as panel:
        # No max_length: the browser would cut a paste without a word. The scripts count, and say what is too long.
        text = gr.Textbox(
            label=texts("text_label"),
            placeholder=texts("text_placeholder"),
            lines=7,
            max_lines=14,
            interactive=True,
            elem_id="tts-text",
        )
        with gr.Column(elem_id="tts-text-footer", min_width=0) as footer:
            pass
    return TextPanel(panel, text, footer)
