"""A walk through the System tab: what is shown, what the owner's buttons ask for, and what others may not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from launcher.access import AccessRules
from launcher.errors import LauncherError
from tests.browser.visitor import Visitor
from tests.ui.stand_in import Policy, StandIn, add_routes, serving, settings
from webui.api import system
from webui.api.answers import WHO, launcher_error_answer
from webui.ui.page import mount
from webui.ui.tabs import Tab

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
GB = 10**9


def model(name: str, state: str, size: int, present: int) -> dict[str, Any]:
    sizes = {"size_bytes": size, "present_bytes": present}
    return {"name": name, "title": f"The {name}", "engines": [], "state": state, **sizes}


LOOK = {
    "mirrors": [
        {"url": "https://huggingface.co", "kind": "hub", "trusted": True, "bytes_per_s": None},
        {"url": "https://hf-mirror.com", "kind": "hub", "trusted": False, "bytes_per_s": 12.34e6},
    ],
    "models": [
        model("indextts-2.5", "missing", 8 * GB, 0),
        model("campplus", "present", 28_000_000, 28_000_000),
        model("bigvgan", "partial", 400_000_000, 100_000_000),
    ],
    "repos": [
        {
            "name": "funasr/campplus",
            "kind": "model",
            "size_bytes": 28_000_000,
            "used_at": 1_760_000_000.0,
            "catalog": [],
            "flaws": 0,
            "needed": True,
        }
    ],
    "more_repos": 0,
    "cache": "/data/hub",
    "offline": False,
}


class Launcher:
    """The supervisor as the routes see it; a test changes it and sees what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.gpu = False
        self.errands: list[dict[str, Any]] = []

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((command, arguments))
        if command == "figures":
            return self.figures()
        if command == "errand":
            self.send(**arguments)
        if command == "cancel-errand":
            self.errands[-1] |= {"state": "cancelled", "ended_at": time.time()}
        return {"errands": self.errands}

    def send(self, kind: str, model: str) -> None:
        """Begins an errand; a look is over at once."""
        over = kind == "look"
        self.errands = [one for one in self.errands if one["kind"] != "look" or not over]
        self.errands.append(
            {
                "number": len(self.errands) + 1,
                "kind": kind,
                "model": model,
                "state": "done" if over else "running",
                "progress": None,
                "result": LOOK if over else None,
                "error": None,
                "started_at": time.time(),
                "ended_at": time.time() if over else None,
            }
        )

    @property
    def work(self) -> dict[str, Any]:
        """The newest errand that a person asked for."""
        return next(one for one in reversed(self.errands) if one["kind"] != "look")

    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """What was asked for besides looking."""
        looks = ("figures", "errands")
        return [one for one in self.asked if one[0] not in looks and one[1].get("kind") != "look"]

    def figures(self) -> dict[str, Any]:
        at = [time.time() - 10.0 * left for left in range(30, 0, -1)]
        gpu = {"index": 0, "name": "Card", "total_bytes": 80 * GB, "used_bytes": [20 * GB] * 30}
        history = {
            "at": at,
            "resident_bytes": {"engine": [400_000_000] * 30, "page": [120_000_000] * 30},
            "cpu": [0.5] * 30,
            "gpus": [{**gpu, "own_bytes": [18 * GB] * 30, "load": [0.25] * 29 + [None]}] if self.gpu else [],
        }
        disks = [{"path": path, "used_bytes": 90 * GB, "total_bytes": 100 * GB} for path in ("/data/hub", "/data")]
        sent = {"fetched_bytes": {"hf-mirror.com": 5_000_000}, "timeouts": {"huggingface.co": 2}}
        return {"history": history, "disks": disks, "cache_bytes": {"/data/hub": 28_000_000}, **sent}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Launcher, StandIn]]:
    """A page with the tab; visitors whose browser speaks Chinese are not its owner."""
    logs = tmp_path_factory.mktemp("logs")
    lines = [f"2026-11-21T10:00:0{number}.000+00:00 INFO page line {number}" for number in range(9)]
    lines.append("2026-11-21T10:00:09.000+00:00 ERROR engine <b>It broke.</b>")
    (logs / "launcher.log").write_text("\n".join(lines) + "\n")
    launcher, service, app = Launcher(), StandIn(), FastAPI()
    add_routes(app, service)
    rules = AccessRules(token="a-secret-of-16-characters")
    link: Any = launcher
    app.router.routes += system.routes(link, rules, str(logs))
    answer: Any = launcher_error_answer
    app.add_exception_handler(LauncherError, answer)
    page = Policy(mount(app, settings=settings(), tabs=(Tab("system", "tab_system", "js/tab_system.js"),)))

    async def known(scope: Any, receive: Any, send: Any) -> None:
        languages = dict(scope.get("headers") or ()).get(b"accept-language", b"")
        await page({**scope, WHO: "mia" if languages.startswith(b"zh") else "token"}, receive, send)

    with serving(known) as address:
        yield address, launcher, service


def test_a_walk_through_the_system_tab(visit: Visit, opened: tuple[str, Launcher, StandIn]) -> None:
    address, launcher, service = opened
    service.error = {"message": "The engine was killed by SIGKILL.", "fix": "See the log."}
    visitor = visit(address=address)
    visitor.wait_for_voices()
    assert launcher.asked == []  # a tab that nobody opened asks for nothing
    page = visitor.page
    page.focus("[data-tab=speak]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-model]")
    assert page.locator("#tts-tab-system .tts-sys-line").count() == 3  # two processes' memory, and the processors
    said = page.inner_text("#tts-tab-system")
    for words in (
        "Memory of the processes",
        "90 % used; 10.0 GB of 100.0 GB free",
        "/data/hub",
        "12.3 MB/s",
        "sent 5 MB",
    ):
        assert words in said, words
    assert "timed out 2×" in said and "The engine was killed by SIGKILL." in said and "funasr/campplus" in said
    assert page.locator(".tts-sys-meter.tts-sys-full b").count() == 1  # the 85 % line is behind
    assert "<b>It broke.</b>" in page.inner_text(".tts-sys-log") and "line 3" in page.inner_text(".tts-sys-log")
    page.click("text=Only errors")
    visitor.wait("() => !document.querySelector('.tts-sys-log').innerText.includes('line 3')")

    _fetch_and_verify(page, launcher)
    _unload_and_load(page, launcher, service)
    page.click("[data-tab=speak]")
    page.wait_for_timeout(200)
    count = len(launcher.asked)
    page.wait_for_timeout(1500)
    assert len(launcher.asked) == count  # nor one that is hidden


def _fetch_and_verify(page: Any, launcher: Launcher) -> None:
    page.click("[data-model='indextts-2.5'] button")
    page.wait_for_selector("[data-errand=running]")
    assert launcher.commands() == [("errand", {"kind": "fetch", "model": "indextts-2.5"})]
    launcher.work["progress"] = {
        "stage": "fetch",
        "done": 2e9,
        "total": 8e9,
        "unit": "bytes",
        "rate_per_s": 5e7,
        "eta_s": 120,
    }
    bar = page.wait_for_selector("[data-errand] .tts-sys-meter[aria-valuenow='25']")
    assert bar is not None and "2.0 GB / 8.0 GB · 50.0 MB/s · 2 min left" in page.inner_text("[data-errand=running]")
    assert page.is_disabled("[data-model='indextts-2.5'] button")
    page.click("[data-errand=running] button")
    page.wait_for_selector("[data-errand=cancelled]")
    page.focus("[data-model=campplus] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-errand=running]")
    result = {"ok": False, "checked_files": 2, "checked_bytes": 28_000_000, "seconds": 0.5, "damaged": 1}
    damaged = {**result, "findings": [{"repo": "funasr/campplus", "path": "model.bin", "reason": "has other bytes"}]}
    launcher.work.update(state="done", ended_at=time.time(), result=damaged)
    page.wait_for_selector("[data-errand=done]")
    assert "Damaged files: 1 (model.bin)." in page.inner_text(".tts-sys-errors")


def _unload_and_load(page: Any, launcher: Launcher, service: StandIn) -> None:
    page.click("[data-component=engine] >> text=Unload")
    service.engine_state = "unloaded"
    service.uptime_s += 1
    page.click("[data-component=engine] >> text=/^Load$/")
    assert launcher.commands()[-2:] == [("unload", {"component": "engine"}), ("load", {"component": "engine"})]
    service.engine_state, service.error = "ready", None
    service.uptime_s += 1


def test_others_look_on_a_phone_in_chinese_and_in_the_dark(visit: Visit, opened: tuple[str, Launcher, StandIn]) -> None:
    address, launcher, _ = opened
    launcher.gpu = True
    visitor = visit(address=f"{address}/#system?", language="zh-CN", width=390, color_scheme="dark")
    visitor.page.goto(f"{address}/#system")
    visitor.wait_until_filled()
    visitor.page.wait_for_selector("[data-model]")
    said = visitor.page.inner_text("#tts-tab-system")
    for words in ("显存", "GPU 负载", "Card（本引擎） 18.0 GB", "这里可以随意查看", "未下载", "正在使用"):
        assert words in said, words
    assert visitor.page.locator("#tts-tab-system button:visible").count() == 0
    assert not visitor.page.is_visible(".tts-sys-log")
    assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert visitor.console_errors == []
