"""The tab Batch on a page with real jobs and a real engine's process: from a dropped file to the downloads."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.browser.visitor import Visitor
from tests.engine.processes import ControlListener, page, snapshot, worker
from webui.jobs.store import JobStore
from webui.ui.page import mount

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
MARKUP = "<img src=x onerror=\"window.broken = 'yes'\">"
TABLE = f"text,voice,speed,name\none two,low,1,first\n{MARKUP} three,,,\nbad,,fast,\nfour [raise],,,\n"
#: Controls of the tab without a name, and those that a finger would miss.
NAMELESS = """() => [...document.querySelectorAll("#tts-tab-batch :is(button, input, select, textarea)")]
    .filter((node) => node.type !== "file" && node.offsetParent !== null)
    .filter((node) => !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()))
    .map((node) => node.outerHTML)"""
SMALL = """() => [...document.querySelectorAll("#tts-tab-batch :is(button, select)")]
    .filter((node) => node.offsetParent !== null && node.getBoundingClientRect().height < 40)
    .map((node) => node.outerHTML)"""
WIDE = "() => document.documentElement.scrollWidth <= window.innerWidth"


@dataclass
class Place:
    """A page with jobs."""

    address: str
    store: JobStore
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("batch")
    store = JobStore(folder / "jobs")
    control = ControlListener({**snapshot(), "pid": 1, "uptime_s": 1.0})
    how = {"jobs": store, "control_address": control.address}
    try:
        with (
            worker(folder) as engine,
            page(engine.address, mount_page=lambda settings: partial(mount, settings=settings), **how) as address,
        ):
            yield Place(address, store, folder)
    finally:
        store.close()
        control.close()


def go(visitor: Visitor) -> None:
    """Opens the tab."""
    visitor.page.click("[data-tab=batch]")
    visitor.page.wait_for_selector("#tts-tab-batch .tts-lib-card")


def wait_for_row(visitor: Visitor, position: int, state: str) -> None:
    """Waits until the row is shown in that state."""
    visitor.page.wait_for_selector(f"[data-position='{position}'][data-state={state}]")


def pressed(visitor: Visitor, wish: str) -> None:
    """Presses one of the batch's buttons."""
    visitor.page.click(f"[data-wish={wish}]")


def choose(visitor: Visitor, place: Place, job: str) -> None:
    """Another voice and an emotion for the second row, one right after the other: both come, and both stay in sight."""
    selects = [f"[data-position='2'] select >> nth={n}" for n in (0, 1)]
    for select, choice in zip(selects, ("higher", "happy"), strict=True):
        visitor.page.select_option(select, choice)
    assert [visitor.page.input_value(select) for select in selects] == ["higher", "happy"]
    deadline = time.monotonic() + 60
    while {"voice", "emotion"} - place.store.row(job, 2).request.keys() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [visitor.page.input_value(select) for select in selects] == ["higher", "happy"]


def goes_to_the_speak_tab(visitor: Visitor, text: str) -> None:
    """A row worth working on: the second, which has an emotion of its own; Back returns."""
    shown = visitor.page
    shown.click("[data-position='2'] [data-act=use]")
    shown.wait_for_selector("#tts-text textarea", state="visible")
    assert shown.input_value("#tts-text textarea") == text
    assert shown.input_value("#tts-emotion-happy input[type=number]") == "0.8"
    shown.go_back()
    shown.wait_for_selector("[data-position='3'][data-state=done]")


@pytest.mark.parametrize(("language", "width"), [("en-US", 1440), ("zh-CN", 390)])
def test_from_a_file_to_the_downloads(visit: Visit, place: Place, language: str, width: int) -> None:
    visitor = visit(language=language, width=width, address=place.address)
    visitor.wait_for_voices()
    go(visitor)
    shown = visitor.page
    (table := place.folder / f"table-{width}.csv").write_text(TABLE)
    shown.set_input_files("#tts-tab-batch input[type=file]", table)
    shown.wait_for_selector("[data-position='3']")
    assert shown.inner_text("#tts-batch-title") == table.name
    shown.click(".tts-batch-problems summary")
    assert "speed" in shown.inner_text(".tts-batch-problems li")
    assert MARKUP in shown.inner_text("[data-position='2'] .tts-lib-text")
    [job] = place.store.jobs(limit=1)
    choose(visitor, place, job.id)
    pressed(visitor, "resume")
    for position, state in ((1, "done"), (2, "done"), (3, "failed")):
        wait_for_row(visitor, position, state)
    assert place.store.row(job.id, 2).request["voice"] == "higher"
    assert place.store.row(job.id, 2).request["emotion"] == {"happy": 0.8}
    assert shown.inner_text("[data-position='3'] .tts-batch-why")
    assert visitor.evaluate(NAMELESS) == []
    assert visitor.evaluate(SMALL) == []
    assert visitor.evaluate(WIDE)
    # The row that failed gets another text and is spoken.
    shown.click("[data-position='3'] [data-act=edit]")
    shown.fill("dialog textarea", "four five")
    shown.click("dialog [type=submit]")
    wait_for_row(visitor, 3, "done")
    shown.click("[data-position='1'] [data-act=listen]")
    visitor.wait("() => document.querySelector('[data-position=\"1\"] [data-playing]')")
    with shown.expect_download() as saved:
        shown.click(".tts-batch-away .tts-lib-button >> nth=0")
    archive = zipfile.ZipFile(io.BytesIO(Path(saved.value.path()).read_bytes()))
    assert "first.wav" in archive.namelist() and len(archive.namelist()) == 5
    assert saved.value.suggested_filename == f"{table.stem}.zip"
    assert visitor.evaluate("() => window.broken") is None
    goes_to_the_speak_tab(visitor, place.store.row(job.id, 2).request["text"])
    # What is under way is there again after a reload, at its own address.
    visitor.reload()
    shown.wait_for_selector("[data-position='3'][data-state=done]")
    pressed(visitor, "remove")
    shown.click("dialog .tts-lib-main")
    shown.wait_for_selector(".tts-batch-job", state="hidden")
    assert all(one.id != job.id for one in place.store.jobs())
    assert visitor.console_errors == []


def test_a_long_batch_by_keyboard_alone(visit: Visit, place: Place) -> None:
    (place.folder / "tone.json").write_text(json.dumps({"chunk_s": 0.05}))
    visitor = visit(address=place.address, color_scheme="dark")
    visitor.wait_for_voices()
    go(visitor)
    keys = visitor.page.keyboard
    visitor.page.focus("#tts-tab-batch textarea")
    keys.insert_text("\n".join(f"row {number}" for number in range(1, 121)))
    visitor.page.focus("#tts-tab-batch .tts-lib-main")
    keys.press("Enter")
    visitor.page.wait_for_selector("[data-position='100']")
    assert visitor.page.locator(".tts-batch-row").count() == 100
    visitor.page.focus("[data-wish=resume]")
    keys.press("Enter")
    wait_for_row(visitor, 2, "done")
    visitor.page.focus("[data-wish=pause]")
    keys.press("Enter")
    visitor.page.wait_for_selector("[data-wish=resume]", state="visible")
    told = visitor.page.inner_text(".tts-batch-job [role=status].tts-unseen")
    assert "Paused" in told and "120" in told
    visitor.page.click("[data-language=zh]")
    visitor.wait("() => document.querySelector('[data-wish=resume]').innerText.includes('继续')")
    assert "等待" in visitor.page.text_content("[data-position='100'] .tts-batch-state")
    (place.folder / "tone.json").write_text("{}")
    visitor.page.focus("[data-wish=resume]")
    keys.press("Enter")
    visitor.wait(
        "() => document.querySelector('.tts-batch-job [role=progressbar]').getAttribute('aria-valuenow') === '120'"
    )
    assert visitor.console_errors == []


def test_a_file_that_is_no_text_and_a_batch_that_was_not_begun_are_told_in_the_pages_words(
    visit: Visit, place: Place
) -> None:
    visitor = visit(language="zh-CN", address=place.address)
    page_ = visitor.page
    page_.click("[data-tab=batch]")
    page_.wait_for_selector("#tts-tab-batch .tts-lib-card")
    files = "#tts-tab-batch input[type=file]"
    page_.set_input_files(files, {"name": "a.csv", "mimeType": "text/csv", "buffer": bytes(range(256))})
    page_.wait_for_selector("#tts-tab-batch .tts-lib-notice:has-text('文件不是 UTF-8 或 GBK 文本')")
    page_.set_input_files(files, {"name": "new.txt", "mimeType": "text/plain", "buffer": b"one\ntwo\n"})
    page_.wait_for_selector(".tts-batch-row:nth-child(2)")
    page_.wait_for_selector(".tts-batch-state:has-text('未开始')")
    assert "未开始 · 0 / 2 行" in page_.inner_text("#tts-tab-batch")
    visitor.console_errors.clear()
