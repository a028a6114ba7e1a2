"""Small screens, forced colours and writing to the left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


def test_on_the_smallest_screen_nothing_lies_on_anything_else(visit: Visit) -> None:
    visitor = visit(width=320)
    visitor.wait_for_voices()
    overlap = visitor.evaluate(
        """() => { const box = (query) => document.querySelector(query).getBoundingClientRect();
          const title = box('.tts-brand h1'); const panel = box('#tts-emotion-panel');
          const covered = title.width > 1 && title.right > box('.tts-switches').left;
          return [covered, box('#tts-emotion-reset').right > panel.right]; }"""
    )
    assert overlap == [False, False]


def test_on_a_phone_the_bar_shows_every_tab_or_that_there_are_more(visit: Visit) -> None:
    visitor = visit(language="zh-CN", width=390)
    last = """() => { const bar = document.querySelector('.tts-tabs').getBoundingClientRect();
      return document.querySelector('[data-tab=system]').getBoundingClientRect().right - bar.right; }"""
    assert visitor.evaluate(last) <= 0
    visitor.page.click(".tts-switch button:has-text('EN')")
    visitor.wait("() => document.querySelector('[data-tab=system]').innerText === 'System'")
    assert visitor.evaluate(last) > 0, "the tabs fit: nothing is left to be tested"
    shades = visitor.evaluate("() => getComputedStyle(document.querySelector('.tts-tabs')).backgroundAttachment")
    assert shades.split(", ")[:4] == ["local", "local", "scroll", "scroll"]


def test_what_is_chosen_is_seen_in_forced_colours(visit: Visit) -> None:
    visitor = visit(forced_colors="active")
    visitor.wait_for_voices()
    visitor.page.click("[data-mood=cheerful]")
    colour = "(query) => getComputedStyle(document.querySelector(query)).backgroundColor"
    for chosen, other in (
        ("[data-tab=speak]", "[data-tab=batch]"),
        (".tts-voice[aria-checked=true]", ".tts-voice[aria-checked=false]"),
        ("[data-mood=cheerful]", "[data-mood=gentle]"),
        (".tts-switch [aria-pressed=true]", ".tts-switch [aria-pressed=false]"),
    ):
        assert visitor.evaluate(colour, chosen) != visitor.evaluate(colour, other), chosen
    filled = "() => getComputedStyle(document.querySelector('#tts-emotion-happy input[type=range]')).backgroundImage"
    assert "gradient" in visitor.evaluate(filled)
    edge = "() => getComputedStyle(document.querySelector('#tts-generate')).outlineStyle"
    assert visitor.evaluate(edge) == "solid"


def test_a_text_that_runs_to_the_left_begins_at_the_right(visit: Visit) -> None:
    visitor = visit()
    direction = "() => getComputedStyle(document.querySelector('#tts-text textarea')).direction"
    assert visitor.evaluate(direction) == "ltr"
    visitor.write("مرحبا بالعالم")
    assert visitor.evaluate(direction) == "rtl"
