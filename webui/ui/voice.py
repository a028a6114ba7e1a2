"""The voice panel: who speaks, in which language, how fast.

Invariant: voices and languages belong to the engine, which may not be there yet; the scripts fill their places from
``/api/info`` and narrow the speed to what the engine takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from webui.engine.base import SPEED_RANGE

#: Speech slower or faster than this is rarely meant, and a slider that holds all of `SPEED_RANGE` is hard to set.
SLIDER_RANGE = (max(SPEED_RANGE[0], 0.5), min(SPEED_RANGE[1], 2.0))
SPEED_STEP = 0.05


@dataclass(frozen=True)
class VoicePanel:
    """The panel's components.

    Attributes:
        panel: the card around them.
        choices: an empty place for the voices and the language.
        speed: factor on the voice's natural rate.
    """

    panel: gr.Column
    choices: gr.Column
    speed: gr.Slider


def voice_panel(texts: gr.I18n) -> VoicePanel:
    """Builds the panel inside the current Gradio block."""
    with gr.Column(elem_id="tts-voice-panel", elem_classes="tts-panel") as panel:
        with gr.Column(elem_id="tts-voice-choices", min_width=0) as choices:
            pass
        speed = gr.Slider(
            *SLIDER_RANGE,
            value=1.0,
            step=SPEED_STEP,
            label=texts("speed_label"),
            buttons=[],
            interactive=True,
            elem_id="tts-speed",
            elem_classes="tts-slider",
        )
    return VoicePanel(panel, choices, speed)
