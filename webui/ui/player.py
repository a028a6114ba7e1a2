"""The player: Generate and Stop, and places for progress, waveform, replay and download."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Player:
    """The panel's components.

    Attributes:
        panel: the card around them.
        generate, stop: the two buttons.
        seed: an empty place for the seed.
        screen: an empty place for all that moves while speech is made and played.
        segments: an empty place for the segments.
    """

    panel: gr.Column
    generate: gr.Button
    stop: gr.Button
    seed: gr.Column
    screen: gr.Column
    segments: gr.Column


def player_panel(texts: gr.I18n) -> Player:
    """Builds the panel inside the current Gradio block."""
    with gr.Column(elem_id="tts-player-panel", elem_classes="tts-panel") as panel:
        with gr.Row(elem_id="tts-actions"):
            generate = gr.Button(texts("generate"), variant="primary", elem_id="tts-generate", min_width=0)
            stop = gr.Button(texts("stop"), variant="secondary", interactive=False, elem_id="tts-stop", min_width=0)
        with gr.Column(elem_id="tts-seed-place", min_width=0) as seed:
            pass
        with gr.Column(elem_id="tts-screen", min_width=0) as screen:
            pass
        with gr.Column(elem_id="tts-segments", min_width=0) as segments:
            pass
    return Player(panel, generate, stop, seed, screen, segments)
