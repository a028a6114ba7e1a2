"""The emotion panel: eight sliders in IndexTTS order, the intensity of the whole, and a place for the live radar."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from webui.emotion import EMOTIONS

STEP = 0.05


@dataclass(frozen=True)
class EmotionPanel:
    """The panel's components.

    Attributes:
        panel: the card around them; the scripts hide it when the engine takes no emotion vector.
        moods: an empty place for where the emotion comes from, the named moods and the reset.
        body: radar and sliders.
        radar: an empty place for the picture of the eight values.
        sliders: one for each name of `EMOTIONS`, 0 to 1.
        intensity: factor on all of them, 0 to 1.
    """

    panel: gr.Column
    moods: gr.Column
    body: gr.Row
    radar: gr.Column
    sliders: dict[str, gr.Slider]
    intensity: gr.Slider


def emotion_panel(texts: gr.I18n) -> EmotionPanel:
    """Builds the panel inside the current Gradio block."""
    with gr.Column(elem_id="tts-emotion-panel", elem_classes="tts-panel") as panel:
        with gr.Column(elem_id="tts-moods", min_width=0) as moods:
            pass
        with gr.Row(elem_id="tts-emotion-body") as body:
            with gr.Column(elem_id="tts-radar", min_width=0) as radar:
                pass
            with gr.Column(elem_id="tts-emotion-sliders", min_width=0):
                sliders = {name: _slider(texts, name, 0.0) for name in EMOTIONS}
        intensity = _slider(texts, "intensity", 1.0)
    return EmotionPanel(panel, moods, body, radar, sliders, intensity)


def _slider(texts: gr.I18n, name: str, value: float) -> gr.Slider:
    return gr.Slider(
        0.0,
        1.0,
        value=value,
        step=STEP,
        label=texts(f"emotion_{name}"),
        buttons=[],
        interactive=True,
        elem_id=f"tts-emotion-{name}",
        elem_classes="tts-slider",
    )
