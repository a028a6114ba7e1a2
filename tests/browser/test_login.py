"""A person with a token, and a person who reads the API's document, in a real Chromium on the real guard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.processes import page, worker

pytestmark = pytest.mark.browser
ALICE = "alices-token-0123456789"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        worker(tmp_path_factory.mktemp("engine")) as engine,
        page(engine.address, users=(("alice", ALICE),)) as address,
    ):
        yield address


def test_a_person_logs_in_and_reads_the_document(browser: Any, locked: str) -> None:
    context = browser.new_context(locale="zh-CN")
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    tab = context.new_page()
    try:
        tab.goto(f"{locked}/docs")
        assert tab.url == f"{locked}/login", "a person is led to the form"
        assert tab.inner_text("#title") == "登录"
        tab.fill("#token", "<b>wrong</b>")
        tab.click("#send")
        tab.wait_for_selector("#problem:has-text('密钥不正确')")
        tab.fill("#token", f" {ALICE} ")
        tab.click("#send")
        tab.wait_for_url(f"{locked}/")
        assert tab.evaluate("() => fetch('/api/status').then((answer) => answer.status)") == 200
        assert tab.evaluate("() => document.cookie") == "", "scripts see the session"
        tab.goto(f"{locked}/docs")
        tab.click("#operations-default-speak .opblock-summary-control")
        tab.click("text=Try it out")
        tab.fill("textarea.body-param__text", '{"input": "one", "response_format": "wav"}')
        tab.click("button.execute")
        tab.wait_for_selector(".live-responses-table audio, .live-responses-table :text('200')")
        stolen = context.cookies()
        tab.goto(f"{locked}/logout")
        assert (tab.url, tab.inner_text("#who")) == (f"{locked}/login", "alice"), "a link alone logs out"
        assert tab.is_hidden("#token")
        tab.click("#leave:has-text('退出登录')")
        tab.wait_for_selector("#token:visible")
        assert context.cookies() == []
        context.add_cookies(stolen)
        assert tab.goto(f"{locked}/api/status").status == 401, "the server still knows the session"
    finally:
        context.close()
    assert {url.split("/", 3)[2] for url in asked if url.startswith("http")} == {locked.split("/")[2]}
