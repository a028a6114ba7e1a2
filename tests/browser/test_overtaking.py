"""Answers that overtake each other, or come when something else is shown: what was chosen last is what is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.browser.visitor import Visitor
from tests.engine.processes import ControlListener, WorkerProcess, page, snapshot
from tests.library.recordings import add_voice, voiced, write
from webui.jobs.formats import read
from webui.jobs.records import Job
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.ui.page import mount

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
OPTIONS = {"gap_s": 0.5, "max_tempo": 1.5, "use_glossary": True}
TITLE, VOICES_TITLE = "#tts-batch-title", "#tts-tab-voices .tts-lib-head h2 >> nth=0"


@dataclass
class Place:
    """A page with a library and jobs."""

    address: str
    library: Library
    store: JobStore
    folder: Path

    def job(self, title: str, rows: int = 2) -> Job:
        """A batch that waits."""
        lines = "\n".join(f"row {number}" for number in range(rows)).encode()
        return self.store.create(title, read(lines, "x.txt", max_text_chars=100), OPTIONS, wish="pause")


class Held:
    """The first request to an address, kept until it is let go; later ones pass.

    Args:
        visitor: whose request.
        pattern: of the address.
        answered: whether the server answers at once, and its answer is kept.
    """

    def __init__(self, visitor: Visitor, pattern: str, *, answered: bool = False) -> None:
        self._visitor = visitor
        self._answered = answered
        self._route: Any = None
        self._answer: Any = None
        visitor.page.route(pattern, self._take, times=1)

    def wait(self) -> None:
        """Until it has been sent."""
        while self._route is None or (self._answered and self._answer is None):
            self._visitor.page.wait_for_timeout(10)

    def release(self, **answer: Any) -> None:
        """Lets it go; ``answer``: what comes of it in place of the server's."""
        self.wait()
        if answer:
            self._route.fulfill(**answer)
        elif self._answered:
            self._route.fulfill(response=self._answer)
        else:
            self._route.continue_()
        self._visitor.page.wait_for_timeout(300)  # what it would do wrong is done by then

    def _take(self, route: Any) -> None:
        self._route = route
        if self._answered:
            self._answer = route.fetch()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("overtaking")
    (folder / "tone.json").write_text("{}")
    engine = WorkerProcess(folder, engine="tests.library.cloning_engine:CloningEngine").start()
    library, store = Library(folder / "library"), JobStore(folder / "jobs")
    control = ControlListener({**snapshot(), "pid": 1, "uptime_s": 1.0})
    try:
        engine.wait_ready()
        how = {"library": library, "jobs": store, "control_address": control.address}
        with page(engine.address, mount_page=lambda settings: partial(mount, settings=settings), **how) as address:
            yield Place(address, library, store, folder)
    finally:
        engine.close()
        library.close()
        store.close()
        control.close()


def go(visitor: Visitor, tab: str) -> None:
    """Opens a tab."""
    visitor.page.click(f"[data-tab={tab}]")
    visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-card")


def choose(visitor: Visitor, job: Job) -> None:
    """Chooses a batch in the list."""
    visitor.page.click(f".tts-batch-jobs [data-id='{job.id}'] button")


def shows(visitor: Visitor, job: Job) -> None:
    """Waits until the batch is shown."""
    visitor.wait(f"() => document.querySelector('{TITLE}').textContent === '{job.title}'")
    visitor.page.wait_for_selector("[data-position='1']")


def test_the_language_that_was_chosen_last_is_shown(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    shown = visitor.page
    late = Held(visitor, "**/i18n/zh.json")
    shown.click("[data-language=zh]")
    late.wait()
    shown.click("[data-language=en]")
    late.release()
    assert shown.get_attribute("[data-language=en]", "aria-pressed") == "true"
    assert shown.inner_text("[data-tab=voices]") == "Voices"
    # A tab that is opened while a language is on its way gets its words in that language.
    late = Held(visitor, "**/i18n/zh.json")
    shown.click("[data-language=zh]")
    late.wait()
    go(visitor, "voices")
    assert shown.inner_text(VOICES_TITLE) == "Your voices"
    late.release()
    visitor.wait("() => document.querySelector('[data-language=zh]').getAttribute('aria-pressed') === 'true'")
    assert shown.inner_text(VOICES_TITLE) == "我的声音"
    shown.goto(visitor.address + "#%")  # what no part of an address can be
    shown.reload()
    shown.wait_for_selector("[data-voice]")


def test_a_tab_whose_words_did_not_come_is_opened_again(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    shown = visitor.page
    shown.route("**/i18n/history.en.json", lambda route: route.fulfill(status=503, body="{}"), times=1)
    shown.click("[data-tab=history]")
    shown.wait_for_selector("#tts-tab-history .tts-message:not([hidden])")
    shown.click("[data-tab=speak]")
    go(visitor, "history")
    assert shown.inner_text("#tts-tab-history h2 >> nth=0") == "Takes"
    visitor.console_errors.clear()


def test_what_comes_of_one_batch_is_not_shown_at_another(visit: Visit, place: Place) -> None:
    first, second, gone = (place.job(title) for title in ("first", "second", "gone"))
    visitor = visit(address=place.address)
    shown = visitor.page
    go(visitor, "batch")
    choose(visitor, first)
    shows(visitor, first)
    late = Held(visitor, f"**/api/jobs/{first.id}/cancel")
    shown.click("[data-wish=cancel]")
    shown.click("dialog .tts-lib-main")
    late.wait()
    choose(visitor, second)
    shows(visitor, second)
    late.release()
    assert shown.inner_text(TITLE) == "second", "Delete would delete it under the other one's name"
    # One that turns out to be gone takes nothing else away with it.
    late = Held(visitor, f"**/api/jobs/{gone.id}")
    choose(visitor, gone)
    late.wait()
    choose(visitor, second)
    shows(visitor, second)
    late.release(status=404, body=json.dumps({"error": {"message": "There is no job.", "code": "no_such_job"}}))
    assert shown.is_visible(".tts-batch-job") and shown.inner_text(TITLE) == "second"
    visitor.console_errors.clear()


def test_a_batch_is_followed_again_when_its_stream_was_refused(visit: Visit, place: Place) -> None:
    job = place.job("restarted")
    visitor = visit(address=place.address)
    shown = visitor.page
    go(visitor, "batch")
    shows(visitor, job)  # what is under way is shown by itself
    shown.route(f"**/api/jobs/{job.id}", lambda route: route.abort(), times=1)
    choose(visitor, job)
    shown.wait_for_selector("#tts-tab-batch .tts-lib-notice[data-kind=failure]:not([hidden])")
    refused = Held(visitor, f"**/api/jobs/{job.id}/events?*")
    choose(visitor, job)
    shows(visitor, job)
    refused.release(status=503, body="starting")
    shown.click("[data-wish=resume]")
    shown.wait_for_selector("[data-position='2'][data-state=done]")
    visitor.console_errors.clear()


def test_the_address_is_that_of_the_tab_which_is_shown(visit: Visit, place: Place) -> None:
    place.job("waits")
    visitor = visit(address=place.address)
    shown = visitor.page
    late = Held(visitor, "**/api/jobs?*")
    go(visitor, "batch")
    late.wait()
    go(visitor, "history")
    late.release()
    assert shown.url.endswith("#history")


def test_the_history_shows_what_was_asked_for_last(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    shown = visitor.page
    visitor.wait_for_voices()
    visitor.speak("Something to find.")
    late = Held(visitor, "**/api/voices")
    go(visitor, "history")
    late.wait()
    shown.fill("#tts-tab-history input[type=search]", "nothing has these words")
    visitor.wait("() => document.querySelector('#tts-tab-history [role=status]:not([hidden])').textContent !== ''")
    shown.wait_for_timeout(600)  # the search, and its answer
    late.release()
    assert shown.locator(".tts-lib-takes li").count() == 0


def test_voices_are_as_they_were_asked_for_last(visit: Visit, place: Place) -> None:
    voices = [add_voice(place.library, place.folder, name, 200 + 50 * at) for at, name in enumerate(("Ann", "Bea"))]
    visitor = visit(address=place.address)
    shown = visitor.page
    visitor.wait_for_voices()
    go(visitor, "voices")
    late = Held(visitor, "**/api/info", answered=True)
    for at, voice in enumerate(voices):
        shown.click(f"#tts-tab-voices [data-id='{voice.id}'] [aria-label^=Delete]")
        shown.click("dialog[open] .tts-lib-main")
        if not at:
            late.wait()
    shown.wait_for_selector(f"#tts-tab-voices [data-id='{voices[1].id}']", state="detached")
    visitor.wait(f"() => !document.querySelector(`[data-voice='{voices[1].id}']`)")
    late.release()
    assert shown.locator(f"[data-voice='{voices[1].id}']").count() == 0
    # What the server finds in a part of a recording is about the part that is kept.
    late = Held(visitor, "**/api/voices/check*")
    recording = write(place.folder / "long.wav", voiced(9, pitch=140))
    shown.set_input_files("#tts-tab-voices .tts-lib-add input[type=file]", recording)
    late.wait()
    shown.locator(".tts-lib-trim input >> nth=1").focus()
    shown.keyboard.press("PageDown")
    measured = ".tts-lib-form .tts-lib-row .tts-lib-hint"
    visitor.wait(f"() => document.querySelector('{measured}').textContent.includes('dBFS')")
    part = shown.inner_text(measured)
    late.release()
    assert shown.inner_text(measured) == part


def test_stop_stops_while_the_segments_are_asked_for(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    own = [{"index": 0, "text": "one", "emotion": {"happy": 0.8}}]
    kept = json.dumps({"text": "one", "segments_own": own})
    visitor.evaluate("(kept) => localStorage.setItem('tts-launcher.page', kept)", kept)
    visitor.reload()
    visitor.wait_for_voices()
    late = Held(visitor, "**/api/segments")
    visitor.generate()
    late.wait()
    visitor.page.click("#tts-stop")
    visitor.wait_for_state("stopped")
    visitor.console_errors.clear()


def test_a_second_press_opens_no_second_microphone(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address, permissions=["microphone"])
    shown = visitor.page
    go(visitor, "voices")
    visitor.evaluate("""() => {
        const devices = navigator.mediaDevices;
        const open = devices.getUserMedia.bind(devices);
        window.opened = [];
        devices.getUserMedia = async (wish) => {
            await new Promise((done) => setTimeout(done, 200)); // a person is asked
            const stream = await open(wish);
            window.opened.push(stream);
            return stream;
        };
    }""")
    record = shown.locator(".tts-lib-dropzone button:has-text('Record')")
    record.evaluate("(button) => { button.click(); button.click(); }")
    shown.wait_for_selector("[data-recording]")
    shown.wait_for_timeout(300)
    shown.click("[data-recording]")
    shown.wait_for_selector("[data-recording]", state="detached")
    live = "() => window.opened.flatMap((one) => one.getTracks()).filter((one) => one.readyState === 'live').length"
    assert visitor.evaluate(live) == 0, "it would hear on for as long as the page is open"


def test_a_star_that_was_given_in_another_tab_keeps_a_take(visit: Visit, place: Place) -> None:
    visitor = visit(address=place.address)
    visitor.wait_for_voices()
    visitor.evaluate("""async () => {
        const opening = indexedDB.open("tts-launcher", 1);
        await new Promise((done) => { opening.onsuccess = done; });
        const store = opening.result.transaction("takes", "readwrite").objectStore("takes");
        for (let at = 0; at < 24; at += 1) {
            const take = { id: `take-${at}`, createdAt: at + 1, request: { text: `take ${at}` }, rateHz: 24000 };
            store.put({ ...take, engine: "", pcm: new Int16Array(2400), segments: [], starred: false });
        }
        await new Promise((done) => { store.transaction.oncomplete = done; });
        opening.result.close();
    }""")
    visitor.reload()
    visitor.page.wait_for_selector(".tts-take >> nth=23")
    other = Visitor(visitor.context, visitor.address)
    other.page.wait_for_selector(".tts-take >> nth=23")
    other.page.click("[data-key='take-0/star']")
    other.page.wait_for_selector("[data-key='take-0/star'][aria-pressed=true]")
    visitor.wait_for_voices()
    visitor.speak("One more.")
    other.reload()
    other.page.wait_for_selector("[data-key='take-0/star'][aria-pressed=true]")
    assert other.page.locator("[data-key='take-1/star']").count() == 1
