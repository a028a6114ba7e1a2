"""The loading page in a real browser: language, progress, failure, and that it gives way to the page."""

from __future__ import annotations

import http.server
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import launcher.process.answers
from launcher.access.login_page import fill
from tests.servers.hub import GeneratedFile, HubServer, Repo
from tests.supervisor.runner import Instance, wait_for

pytestmark = pytest.mark.browser
TEMPLATE = Path(launcher.process.answers.__file__).with_name("loading.html")
#: Adds up how far anything moved without the visitor's doing (https://web.dev/articles/cls).
COUNT_SHIFTS = """window.shift = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize(("locale", "title"), [("zh-CN", "正在准备页面"), ("en-GB", "Getting the page ready")])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_shows_progress_without_a_jump_and_gives_way(
    instance: Instance, browser: Any, locale: str, title: str, width: int
) -> None:
    instance.order("page", delay_s=6)
    instance.start()
    wait_for(lambda: instance.status().get("components", {}).get("page", {}).get("pid"), "the page's process")
    context = browser.new_context(locale=locale, viewport={"width": width, "height": 844})
    page = context.new_page()
    page.add_init_script(COUNT_SHIFTS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(request.url.partition("//")[2].partition("/")[0]))
    page.goto(f"http://127.0.0.1:{instance.port}/")
    assert page.inner_text("#title") == title
    assert page.locator("#stages li").count() == 4
    first = float(page.get_attribute("#whole", "aria-valuenow"))
    wait_for(lambda: float(page.get_attribute("#whole", "aria-valuenow")) > first + 5, "progress")
    page.wait_for_selector("[data-name=engine][data-state=done]")
    assert page.evaluate("window.shift") < 0.02
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_text("served_by").wait_for()
    assert problems == []
    assert requested <= {f"127.0.0.1:{instance.port}", ""}
    context.close()


class InParts(http.server.BaseHTTPRequestHandler):
    """Answers with the loading page in two parts, as a busy machine does; to everything else it says 503."""

    parts: tuple[str, str]
    policy: str

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", self.policy)
        self.end_headers()
        for part in self.parts if self.path == "/" else ():
            self.wfile.write(part.encode())
            time.sleep(0.5)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_half_of_it_moves_nothing_when_the_rest_comes(browser: Any, locale: str, scripts: bool) -> None:
    page = {"state": "starting", "restarts": 0, "progress": None}
    stages = [{"name": name, "state": "waiting", "elapsed_s": 0.0, "progress": None} for name in ("page", "engine")]
    facts = {"state": "starting", "version": "1", "uptime_s": 1.0, "stages": stages}
    snapshot = {**facts, "components": {"page": page, "engine": page}}
    text, policy = fill(TEMPLATE.read_text(encoding="utf-8"), "", {"snapshot": snapshot, "log": {}})
    cut = text.index("<script type=")
    handler = type("Handler", (InParts,), {"parts": (text[:cut], text[cut:]), "policy": policy})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844}, java_script_enabled=scripts)
    try:
        visited = context.new_page()
        visited.add_init_script(COUNT_SHIFTS)
        visited.goto(f"http://127.0.0.1:{server.server_port}/")
        visited.wait_for_selector("#title", state="visible")
        if scripts:
            assert visited.locator("#stages li").count() == 2
            visited.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            assert visited.evaluate("window.shift") < 0.001
    finally:
        context.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("locale", "title"), [("zh-CN", "正在下载语音模型"), ("en-GB", "Fetching the voice model")])
def test_a_fetch_is_shown_and_moves_nothing(instance: Instance, browser: Any, locale: str, title: str) -> None:
    repo = Repo({"weights/model.bin": GeneratedFile(40_000_000, seed=4)})
    with HubServer({"org/tiny": repo}, throttle_bytes_per_s=1_000_000) as hub:
        instance.environment |= {"LAUNCHER_MODELS": "org/tiny", "LAUNCHER_MIRRORS": f"{hub.url};connections=2"}
        instance.order("page", mode="mute")
        instance.start()
        wait_for(lambda: instance.status().get("port"), "the port")
        context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.add_init_script(COUNT_SHIFTS)
        page.goto(f"http://127.0.0.1:{instance.port}/")
        page.get_by_text(title).wait_for()
        page.get_by_text("weights/model.bin").wait_for()
        page.wait_for_function("() => /40.0.MB.*MB.(s|秒)/.test(document.querySelector('#fetch').innerText)")
        assert f"127.0.0.1:{hub.url.rpartition(':')[2]}" in page.inner_text("#fetch-hosts")
        assert page.locator("[data-name=weights]").get_attribute("data-state") == "running"
        assert page.evaluate("window.shift") < 0.02
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        context.close()


def test_a_failure_is_shown_and_a_mended_page_opens(instance: Instance, browser: Any) -> None:
    instance.environment["LAUNCHER_RESTART_LIMIT"] = "1"
    instance.order("page", mode="crash")
    instance.start()
    context = browser.new_context(locale="en-GB")
    wait_for(lambda: instance.status().get("port"), "the port")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{instance.port}/")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#title") == "The page cannot start"
    assert "exit code 3" in page.inner_text("#trouble-message")
    assert "restart page" in page.inner_text("#trouble-fix")
    page.click("#trouble-log summary")
    assert "told to crash" in page.inner_text("#trouble-log pre")
    instance.order("page", mode="ok")
    instance.answer("restart", "page")
    page.get_by_text("served_by").wait_for()
    context.close()


def test_the_login_page_lets_the_right_token_in(instance: Instance, browser: Any) -> None:
    instance.environment["LAUNCHER_TOKEN"] = "a-token-of-the-test-0123"
    instance.order("page", mode="mute")
    instance.start()
    wait_for(lambda: instance.status().get("port"), "the port")
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{instance.port}/")
    page.fill("#token", "wrong")
    page.click("#send")
    page.get_by_text("密钥不正确。").wait_for()
    page.fill("#token", "a-token-of-the-test-0123")
    page.click("#send")
    page.wait_for_selector("#stages li")
    assert page.inner_text("#title") == "正在准备页面"
    context.close()
