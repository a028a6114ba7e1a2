"""The engine note: a place for what kind of voice this is and what other engines add, in the engine's own words."""

from __future__ import annotations

import gradio as gr


def engine_note() -> gr.Column:
    """Builds the place inside the current Gradio block; the scripts fill it from ``/api/info``."""
    with gr.Column(elem_id="tts-engine-note", min_width=0) as note:
        pass
    # Gradio is untyped: this keeps what it is known to be.
    column: gr.Column = note
    return column
