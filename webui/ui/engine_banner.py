"""The engine banner: a place for what the engine is doing (loading stages, ready, restarting, failed and the fix)."""

from __future__ import annotations

import gradio as gr


def engine_banner() -> gr.Column:
    """Builds the place inside the current Gradio block; the scripts fill it from ``/api/events``."""
    with gr.Column(elem_id="tts-engine-banner", min_width=0) as banner:
        pass
    # Gradio is untyped: this keeps what it is known to be.
    column: gr.Column = banner
    return column
