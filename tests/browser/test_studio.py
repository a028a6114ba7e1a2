"""The Speak tab beyond one take: takes side by side, files that say what made them, emotions, examples."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.browser.visitor import Visitor
from tests.ui.stand_in import ABLE, StandIn, listed

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
STORY = "One sentence to begin with. Then a second one, a little longer. 第三句话。"


def dropped(visitor: Visitor, path: Path) -> None:
    """Drops a file on the page."""
    script = """([name, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], name));
      for (const type of ["dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    }"""
    visitor.evaluate(script, [path.name, list(path.read_bytes())])


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_a_file_restores_what_made_it(visit: Visit, service: StandIn, language: str, tmp_path: Path) -> None:
    service.info = ABLE
    visitor = visit(language=language)
    visitor.wait_for_voices()
    page = visitor.page
    page.click("[data-voice=dusk]")
    page.click("[data-mood=gloomy]")
    visitor.speak(STORY)
    asked = service.requests[0]
    assert asked.seed is not None
    assert asked.markup
    for audio_format in ("wav", "flac", "mp3", "opus"):
        page.select_option(".tts-format", audio_format)
        page.set_checked("#tts-even", audio_format == "flac")
        content = visitor.saved(tmp_path / f"take.{audio_format}")
        sound, rate_hz = soundfile.read(io.BytesIO(content))
        assert len(sound) / rate_hz == pytest.approx(5.5, abs=1.5)
        page.click("#tts-emotion-reset")
        page.click("[data-voice=aoi]")
        visitor.write("Something else.")
        dropped(visitor, tmp_path / f"take.{audio_format}")
        visitor.wait("(text) => document.querySelector('#tts-text textarea').value === text", STORY)
        assert page.get_attribute("[data-voice=dusk]", "aria-checked") == "true"
        assert page.get_attribute("[data-mood=gloomy]", "aria-pressed") == "true"
        assert page.get_attribute("#tts-seed-lock", "aria-pressed") == "true"
        assert page.input_value("#tts-seed") == str(asked.seed)
    visitor.generate()
    visitor.wait_for_state("done")
    assert service.requests[-1] == asked
    (tmp_path / "notes.txt").write_text("A text of its own.")
    dropped(visitor, tmp_path / "notes.txt")
    visitor.wait("() => document.querySelector('#tts-text textarea').value === 'A text of its own.'")
    (tmp_path / "other.wav").write_bytes(b"RIFF nothing")
    dropped(visitor, tmp_path / "other.wav")
    assert "other.wav" in visitor.message("text")
    assert visitor.console_errors == []


def test_takes_are_kept_compared_and_survive_a_reload(visit: Visit, service: StandIn) -> None:
    service.info = ABLE
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    assert not page.is_visible("#tts-takes-panel")
    taken = "() => { window.taken = []; addEventListener('tts:taken', (event) => window.taken.push(event.detail)); }"
    visitor.evaluate(taken)
    visitor.speak(STORY)
    page.click("[data-voice=kumo]")
    visitor.generate()
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 2")
    details = visitor.evaluate("() => window.taken")
    assert [detail["id"] for detail in details] == ["take1", "take2"], "the server's own names"
    assert details[1]["request"]["voice"] == "kumo"
    page.click(".tts-take:nth-child(1) [data-key$='/A']")
    page.click(".tts-take:nth-child(2) [data-key$='/B']")
    page.click("#tts-compare-play")
    visitor.wait("() => parseFloat(document.querySelector('.tts-compare-clock').innerText.split(':')[1]) > 0.3")
    at = "() => parseFloat(document.querySelector('.tts-compare-clock').innerText.split(':')[1])"
    before = visitor.evaluate(at)
    page.click("#tts-compare-switch")
    assert page.get_attribute(".tts-compare", "data-heard") == "B"
    assert visitor.evaluate(at) >= before
    page.click("#tts-compare-play")
    assert page.get_attribute(".tts-compare", "data-playing") == "false"
    page.click(".tts-take:nth-child(2) [data-key$='/star']")
    page.wait_for_timeout(300)  # the browser writes what was added
    visitor.reload()
    visitor.wait_for_voices()
    page.wait_for_selector(".tts-take:nth-child(2)")
    assert page.get_attribute(".tts-take:nth-child(2) [data-key$='/star']", "aria-pressed") == "true"
    page.click(".tts-take:nth-child(2) [data-key$='/play']")
    visitor.wait("() => document.querySelector('audio').duration > 3")
    page.click(".tts-take:nth-child(2) [data-key$='/use']")
    assert page.get_attribute("[data-voice=aoi]", "aria-checked") == "true"
    page.click(".tts-take:nth-child(1) [data-key$='/remove']")
    assert page.locator(".tts-take").count() == 1


def test_emotion_comes_from_where_it_is_chosen(visit: Visit, service: StandIn) -> None:
    service.info = ABLE
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    page.click("[data-way=recording]")
    assert not page.is_visible("#tts-emotion-happy")
    page.select_option("#tts-emotion-recording", "nezumi")
    page.fill("#tts-emotion-intensity input[type=number]", "0.65")
    visitor.speak("One.")
    page.keyboard.press("Escape")
    page.focus("[data-way=recording]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("[data-way=text]", "aria-checked") == "true"
    page.fill("#tts-emotion-text", "hurt, behind a smile")
    visitor.reload()
    visitor.wait_for_voices()
    assert page.input_value("#tts-emotion-text") == "hurt, behind a smile"
    visitor.speak("Two.")
    page.click("[data-way=voice]")
    visitor.speak("Three.")
    page.click("[data-way=vector]")
    page.click("#tts-emotion-random")
    page.check("#tts-random-emotion")
    visitor.speak("Four.")
    modes = [(request.emotion_source, request.emotion_reference, request.emotion_text) for request in service.requests]
    assert modes[:3] == [("recording", "nezumi", ""), ("text", "", "hurt, behind a smile"), ("voice", "", "")]
    assert service.requests[0].intensity == 0.65
    assert modes[3][0] == "vector"
    assert 0 < service.requests[3].emotion.total <= 1
    assert service.requests[3].random_emotion


def test_the_radar_can_be_pulled(visit: Visit) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    box = visitor.page.locator(".tts-radar").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(x, y - 4)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x, y - 300)
    visitor.page.mouse.up()
    assert visitor.page.input_value("#tts-emotion-happy input[type=number]") == "1"
    assert visitor.page.input_value("#tts-emotion-sad input[type=number]") == "0"


def test_seldom_set_values_are_sent_only_when_they_were_set(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    page = visitor.page
    for gone in (".tts-generation", ".tts-seed", ".tts-ways"):
        assert not page.is_visible(gone), "the engine has none of it"
    service.info = ABLE
    visitor.reload()
    visitor.wait_for_voices()
    visitor.speak("Plain.")
    assert service.requests[0].generation.given() == {}
    page.click("#tts-advanced summary")
    page.fill("#tts-temperature", "1.3")
    page.fill("#tts-top_k", "5000")
    page.fill("#tts-duration_factor", "0.85")
    page.click("#tts-do-sample")
    page.click("#tts-seed-lock")
    visitor.reload()
    visitor.wait_for_voices()
    visitor.speak("Set.")
    visitor.speak("Set again.")
    plain, first, second = service.requests
    assert first.generation.given() == {"temperature": 1.3, "top_k": 100, "do_sample": False}
    assert first.duration_factor == 0.85
    assert first.seed == second.seed == plain.seed


def test_an_example_is_heard_in_its_mood_and_what_was_set_comes_back(visit: Visit, service: StandIn) -> None:
    visitor = visit(width=390)
    visitor.wait_for_voices()
    visitor.write("My own words. " * 30)
    visitor.page.click("[data-mood=gloomy]")
    visitor.page.fill("#tts-emotion-intensity input[type=number]", "0.5")
    service.chunk_delay_s = 0.2
    visitor.generate()
    visitor.wait("() => Number(document.querySelector('.tts-wave').dataset.heard) > 0.2")
    service.chunk_delay_s = 0.0
    visitor.page.click("[data-example=example_2]")  # in place of what is being spoken
    visitor.wait_for_state("done")
    assert len(service.requests) == 2
    assert service.requests[1].text.startswith("The moon")
    assert (service.requests[1].emotion.as_dict(), service.requests[1].intensity) == ({"happy": 0.2, "calm": 0.7}, 1)
    visitor.page.click("[data-example=example_3]")
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 3")
    assert service.requests[2].emotion.total == 0
    visitor.page.click("[data-example=example_4]")
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 4")
    assert [entry.get("emotion") for entry in listed(service.requests[3])][:2] == [{"happy": 0.8}, {"happy": 0.8}]
    visitor.page.click("text=Back to my text")
    assert visitor.page.input_value("#tts-text textarea").startswith("My own words.")
    assert visitor.page.get_attribute("[data-mood=gloomy]", "aria-pressed") == "true"
    assert visitor.page.input_value("#tts-emotion-intensity input[type=number]") == "0.5"


def test_a_wrong_tag_is_said_beside_the_text(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write("[emotion=hapy]Hello.")
    error = {"message": "[emotion=hapy] names no emotion.", "fix": "Use happy.", "param": "input", "code": "wrong_tag"}
    service.answers.append((400, {"error": error}, {}))
    visitor.generate()
    assert visitor.message("text") == "[emotion=hapy] names no emotion. Use happy."


@pytest.mark.parametrize(("language", "width", "scheme"), [("en-US", 1440, "light"), ("zh-CN", 390, "dark")])
def test_nothing_serious_is_in_the_way_of_anybody(
    visit: Visit, service: StandIn, language: str, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    service.info = ABLE
    visitor = visit(language=language, width=width, color_scheme=scheme, reduced_motion="reduce")
    visitor.wait_for_voices()
    for summary in (".tts-segments summary", "#tts-advanced summary"):
        visitor.page.click(summary)
    visitor.speak(STORY)
    visitor.generate()
    visitor.wait("() => document.querySelectorAll('.tts-take').length === 2")
    visitor.page.click(".tts-take:nth-child(1) [data-key$='/A']")
    visitor.page.click(".tts-take:nth-child(2) [data-key$='/B']")
    visitor.page.click("[data-way=text]")
    found = Axe().run(visitor.page).response["violations"]
    serious = [
        (finding["id"], finding["help"], [node["html"][:160] for node in finding["nodes"]][:4])
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_long_text_stays_quick(visit: Visit, service: StandIn) -> None:
    """5,000 characters: every letter typed is one short task; `docs/benchmarks.md` has the figures."""
    visitor = visit()
    visitor.wait_for_voices()
    visitor.page.click(".tts-segments summary")
    visitor.write("月亮爬上了屋顶，小狐狸还醒着。Are you listening? " * 100)
    visitor.page.wait_for_selector(".tts-segment:nth-child(100)")
    longest: Any = visitor.evaluate(
        """async () => {
          const area = document.querySelector('#tts-text textarea');
          let longest = 0;
          for (let count = 0; count < 20; count += 1) {
            const before = performance.now();
            area.value += 'x';
            area.dispatchEvent(new Event('input', { bubbles: true }));
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            longest = Math.max(longest, performance.now() - before);
          }
          return longest;
        }"""
    )
    print(json.dumps({"characters": 5000, "longest_key_ms": round(longest, 1)}))
    assert visitor.page.locator(".tts-segment").count() >= 100
