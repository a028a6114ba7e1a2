"""What sounds wrong, on the Speak tab: chosen, marked with its reason, made again, kept over a reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.browser.visitor import Visitor
from tests.ui.stand_in import INFO, StandIn
from webui.quality.findings import Finding

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
TEXT = "One sentence to begin with. Then a second one, a little longer. 第三句话。"
ABLE = replace(INFO, capabilities=("emotion_vector", "seed", "redo"))
GAP = Finding("gap", 2.5, 0.8)
WORDS = {"en-US": "There is a silence of 2.5 s inside it.", "zh-CN": "中间有 2.5 秒的静音。"}


def suspects(visitor: Visitor) -> list[str]:
    """The segments that are marked, each with its sentences."""
    return [str(node.inner_text()) for node in visitor.page.query_selector_all(".tts-suspect .tts-findings")]


@pytest.mark.parametrize(("language", "width"), [("en-US", 1440), ("zh-CN", 390)])
def test_a_part_that_sounds_wrong_says_why_and_is_made_again(
    visit: Visit, service: StandIn, language: str, width: int
) -> None:
    service.info = ABLE
    service.marks = {1: {"findings": [GAP.to_json()]}, 2: {"redos": 2, "seed": 77}}
    visitor = visit(language=language, width=width)
    visitor.wait_for_voices()
    page = visitor.page
    page.click("#tts-advanced summary")
    options = page.eval_on_selector_all("#tts-quality option", "options => options.map((option) => option.value)")
    assert options == ["auto", "off", "mark", "redo"]
    page.select_option("#tts-quality", "redo")
    page.fill("#tts-redos", "5")
    page.press("#tts-redos", "Tab")
    visitor.write(TEXT)
    visitor.generate()
    visitor.wait_for_state("done")
    asked = service.requests[-1]
    assert (asked.quality, asked.redos) == ("redo", 5)
    page.wait_for_selector(".tts-suspect")
    assert suspects(visitor) == [WORDS[language]]
    assert page.get_attribute(".tts-suspect", "data-index") == "1"
    assert "1" in visitor.message("player")
    assert "2" in str(page.inner_text('.tts-segment[data-index="2"] .tts-segment-facts'))
    page.reload()
    visitor.wait_until_filled()
    page.click('.tts-take [data-key$="/play"]')
    page.wait_for_selector(".tts-suspect")
    assert suspects(visitor) == [WORDS[language]], "kept in the browser"
    assert page.input_value("#tts-quality") == "redo" and page.input_value("#tts-redos") == "5"
    service.marks = {}
    page.click(".tts-suspect .tts-mini-redo")
    page.wait_for_selector(".tts-suspect", state="detached")
    visitor.wait_for_state("done")
    assert service.requests[-1].text.strip().startswith("Then a second one")
    assert page.query_selector("#tts-player-panel .tts-message:not([hidden])") is None


def test_an_engine_that_cannot_speak_again_only_marks(visit: Visit, service: StandIn) -> None:
    service.marks = {0: {"findings": [GAP.to_json(), Finding("clipped", 0.02, 0.0005).to_json()]}}
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    page.click("#tts-advanced summary")
    options = page.eval_on_selector_all("#tts-quality option", "options => options.map((option) => option.value)")
    assert options == ["auto", "off", "mark"] and not page.is_visible("#tts-redos")
    visitor.write(TEXT)
    visitor.generate()
    visitor.wait_for_state("done")
    assert (service.requests[-1].quality, service.requests[-1].redos) == ("auto", 8)
    page.wait_for_selector(".tts-suspect")
    assert len(suspects(visitor)) == 1 and "2.00%" in suspects(visitor)[0]
