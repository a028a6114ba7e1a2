"""The segments: one made again alone, a curve over them, and what each has of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser.visitor import Visitor
from tests.ui.stand_in import ABLE, RATE_HZ, StandIn

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
STORY = "One sentence to begin with. Then a second one, a little longer. 第三句话。"


def test_one_segment_is_made_again_and_put_in_its_place(visit: Visit, service: StandIn, tmp_path: Path) -> None:
    service.info = ABLE
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    page.click(".tts-segments summary")
    visitor.speak(STORY)
    page.wait_for_selector(".tts-segment:nth-child(3) .tts-mini-redo")
    before = visitor.saved(tmp_path / "before.wav")
    page.select_option(".tts-segment:nth-child(2) select", label="Gloomy")
    page.click(".tts-segment:nth-child(2) .tts-mini-redo")
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 2")
    first, again = service.requests
    assert (again.text.strip(), again.markup) == ("Then a second one,", False)
    assert again.seed != first.seed
    assert again.emotion.as_dict() == {"sad": 0.35, "melancholic": 0.6}
    assert again.emotion_mode == "vector"
    visitor.wait("() => document.querySelector('.tts-download').getAttribute('href') !== null")
    after = visitor.saved(tmp_path / "after.wav")
    old, new = (soundfile.read(io.BytesIO(content), dtype="int16")[0] for content in (before, after))
    changed = np.flatnonzero(old[: len(new)] != new[: len(old)])
    starts = visitor.evaluate(
        "() => [...document.querySelectorAll('.tts-segment-facts')].map((node) => node.innerText)"
    )
    second = int(float(starts[1].split(" ")[0].split(":")[1]) * RATE_HZ)
    assert len(changed) > 1000
    assert changed[0] >= second - RATE_HZ // 10
    assert np.array_equal(old[-RATE_HZ // 2 :], new[-RATE_HZ // 2 :]), "what follows is as it was"
    page.click(".tts-segment:nth-child(1) .tts-mini-play")
    visitor.wait("() => document.querySelector('.tts-segment.tts-heard')?.dataset.index === '0'")
    visitor.wait("() => document.querySelector('audio').paused")
    assert visitor.evaluate("() => document.querySelector('audio').currentTime") < 3.5


@pytest.mark.parametrize("width", [390, 1440])
def test_a_curve_over_the_segments_becomes_tags(visit: Visit, service: StandIn, width: int) -> None:
    visitor = visit(width=width)
    visitor.wait_for_voices()
    page = visitor.page
    page.click(".tts-segments summary")
    visitor.write("First. [speed=fast]Second. Third\\[pause].")
    page.wait_for_selector(".tts-segment:nth-child(3)")
    facts = page.locator(".tts-segment-facts").all_inner_texts()
    assert "4 symbols" in facts[0]
    assert "1.25×" in facts[1]
    assert page.get_attribute(".tts-segment-facts", "title") == "t e s t"
    page.select_option("#tts-curve-emotion", "sad")
    page.focus(".tts-curve circle[data-index='1']")
    for key in ("PageUp", "PageUp", "ArrowDown"):
        page.keyboard.press(key)
    assert page.get_attribute(".tts-curve circle[data-index='1']", "aria-valuenow") == "0.45"
    box = page.locator(".tts-curve circle[data-index='2']").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 8, box["y"] - 200)
    page.mouse.up()
    visitor.generate()
    visitor.wait_for_state("done")
    assert service.requests[0].text == "First.[emotion=sad:0.45][speed=1.25]Second.[emotion=sad:1]Third\\[pause]."
    assert page.input_value("#tts-text textarea") == "First. [speed=fast]Second. Third\\[pause]."
    page.click(".tts-curve-tools .tts-quiet")
    visitor.generate()
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 2")
    assert "[emotion" not in service.requests[1].text


def test_what_a_segment_has_of_its_own_survives_a_reload(visit: Visit, service: StandIn) -> None:
    service.info = ABLE
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    page.click(".tts-segments summary")
    visitor.write("Again. Once. Again.[pause=700ms]")
    page.wait_for_selector(".tts-segment:nth-child(3) select")
    assert "0.7 s pause after" in page.inner_text(".tts-segment:nth-child(3)")
    page.select_option(".tts-segment:nth-child(3) select", label="Gloomy")
    page.wait_for_timeout(300)  # what is set is written a moment later
    visitor.reload()
    visitor.wait_for_voices()
    page.wait_for_selector(".tts-segment:nth-child(3) select")
    shown = "() => [...document.querySelectorAll('.tts-segment select')].map((one) => one.selectedOptions[0].innerText)"
    assert visitor.evaluate(shown) == ["As set", "As set", "Gloomy"]
    page.click(".tts-segments summary")  # nobody has to see the list
    visitor.generate()
    visitor.wait_for_state("done")
    composed = "Again.Once.[emotion=sad:0.35,melancholic:0.6]Again.[pause=0.7s]"
    assert service.requests[0].text == composed
    page.click(".tts-segments summary")
    page.click(".tts-segment:nth-child(2) .tts-mini-redo")
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 2")
    visitor.wait("() => document.querySelector('.tts-download').getAttribute('href') !== null")
    page.wait_for_timeout(300)
    visitor.reload()
    visitor.wait_for_voices()
    page.wait_for_selector(".tts-take[data-shown]:nth-child(1)")
    visitor.wait("() => document.querySelector('.tts-download').getAttribute('href') !== null")
    page.wait_for_selector(".tts-segment:nth-child(3) .tts-mini-play")
    assert visitor.evaluate(shown) == ["As set", "As set", "Gloomy"]
    page.click(".tts-segment:nth-child(2) .tts-mini-play")
    visitor.wait("() => document.querySelector('.tts-segment.tts-heard')?.dataset.index === '1'")
    page.click(".tts-curve-tools .tts-quiet")
    visitor.generate()
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 3")
    assert service.requests[-1].text == "Again. Once. Again.[pause=700ms]"


def test_why_there_is_no_list_is_said_in_the_pages_language(visit: Visit, service: StandIn) -> None:
    """A mistake in the text by its own sentence; that the engine is slow without one that blames it."""
    answers = [
        (400, {"code": "wrong_tag", "param": "text", "message": "[emotion=hapy] names no emotion.", "fix": "Mend it."}),
        (503, {"code": "engine_away", "param": "", "message": "The engine does not answer.", "fix": "Try again."}),
    ]
    visitor = visit(language="zh-CN")
    visitor.wait_for_voices()
    page = visitor.page
    page.route("**/api/segments", lambda route: route.fulfill(status=answers[0][0], json={"error": answers[0][1]}))
    page.click(".tts-segments summary")
    visitor.write("[emotion=hapy]你好")
    page.wait_for_selector(".tts-segments > .tts-hint:has-text('无法识别标签')")
    assert "[emotion=hapy]" in page.inner_text(".tts-segments > .tts-hint")
    answers.pop(0)
    visitor.write("你好")
    page.wait_for_selector(".tts-segments > .tts-hint:has-text('暂时无法预览分句')")
    page.click(".tts-switch button:has-text('EN')")
    visitor.wait(
        "() => document.querySelector('.tts-segments > .tts-hint').innerText.includes('could not be looked up')"
    )
    page.unroute("**/api/segments")
    visitor.write("One. Two.")
    page.wait_for_selector(".tts-segment")
    assert not page.is_visible(".tts-segments > .tts-hint")
