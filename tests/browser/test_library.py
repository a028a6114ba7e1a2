"""The tabs Voices, Presets & glossary and History on a page with a real library and a real engine's process."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.browser.visitor import Visitor
from tests.engine.processes import ControlListener, WorkerProcess, page, snapshot
from tests.library.recordings import add_voice, voiced, write
from webui.library.database import FILE_NAME
from webui.library.library import Library
from webui.ui.page import mount

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
MARKUP = "<img src=x onerror=\"window.broken = 'yes'\">"
#: Every control in a tab that has no name for a screen reader, and every target that a finger would miss.
NAMELESS = """(panel) => [...document.querySelectorAll(`${panel} :is(button, input, select, textarea, [role=meter])`)]
    .filter((node) => node.type !== "file" && node.offsetParent !== null)
    .filter((node) => !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()))
    .map((node) => node.outerHTML)"""
SMALL = """(panel) => [...document.querySelectorAll(`${panel} button`)].filter((node) => node.offsetParent !== null)
    .map((node) => node.getBoundingClientRect()).filter((box) => box.height < 40 || box.width < 40).length"""
WIDE = "() => document.documentElement.scrollWidth <= window.innerWidth"


@dataclass
class Place:
    """A page with a library."""

    address: str
    library: Library
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("library")
    (folder / "tone.json").write_text("{}")
    engine = WorkerProcess(folder, engine="tests.library.cloning_engine:CloningEngine").start()
    library = Library(folder / "library")
    control = ControlListener({**snapshot(), "pid": 1, "uptime_s": 1.0})
    try:
        engine.wait_ready()
        how = {"library": library, "control_address": control.address}
        with page(engine.address, mount_page=lambda settings: partial(mount, settings=settings), **how) as address:
            yield Place(address, library, folder)
    finally:
        engine.close()
        library.close()
        control.close()


def go(visitor: Visitor, tab: str) -> None:
    """Opens a tab."""
    visitor.page.click(f"[data-tab={tab}]")
    visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-card")


def told(visitor: Visitor, tab: str) -> str:
    """What the tab says happened."""
    return str(visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-notice:not([hidden]):not(:empty)").inner_text())


def agree(visitor: Visitor) -> None:
    """Says yes in the dialog that is open."""
    visitor.page.click("dialog[open] .tts-lib-main")
    visitor.page.wait_for_selector("dialog", state="detached")


@pytest.mark.parametrize(("language", "width"), [("en-US", 1440), ("zh-CN", 390)])
def test_a_recording_becomes_a_voice_and_is_spoken_with(visit: Visit, place: Place, language: str, width: int) -> None:
    visitor = visit(language=language, width=width, address=place.address)
    visitor.wait_for_voices()
    browser_page = visitor.page
    go(visitor, "voices")
    recording = write(place.folder / "Anna.wav", voiced(9, pitch=120 + width / 10))
    browser_page.set_input_files("#tts-tab-voices .tts-lib-add input[type=file]", recording)
    browser_page.wait_for_selector(".tts-lib-findings [data-severity=good]")
    assert browser_page.input_value(".tts-lib-add input[required]") == "Anna"
    to = browser_page.locator(".tts-lib-trim input >> nth=1")
    to.focus()
    to.press("PageDown")
    visitor.wait("() => Number(document.querySelectorAll('.tts-lib-trim input')[1].value) < 9")
    browser_page.fill(".tts-lib-add input[required]", f"Anna {width}")
    browser_page.fill(".tts-lib-add input[maxlength='400']", "warm, low")
    browser_page.fill(".tts-lib-add textarea", "Her own, 2026.")
    assert visitor.evaluate(NAMELESS, "#tts-tab-voices") == []
    browser_page.click(".tts-lib-add [type=submit]")
    assert f"Anna {width}" in told(visitor, "voices")
    [voice] = [found for found in place.library.voices.all() if found.name == f"Anna {width}"]
    assert voice.duration_s < 9 and voice.tags == ("warm", "low") and voice.consent == "Her own, 2026."
    row = browser_page.locator(f"[data-id='{voice.id}']")
    row.locator(".tts-lib-tool").first.click()
    visitor.wait(f"() => document.querySelector(\"[data-id='{voice.id}'] [data-playing]\")")
    row.locator(".tts-lib-tool[aria-pressed=false]").click()
    row.locator("[aria-pressed=true]").wait_for()
    assert visitor.evaluate(WIDE)
    row.locator(".tts-lib-act").click()
    visitor.page.wait_for_selector("#tts-text textarea", state="visible")
    visitor.write("Hello there.")
    visitor.generate()
    visitor.wait_for_state("done")
    go(visitor, "voices")
    browser_page.wait_for_selector(f"[data-id='{voice.id}'] .tts-lib-hint:has-text('1')")
    assert place.library.voices.get(voice.id).uses == 1
    assert visitor.console_errors == []


@pytest.mark.parametrize(("language", "width"), [("en-US", 390), ("zh-CN", 1440)])
def test_an_emotion_is_heard_from_a_recording_that_nobody_keeps(
    visit: Visit, place: Place, language: str, width: int
) -> None:
    visitor = visit(language=language, width=width, address=place.address)
    visitor.wait_for_voices()
    browser_page = visitor.page
    before = len(place.library.voices.all())
    browser_page.click("[data-way=recording]")
    recording = write(place.folder / "Sobbing.wav", voiced(18, pitch=190))
    browser_page.wait_for_selector(".tts-lib-given .tts-lib-button")
    assert visitor.evaluate(NAMELESS, "#tts-emotion-panel") == []
    browser_page.set_input_files(".tts-lib-given input[type=file]", recording)
    browser_page.wait_for_selector(".tts-lib-given [data-severity=note]:has-text('15')")
    chosen = browser_page.input_value("#tts-emotion-recording")
    assert chosen.startswith("upload-")
    assert visitor.evaluate(WIDE)
    assert visitor.evaluate(SMALL, ".tts-lib-given") == 0
    browser_page.wait_for_timeout(300)
    visitor.reload()
    visitor.wait_for_voices()
    assert "Sobbing" in browser_page.inner_text("#tts-emotion-recording option:checked")
    browser_page.click(".tts-lib-given .tts-lib-tool")
    browser_page.wait_for_selector(".tts-lib-given [data-playing]")
    visitor.write("Hello there.")
    visitor.generate()
    visitor.wait_for_state("done")
    browser_page.evaluate("(id) => fetch(`api/recordings/${id}`, { method: 'DELETE' })", chosen)
    visitor.generate()
    assert visitor.message("emotion").endswith({"en-US": "Choose it again.", "zh-CN": "请重新选择。"}[language])
    browser_page.click(".tts-lib-given .tts-lib-tool >> nth=1")
    visitor.wait("() => document.querySelector('#tts-emotion-recording').value === ''")
    assert len(place.library.voices.all()) == before


def test_the_microphone_gives_a_recording(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address, permissions=["microphone"])
    visitor.wait_for_voices()
    go(visitor, "voices")
    visitor.page.click(".tts-lib-dropzone button:has-text('Record')")
    visitor.page.wait_for_selector("[data-recording]")
    visitor.wait("() => parseFloat(document.querySelector('.tts-lib-clock').textContent) > 2.5")
    visitor.page.click("[data-recording]")
    visitor.page.wait_for_selector(".tts-lib-trim:not([hidden])")
    visitor.wait(
        "() => document.querySelector('.tts-lib-form .tts-lib-row .tts-lib-hint').textContent.includes('dBFS')"
    )


def test_a_file_without_a_voice_is_refused_in_words(visit: Visit, place: Place) -> None:
    visitor = visit(language="zh-CN", address=place.address)
    visitor.wait_for_voices()
    go(visitor, "voices")
    silent = write(place.folder / "silent.wav", voiced(4) * 0)
    visitor.page.set_input_files("#tts-tab-voices .tts-lib-add input[type=file]", silent)
    notice = visitor.page.wait_for_selector(".tts-lib-add .tts-lib-notice:not([hidden])")
    assert "没有声音" in notice.inner_text()
    assert notice.get_attribute("role") == "alert"
    visitor.console_errors.clear()  # Chromium notes every answer that is not 200


def test_the_name_follows_the_file_until_somebody_types_one(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    go(visitor, "voices")
    files = "#tts-tab-voices .tts-lib-add input[type=file]"
    name = "() => document.querySelector('#tts-tab-voices .tts-lib-add input[type=text]').value"
    for given in ("noise", "Mother"):
        visitor.page.set_input_files(files, write(place.folder / f"{given}.wav", voiced(4.0)))
        visitor.wait(f"(given) => ({name})() === given", given)
    visitor.page.fill("#tts-tab-voices .tts-lib-add input[type=text] >> nth=0", "Grandmother")
    with visitor.page.expect_response("**/api/voices/check*"):
        visitor.page.set_input_files(files, write(place.folder / "take two.wav", voiced(5.0)))
    assert visitor.evaluate(name) == "Grandmother"


@pytest.mark.parametrize("tab", ["voices", "presets", "history"])
def test_names_are_words_never_markup(visit: Visit, place: Place, tab: str) -> None:
    library = place.library
    if not any(preset.name == MARKUP for preset in library.presets.all()):
        add_voice(library, place.folder, MARKUP, 333, tags=[MARKUP[:40]], consent=MARKUP)
        library.presets.add(MARKUP, {"request": {"text": MARKUP}})
        library.glossary.add({"term": MARKUP, "zh": MARKUP, "en": MARKUP})
    visitor = visit(address=place.address)
    visitor.wait_for_voices()
    if tab == "history":
        visitor.write(MARKUP)
        visitor.generate()
        visitor.wait_for_state("done")
    go(visitor, tab)
    visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-item:has-text('<img')")
    if tab == "voices":
        visitor.page.click(".tts-lib-item:has-text('<img') [aria-label^=Describe]")
        assert "<img" in visitor.page.inner_text("dialog h2")
        visitor.page.keyboard.press("Escape")
        visitor.page.click(".tts-lib-item:has-text('<img') [aria-label^=Delete]")
        agree(visitor)
        assert "<img" in told(visitor, tab)
    elif tab == "history":
        visitor.page.click(".tts-lib-take:has-text('<img') summary")
    assert visitor.evaluate("() => window.broken ?? null") is None
    assert visitor.page.locator("main img").count() == 0
    assert visitor.evaluate(NAMELESS, f"#tts-tab-{tab}") == []
    assert visitor.evaluate(SMALL, f"#tts-tab-{tab}") == 0


def test_settings_are_kept_as_a_preset_and_come_back(visit: Visit, place: Place, tmp_path: Path) -> None:
    visitor = visit(width=390, address=place.address)
    visitor.wait_for_voices()
    visitor.write("Kept words.")
    visitor.page.click("[data-voice=low]")
    visitor.page.fill("#tts-speed input[type=number]", "1.3")
    visitor.page.keyboard.press("Tab")
    go(visitor, "presets")
    visitor.page.fill("#tts-tab-presets .tts-lib-form input[type=text]", "Evening")
    visitor.page.check("#tts-tab-presets .tts-lib-tick input")
    visitor.page.keyboard.press("Enter")
    assert "Evening" in told(visitor, "presets")
    [preset] = [found for found in place.library.presets.all() if found.name == "Evening"]
    assert preset.state["request"]["voice"] == "low"
    visitor.page.evaluate("() => localStorage.clear()")
    visitor.page.goto("about:blank")
    visitor.page.goto(visitor.address + "#presets")
    visitor.page.click(f"[data-id='{preset.id}'] .tts-lib-act")
    visitor.page.wait_for_selector("#tts-text textarea", state="visible")
    assert visitor.page.input_value("#tts-text textarea") == "Kept words."
    assert visitor.page.get_attribute("[data-voice=low]", "aria-checked") == "true"
    assert visitor.page.input_value("#tts-speed input[type=number]") == "1.3"
    go(visitor, "presets")
    with visitor.page.expect_download() as download:
        visitor.page.click(f"[data-id='{preset.id}'] [aria-label^=Save]")
        agree(visitor)
    download.value.save_as(tmp_path / "evening.json")
    visitor.page.set_input_files("#tts-tab-presets input[accept='.json,.zip']", tmp_path / "evening.json")
    visitor.page.wait_for_selector("text=Evening (2)")
    assert visitor.evaluate(WIDE)


def test_terms_and_their_readings(visit: Visit, place: Place, tmp_path: Path) -> None:
    visitor = visit(language="zh-CN", address=place.address)
    visitor.wait_for_voices()
    go(visitor, "presets")
    page_ = visitor.page
    page_.fill(".tts-lib-terms input >> nth=0", "Kubernetes")
    page_.fill(".tts-lib-terms input >> nth=1", "库伯内提斯")
    page_.keyboard.press("Enter")
    page_.wait_for_selector("tr:has-text('库伯内提斯')")
    page_.click("tr:has-text('库伯内提斯') .tts-lib-tool >> nth=0")
    page_.fill("dialog input >> nth=2", "koober netties")
    agree(visitor)
    page_.wait_for_selector("tr:has-text('koober netties')")
    (tmp_path / "glossary.yaml").write_text("NASA: 那萨\n")
    page_.set_input_files("input[accept='.yaml,.yml']", tmp_path / "glossary.yaml")
    page_.wait_for_selector("tr:has-text('NASA')")
    # The engine of this test reads a word by its capitals.
    page_.fill(".tts-lib-pair input >> nth=0", "hello NASA")
    page_.wait_for_selector(".tts-lib-readings li:has-text('HELLO')")
    page_.fill(".tts-lib-pair input >> nth=1", "xing9")
    page_.select_option(".tts-lib-pair select >> nth=1", "pinyin")
    page_.wait_for_selector(".tts-lib-hint[data-good=false]")
    page_.fill(".tts-lib-pair input >> nth=0", "行")
    page_.fill(".tts-lib-pair input >> nth=1", "xing2")
    assert page_.inner_text(".tts-lib-mark") == "<行|XING2>"
    page_.click("tr:has-text('NASA') .tts-lib-tool >> nth=1")
    page_.wait_for_selector("tr:has-text('NASA')", state="detached")


def test_takes_are_found_heard_starred_used_again_and_deleted(visit: Visit, place: Place, tmp_path: Path) -> None:
    visitor = visit(address=place.address)
    visitor.wait_for_voices()
    for text in ("A red fox.", "A blue bird."):
        visitor.write(text)
        visitor.generate()
        visitor.wait_for_state("done")
    go(visitor, "history")
    page_ = visitor.page
    fox = page_.locator(".tts-lib-take:has-text('red fox')").first
    fox.wait_for()
    page_.fill("#tts-tab-history input[type=search]", "blue bird")
    page_.wait_for_selector(".tts-lib-take:has-text('red fox')", state="detached")
    page_.fill("#tts-tab-history input[type=search]", "")
    fox.wait_for()
    fox.locator("[aria-label^=Star]").click()
    fox.locator("[aria-pressed=true]").wait_for()
    fox.locator("[aria-label^=Listen]").click()
    fox.locator("[data-playing]").wait_for()
    with page_.expect_download() as download:
        fox.locator("select").select_option("mp3")
    assert re.fullmatch(r"A-red-fox-\w{8}\.mp3", download.value.suggested_filename)
    with page_.expect_download() as download:
        page_.click("#tts-tab-history button:has-text('JSONL')")
    download.value.save_as(tmp_path / "takes.jsonl")
    assert "A red fox." in (tmp_path / "takes.jsonl").read_text()
    page_.locator(".tts-lib-take:has-text('blue bird') input[type=checkbox]").first.check()
    page_.click("#tts-tab-history .tts-lib-head button:has-text('Delete')")
    agree(visitor)
    assert "1" in told(visitor, "history")
    fox.locator(".tts-lib-act").click()
    assert page_.input_value("#tts-text textarea") == "A red fox."


def test_ten_thousand_takes_and_a_hundred_voices_come_a_page_at_a_time(visit: Visit, place: Place) -> None:
    for number in range(100 - len(place.library.voices.all())):
        add_voice(place.library, place.folder, f"Crowd-{number}-end", 400 + number)
    with sqlite3.connect(place.folder / "library" / FILE_NAME) as connection:
        connection.execute(
            """WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 10000)
            INSERT INTO takes (id, created_at, engine, voice, language, source, seed, duration_s, synthesis_s,
                sample_rate_hz, size_bytes, file, text, weights, request, segments)
            SELECT 'many' || n, 1760000000 + n, 'cloner', 'low', 'auto', 'page', n, 2, 1, 24000, 0, 'many' || n,
                'Many words ' || n, '{}', '{}', '[]' FROM counted"""
        )
    connection.close()
    visitor = visit(address=place.address)
    visitor.wait_for_voices()
    go(visitor, "voices")
    visitor.wait("() => document.querySelectorAll('#tts-tab-voices .tts-lib-item').length >= 100")
    visitor.page.fill("#tts-tab-voices input[type=search]", "crowd-57-end")
    visitor.wait("() => document.querySelectorAll('#tts-tab-voices .tts-lib-item').length === 1")
    go(visitor, "history")
    visitor.page.wait_for_selector(".tts-lib-take")
    assert visitor.page.locator(".tts-lib-take").count() <= 150
    visitor.wait(
        """() => { scrollTo(0, document.documentElement.scrollHeight);
                   return document.querySelectorAll('.tts-lib-take').length >= 300; }"""
    )
    visitor.page.fill("#tts-tab-history input[type=search]", "words 4321")
    visitor.wait("() => document.querySelectorAll('.tts-lib-take').length === 1")
