"""Every tab with something in it, looked at by axe-core: nothing serious is in anybody's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.browser.visitor import Visitor
from tests.engine.processes import ControlListener, WorkerProcess, page, snapshot
from tests.library.recordings import add_voice
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.ui.page import mount

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
TABS = ("batch", "voices", "presets", "history", "system")


@dataclass
class Place:
    """A page with something in every tab."""

    address: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("accessible")
    (folder / "tone.json").write_text("{}")
    engine = WorkerProcess(folder, engine="tests.library.cloning_engine:CloningEngine").start()
    library, jobs = Library(folder / "library"), JobStore(folder / "jobs", 10**9)
    add_voice(library, folder, "Anna", tags=["warm"], consent="Her own.")
    library.glossary.merge("SQL: {zh: 西扣, en: sequel}")
    library.presets.add("News", {"request": {"speed": 1.1}})
    control = ControlListener({**snapshot(), "pid": 1, "uptime_s": 1.0})
    how = {"library": library, "jobs": jobs, "control_address": control.address}
    try:
        engine.wait_ready()
        with page(engine.address, mount_page=lambda settings: partial(mount, settings=settings), **how) as address:
            yield Place(address)
    finally:
        engine.close()
        library.close()
        jobs.close()
        control.close()


def serious(visitor: Visitor) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds that is serious or worse."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        (finding["id"], finding["help"], [node["html"][:160] for node in finding["nodes"]][:4])
        for finding in Axe().run(visitor.page).response["violations"]
        if finding["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("language", "width", "scheme"), [("en-US", 390, "dark"), ("zh-CN", 1440, "light"), ("en-US", 1440, "light")]
)
def test_nothing_serious_is_in_any_tab(visit: Visit, place: Place, language: str, width: int, scheme: str) -> None:
    visitor = visit(language=language, width=width, color_scheme=scheme, reduced_motion="reduce", address=place.address)
    visitor.wait_for_voices()
    visitor.speak("Somebody speaks.")
    found = {}
    for tab in TABS:
        visitor.page.click(f"[data-tab={tab}]")
        visitor.page.wait_for_selector(f"#tts-tab-{tab}[aria-busy]", state="detached")
        visitor.page.wait_for_selector(f"#tts-tab-{tab} :is(.tts-lib-card, .tts-sys)")
        if tab == "batch":
            visitor.page.fill("#tts-tab-batch textarea", "First row.\nSecond row.")
            visitor.page.click("#tts-tab-batch .tts-lib-main")
            visitor.page.wait_for_selector(".tts-batch-row:nth-child(2)")
        elif tab != "system":
            visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-item")
        assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), tab
        found[tab] = serious(visitor)
    assert found == {tab: [] for tab in TABS}
