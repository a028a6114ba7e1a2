"""The tabs: loaded when they are opened, told in the address, and moved between with the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.browser.visitor import Visitor
from tests.ui.stand_in import StandIn, build, serving
from webui.ui.assets import collect

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]

#: A tab's script as it should be written: elements made by `el`, words by `t`, nothing at import.
SCRIPT = b"""
import { el } from "./dom.js";
import { t } from "./texts.js";
export async function open(panel, { engine, page }) {
  const words = el("p", { id: "trial-words" });
  const detail = { text: "From afar.", voice: "kumo", speed: 1.2 };
  const use = () => window.dispatchEvent(new CustomEvent("tts:use", { detail }));
  panel.append(words, el("button", { id: "trial-use", onclick: use }, page.title));
  return {
    show: (rest) => { words.textContent = `${t("trial_hello")} ${rest} ${engine.info?.name ?? ""}`; },
    hide: () => { panel.dataset.hides = Number(panel.dataset.hides ?? 0) + 1; },
  };
}
"""
EXTRA = {
    "js/tab_trial.js": SCRIPT,
    "js/tab_broken.js": b"import './nowhere.js';",
    "css/tab_trial.css": b"#trial-words { letter-spacing: 3px; }",
    "i18n/trial.en.json": b'{"trial_hello": "Hello"}',
    "i18n/trial.zh.json": '{"trial_hello": "你好"}'.encode(),
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A page with two tabs more: one that works and one whose script does not load."""
    from webui.ui.tabs import Tab

    tabs = (Tab("trial", "tab_history", "js/tab_trial.js"), Tab("broken", "tab_system", "js/tab_broken.js"))
    app = build(StandIn(), tabs=tabs, assets=collect(EXTRA))
    with serving(app) as opened:
        yield opened


def loaded(visitor: Visitor) -> list[str]:
    """What the page has loaded of the extra tab."""
    names = visitor.evaluate("() => performance.getEntriesByType('resource').map((entry) => entry.name)")
    return sorted(name for extra in EXTRA for name in names if name.endswith(extra))


def test_a_tab_is_loaded_when_it_is_opened_and_told_in_the_address(visit: Visit, address: str) -> None:
    visitor = visit(address=address)
    visitor.wait_for_voices()
    page = visitor.page
    assert loaded(visitor) == []
    assert not page.is_visible("#tts-tab-trial")
    page.click("[data-tab=trial]")
    assert page.wait_for_selector("#trial-words").inner_text() == "Hello sine"
    assert visitor.evaluate("() => getComputedStyle(document.querySelector('#trial-words')).letterSpacing") == "3px"
    assert len(loaded(visitor)) == 3, "script, style and one language"
    assert page.url.endswith("#trial")
    assert not page.is_visible("#tts-text")
    page.click("[data-language=zh]")
    visitor.wait("() => document.querySelector('[data-tab=trial]').innerText === '历史'")
    page.go_back()
    assert page.is_visible("#tts-text")
    assert page.get_attribute("#tts-tab-trial", "data-hides") == "1"
    page.goto(visitor.address + "#trial/42")
    visitor.wait("() => document.querySelector('#trial-words').innerText.startsWith('你好 42')")
    page.click("#trial-use")
    assert page.is_visible("#tts-text")
    assert page.input_value("#tts-text textarea") == "From afar."
    assert page.get_attribute("[data-voice=kumo]", "aria-checked") == "true"
    assert page.input_value("#tts-speed input[type=number]") == "1.2"


def test_a_tab_that_could_not_be_loaded_is_tried_again_by_its_own_button(visit: Visit, address: str) -> None:
    visitor = visit(address=address)
    page = visitor.page
    page.route("**/js/tab_trial.js", lambda route: route.abort())
    page.click("[data-tab=trial]")
    page.wait_for_selector("#tts-tab-trial .tts-message:not([hidden])")
    page.unroute("**/js/tab_trial.js")
    page.click("[data-tab=trial]")
    page.wait_for_selector("#trial-words:has-text('Hello')")
    assert not page.is_visible("#tts-tab-trial .tts-message")


def test_tabs_are_moved_between_with_the_arrow_keys(visit: Visit, address: str) -> None:
    visitor = visit(address=address, width=390)
    visitor.wait_for_voices()
    page = visitor.page
    assert page.get_attribute(".tts-tabs", "role") == "tablist"
    page.focus("[data-tab=speak]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#trial-words")
    assert visitor.evaluate("() => document.activeElement.dataset.tab") == "trial"
    selected = "() => [...document.querySelectorAll('[role=tab]')].map((tab) => [tab.ariaSelected, tab.tabIndex])"
    assert visitor.evaluate(selected) == [["false", -1], ["true", 0], ["false", -1]]
    panel = page.locator("#tts-tab-trial")
    assert panel.get_attribute("role") == "tabpanel"
    assert panel.get_attribute("aria-labelledby") == page.get_attribute("[data-tab=trial]", "id")
    page.keyboard.press("End")
    assert "could not be loaded" in page.wait_for_selector("#tts-tab-broken .tts-message").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#tts-text")
    page.keyboard.press("Control+Enter")
    assert visitor.message("text") == "There is nothing to say yet. Type or paste a text."
    assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_the_address_opens_a_tab(visit: Visit, address: str) -> None:
    visitor = visit(address=address)
    visitor.page.goto("about:blank")
    visitor.page.goto(visitor.address + "#trial")
    visitor.page.wait_for_selector("#trial-words")
    visitor.page.keyboard.press("Control+Enter")
    assert visitor.page.get_attribute("#tts-text textarea", "aria-invalid") is None, "keys belong to the tab shown"
    visitor.page.goto("about:blank")
    visitor.page.goto(visitor.address + "#no-such-tab")
    visitor.wait_until_filled()
    assert visitor.page.is_visible("#tts-text")
