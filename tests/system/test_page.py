"""The product's first promise, in a real browser: start, see the loading page, hear the neural voice speak."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.visitor import Visitor
from tests.system.running import Running
from tests.system.test_speech import read_wav

pytestmark = [pytest.mark.browser, pytest.mark.voice]
#: A loaded machine needs this for the page's framework and the voice together.
PATIENCE_MS = 120_000


def test_from_the_loading_page_to_speech_in_two_languages(browser: Any, data_dir: Path, tmp_path: Path) -> None:
    instance = Running(data_dir, "browser")
    try:
        address = instance.wait(lambda snapshot: bool(snapshot.get("url")), "listening")["url"]
        context = browser.new_context(locale="zh-CN", accept_downloads=True)
        # The loading page gives way to the page by itself; the visitor waits for what only the page has.
        context.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(context, address)
        visitor.page.set_default_timeout(PATIENCE_MS)
        visitor.write("你好，世界。Hello world!")
        visitor.generate()  # early: it waits for the engine
        visitor.wait_for_state("done", "failed")
        assert visitor.state() == "done"
        file = tmp_path / "spoken.wav"
        with visitor.page.expect_download() as download:
            visitor.page.click("a[download]")
        download.value.save_as(file)
        samples, rate_hz = read_wav(file.read_bytes())
        assert 1.5 < len(samples) / rate_hz < 6
        assert int(abs(samples.astype(int)).max()) > 2000
        assert visitor.script_errors == []
        assert visitor.foreign_requests == []
        _survive_a_dead_page(instance, visitor)
        context.close()
    finally:
        instance.stop()


def _survive_a_dead_page(instance: Running, visitor: Any) -> None:
    """The page's process dies while the page is open: what was typed stays, and it speaks again by itself."""
    visitor.write("Still here.")
    pid = instance.kill("page")
    instance.wait(
        lambda snapshot: snapshot["state"] == "ready" and snapshot["components"]["page"]["pid"] != pid, "ready again"
    )
    time.sleep(1)
    visitor.generate()
    visitor.page.wait_for_function("() => document.querySelector('#tts-screen').dataset.state !== 'done'")
    visitor.wait_for_state("done", "failed")
    assert visitor.state() == "done"
    assert visitor.page.input_value("#tts-text textarea") == "Still here."
