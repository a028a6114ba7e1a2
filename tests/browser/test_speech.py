"""From the text to the file: streaming, playing, stopping, failing, waiting."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.progress import Progress
from tests.browser.visitor import Visitor
from tests.ui.stand_in import RATE_HZ, StandIn

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
STORY = "One sentence to begin with. Then a second one, a little longer. And a third."


def eventually(check: Callable[[], bool]) -> bool:
    """Whether ``check`` comes true in half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_text_becomes_sound_and_a_file(
    visit: Visit, service: StandIn, language: str, width: int, tmp_path: Path
) -> None:
    visitor = visit(language=language, width=width)
    visitor.wait_for_voices()
    visitor.write("你好，世界。Hello world!")
    visitor.generate()
    visitor.wait_for_state("done")
    visitor.wait("() => document.querySelector('audio').duration > 0.5")
    seconds = visitor.evaluate("() => document.querySelector('audio').duration")
    with visitor.page.expect_download() as download:
        visitor.page.click(".tts-download")
    target = tmp_path / "speech.wav"
    download.value.save_as(target)
    assert download.value.suggested_filename.startswith("你好-世界-Hello-world_aoi_")
    with wave.open(io.BytesIO(target.read_bytes())) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert file.getnframes() / RATE_HZ == pytest.approx(seconds, abs=0.01)
    assert service.requests[0].text == "你好，世界。Hello world!"
    assert service.finished == 1
    assert visitor.console_errors == []


def test_sound_is_heard_while_the_rest_is_made(visit: Visit, service: StandIn) -> None:
    service.chunk_delay_s, service.chunk_s = 0.3, 0.4
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY * 3)
    visitor.generate()
    visitor.wait("() => Number(document.querySelector('.tts-wave').dataset.heard) > 0.5")
    assert visitor.state() == "working"
    before = float(visitor.page.get_attribute("#tts-screen", "data-clock") or 0)
    visitor.wait("(before) => Number(document.querySelector('#tts-screen').dataset.clock) > before + 0.3", before)
    assert visitor.page.inner_text(".tts-spoken") in STORY
    assert int(visitor.page.get_attribute(".tts-progress", "aria-valuemax") or 0) == 12


def test_steady_sound_has_no_gap(visit: Visit, service: StandIn) -> None:
    service.chunk_delay_s, service.chunk_s = 0.05, 0.4
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY)
    visitor.generate()
    visitor.wait_for_state("done")
    visitor.wait("() => document.querySelector('#tts-screen').dataset.sounding === 'false'")
    assert visitor.page.get_attribute("#tts-screen", "data-underruns") == "0"


def test_a_take_shows_at_once_how_long_the_text_takes(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY)
    assert "ready in" not in visitor.page.inner_text(".tts-estimate")
    visitor.generate()
    visitor.page.wait_for_selector(".tts-estimate:has-text('ready in')")


@pytest.mark.parametrize("by", ["button", "key"])
def test_stop_cancels_on_the_server_and_keeps_what_was_made(visit: Visit, service: StandIn, by: str) -> None:
    service.chunk_delay_s = 0.2
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY * 5)
    visitor.generate()
    visitor.wait("() => Number(document.querySelector('.tts-wave').dataset.heard) > 0.2")
    if by == "button":
        visitor.page.click("#tts-stop")
    else:
        visitor.page.keyboard.press("Escape")
    visitor.wait_for_state("stopped")
    assert eventually(lambda: service.cancelled >= 1)  # the test before may have left one
    assert service.finished == 0
    assert visitor.page.get_attribute(".tts-download", "href").startswith("blob:")
    assert visitor.page.is_disabled("#tts-stop")
    visitor.wait("() => document.querySelector('#tts-screen').dataset.sounding === 'false'")


def test_a_reload_right_after_the_end_tells_of_no_interruption(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.speak("Heard to its end.")
    visitor.reload()
    visitor.page.wait_for_selector("#tts-screen[data-state=done]")
    assert not visitor.page.is_visible("#tts-player-panel .tts-message")


def test_a_reload_while_it_speaks_is_told_and_what_was_heard_before_stays(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.speak("Heard to its end.")
    service.chunk_delay_s = 0.3
    visitor.write(STORY * 5)
    visitor.generate()
    visitor.wait("() => Number(document.querySelector('.tts-wave').dataset.heard) > 0.2")
    visitor.reload()
    assert "loaded again while it spoke" in visitor.message("player")
    assert visitor.page.input_value("#tts-text textarea") == STORY * 5
    visitor.wait_for_state("done")
    visitor.reload()
    visitor.page.wait_for_selector(".tts-take[data-shown]")
    assert visitor.page.locator(".tts-message:visible").count() == 0, "told once"


def test_two_tabs_do_not_undo_each_other(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    other = visitor.context.new_page()
    other.goto(visitor.address)
    other.wait_for_selector("[data-voice]")
    other.fill("#tts-text textarea", "Written in the other tab.")
    other.wait_for_timeout(400)  # what is set is written a moment later
    visitor.page.fill("#tts-speed input[type=number]", "1.3")
    visitor.page.wait_for_timeout(400)
    visitor.reload()
    assert visitor.page.input_value("#tts-text textarea") == "Written in the other tab."
    assert visitor.page.input_value("#tts-speed input[type=number]") == "1.3"


@pytest.mark.parametrize(
    ("code", "message", "panel", "words"),
    [
        ("wrong_tag", "[emotion=hapy] names no emotion that is known.", "text", "无法识别标签 [emotion=hapy]"),
        ("wrong_tag", "the pauses of this text are longer than 120 s together.", "text", "超过了两分钟"),
        ("language_unsupported", "text is in a script that no voice here reads.", "text", "读不了这种文字"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_in_the_readers_language(
    visit: Visit, service: StandIn, code: str, message: str, panel: str, words: str
) -> None:
    visitor = visit(language="zh-CN")
    visitor.wait_for_voices()
    visitor.write("你好。")
    service.answers.append((400, {"error": {"code": code, "param": "input", "message": message, "fix": "x"}}, {}))
    visitor.generate()
    assert words in visitor.message(panel)


def test_keys_alone_lead_from_text_to_download(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    keyboard = visitor.page.keyboard
    visitor.page.focus("#tts-text textarea")
    keyboard.type("Only keys.")
    keyboard.press("Control+Enter")
    visitor.wait_for_state("done")
    visitor.page.focus("#tts-text textarea")
    for _ in range(16):
        keyboard.press("Tab")
        if visitor.evaluate("() => document.activeElement.classList.contains('tts-download')"):
            break
    assert visitor.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with visitor.page.expect_download():
        keyboard.press("Enter")


def test_generate_pressed_early_waits_for_the_engine(visit: Visit, service: StandIn) -> None:
    service.engine_state = "starting"
    service.progress = Progress("load", 1, 4, "steps", None, 3.0)
    visitor = visit()
    visitor.write("Early bird.")
    visitor.generate()
    visitor.wait_for_state("waiting")
    assert "Waiting for the engine" in visitor.page.inner_text("#tts-generate")
    assert service.requests == []
    service.engine_state, service.progress = "ready", None
    visitor.wait_for_state("done")
    assert service.requests[0].text == "Early bird."


def test_waiting_can_be_given_up(visit: Visit, service: StandIn) -> None:
    service.engine_state = "starting"
    visitor = visit()
    visitor.write("Never mind.")
    visitor.generate()
    visitor.wait_for_state("waiting")
    visitor.page.click("#tts-stop")
    visitor.wait_for_state("stopped")
    service.engine_state = "ready"
    visitor.wait_for_voices()
    assert service.requests == []
    assert visitor.page.input_value("#tts-text textarea") == "Never mind."


def test_an_engine_that_failed_says_why_and_what_to_do(visit: Visit, service: StandIn) -> None:
    service.engine_state = "failed"
    service.error = {"message": "The weights are damaged.", "fix": "Run the launcher again."}
    visitor = visit()
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'failed'")
    banner = visitor.page.inner_text(".tts-banner")
    assert "The weights are damaged." in banner
    assert "Run the launcher again." in banner
    visitor.write("Hello?")
    visitor.generate()
    assert "The weights are damaged. Run the launcher again." in visitor.message("player")
    assert visitor.page.input_value("#tts-text textarea") == "Hello?"


def test_a_connection_lost_before_the_first_sound_is_tried_once_more(visit: Visit, service: StandIn) -> None:
    service.break_next = "before"
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write("Try again.")
    visitor.generate()
    visitor.wait_for_state("done")
    assert len(service.requests) == 2


def test_a_connection_lost_in_the_middle_keeps_text_and_sound(visit: Visit, service: StandIn) -> None:
    service.break_next = "middle"
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY)
    visitor.generate()
    visitor.wait_for_state("failed")
    assert "The connection ended" in visitor.message("player")
    assert visitor.page.get_attribute(".tts-download", "href").startswith("blob:")
    assert visitor.page.input_value("#tts-text textarea") == STORY
    assert len(service.requests) == 1
    visitor.generate()
    visitor.wait_for_state("done")


def test_an_engine_that_ends_while_speaking_is_told_in_its_words(visit: Visit, service: StandIn) -> None:
    service.break_next = "error"
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(STORY)
    visitor.generate()
    assert visitor.message("player") == "The engine ended while it spoke. Try again."


@pytest.mark.parametrize(
    ("status", "error", "panel", "words"),
    [
        (400, {"code": "unknown_voice", "param": "voice", "message": "x"}, "voice", "does not have the chosen voice"),
        (400, {"code": "text_too_long", "param": "input", "message": "x"}, "text", "more than the 20,000"),
        (400, {"code": "emotion_out_of_range", "param": "emotion", "message": "x"}, "emotion", "between 0 and 1"),
        (
            400,
            {"code": "novel", "param": "", "message": "Odd thing.", "fix": "Do this."},
            "player",
            "Odd thing. Do this.",
        ),
        (401, {"message": "No token."}, "player", "needs its token again"),
        (413, {"message": "Too big."}, "player", "too large for the server"),
        (429, {"message": "Full.", "code": "queue_full"}, "player", "Try again in 7 s"),
        (500, {}, "player", "could not finish this"),
    ],
)
def test_refusals_are_sentences_beside_their_control(
    visit: Visit, service: StandIn, status: int, error: dict[str, str], panel: str, words: str
) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write("Hello.")
    service.answers.append((status, {"error": error}, {"Retry-After": "7"}))
    visitor.generate()
    assert words in visitor.message(panel)
    assert visitor.state() == "failed"
    visitor.generate()
    visitor.wait_for_state("done")
    assert visitor.page.locator(".tts-message:visible").count() == 0


@pytest.mark.parametrize(("text", "words"), [("   ", "还没有可朗读的内容"), ("长" * 20_001, "超过一次最多 20,000 个")])
def test_texts_that_cannot_be_said_are_told_before_they_are_sent(
    visit: Visit, service: StandIn, text: str, words: str
) -> None:
    visitor = visit(language="zh-CN")
    visitor.wait_for_voices()
    visitor.write(text)
    visitor.generate()
    assert words in visitor.message("text")
    assert visitor.page.input_value("#tts-text textarea") == text
    assert visitor.evaluate("() => document.activeElement.tagName") == "TEXTAREA"
    assert service.requests == []
