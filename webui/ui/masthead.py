"""The masthead: the page's name and the two switches, language and light or dark."""

from __future__ import annotations

import gradio as gr


def masthead() -> gr.Column:
    """Builds the place inside the current Gradio block; the scripts fill it."""
    with gr.Column(elem_id="tts-masthead", min_width=0) as place:
        pass
    # Gradio is untyped: this keeps what it is known to be.
    column: gr.Column = place
    return column
