"""The layout: every panel in its place, and which component plays which part.

The panels are Gradio components and empty columns. Speech never passes through Gradio: the scripts in ``static/js``
read the components, call the HTTP routes beside the page and fill the columns, so that a sound starts as soon as the
engine has made it. `wire` is the one place where components and scripts meet. ``gr.HTML`` is not used: it builds its
templates with ``eval``, which the page's content security policy need not allow, and it does not escape.

Invariant: Gradio has no event here; its one API name is that of `webui.ui.client_api`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from webui.emotion import EMOTIONS
from webui.ui.emotion import EmotionPanel, emotion_panel
from webui.ui.engine_banner import engine_banner
from webui.ui.engine_note import engine_note
from webui.ui.masthead import masthead
from webui.ui.player import Player, player_panel
from webui.ui.tabs import SPEAK, TABS, Tab, build_tab, tab_bar
from webui.ui.text import TextPanel, text_panel
from webui.ui.voice import VoicePanel, voice_panel

TITLE = "TTS Launcher"


@dataclass(frozen=True)
class Panels:
    """Everything on the page."""

    masthead: gr.Column
    banner: gr.Column
    tabs: gr.Column
    text: TextPanel
    player: Player
    voice: VoicePanel
    emotion: EmotionPanel
    advanced: gr.Column
    takes: gr.Column
    note: gr.Column


def build_page(texts: gr.I18n, tabs: tuple[Tab, ...] = TABS) -> tuple[gr.Blocks, Panels]:
    """The page's blocks; two columns where there is room, one on a phone, in the order of reading.

    Args:
        texts: of the components' labels.
        tabs: besides the Speak tab.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as demo:
        top, banner, bar = masthead(), engine_banner(), tab_bar()
        with gr.Column(elem_id=SPEAK.panel_id, min_width=0):
            with gr.Row(elem_id="tts-columns"):
                with gr.Column(elem_id="tts-left", min_width=0):
                    text, player, note = text_panel(texts), player_panel(texts), engine_note()
                with gr.Column(elem_id="tts-right", min_width=0):
                    voice, emotion, advanced = voice_panel(texts), emotion_panel(texts), empty_card("tts-advanced")
            takes = empty_card("tts-takes-panel")
        for tab in tabs:
            build_tab(tab)
    return demo, Panels(top, banner, bar, text, player, voice, emotion, advanced, takes, note)


def empty_card(elem_id: str) -> gr.Column:
    """A card that the scripts fill, and hide while there is nothing in it."""
    card = gr.Column(elem_id=elem_id, elem_classes="tts-panel", min_width=0)
    with card:
        pass
    return card


def wire(panels: Panels) -> dict[str, Any]:
    """Which component plays which part, by element id: what ``static/js/main.js`` needs to connect them."""
    emotion = panels.emotion
    return {
        "masthead": panels.masthead.elem_id,
        "banner": panels.banner.elem_id,
        "tabBar": panels.tabs.elem_id,
        "note": panels.note.elem_id,
        "textPanel": panels.text.panel.elem_id,
        "text": panels.text.text.elem_id,
        "textFooter": panels.text.footer.elem_id,
        "playerPanel": panels.player.panel.elem_id,
        "generate": panels.player.generate.elem_id,
        "stop": panels.player.stop.elem_id,
        "screen": panels.player.screen.elem_id,
        "seed": panels.player.seed.elem_id,
        "segments": panels.player.segments.elem_id,
        "takes": panels.takes.elem_id,
        "advanced": panels.advanced.elem_id,
        "voicePanel": panels.voice.panel.elem_id,
        "voiceChoices": panels.voice.choices.elem_id,
        "speed": panels.voice.speed.elem_id,
        "emotionPanel": emotion.panel.elem_id,
        "moods": emotion.moods.elem_id,
        "emotionBody": emotion.body.elem_id,
        "radar": emotion.radar.elem_id,
        "intensity": emotion.intensity.elem_id,
        "emotions": {name: emotion.sliders[name].elem_id for name in EMOTIONS},
    }
