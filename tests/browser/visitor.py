"""A person at the page: what they see and do, and what their browser noticed meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: Long enough for a loaded machine; nothing is measured against it.
PATIENCE_MS = 30_000


class Visitor:
    """A page that is open and filled.

    Args:
        context: of Playwright, the visitor's own: storage is not shared.
        address: of the page.
    """

    def __init__(self, context: Any, address: str) -> None:
        self.context = context
        self.address = address
        self.console_errors: list[str] = []
        self.script_errors: list[str] = []
        self.foreign_requests: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        context.on("request", self._on_request)
        self.page.goto(address)
        self.wait_until_filled()

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Any) -> None:
        target = urlsplit(request.url)
        if target.scheme not in {"data", "blob"} and target.netloc != urlsplit(self.address).netloc:
            self.foreign_requests.append(request.url)

    def wait_until_filled(self) -> None:
        """Waits for the scripts to have filled the panels."""
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def wait_for_voices(self) -> None:
        """Waits for the engine's voices."""
        self.page.wait_for_selector("[data-voice]")

    def write(self, text: str) -> None:
        """Types a text, as a paste does."""
        self.page.fill("#tts-text textarea", text)

    def state(self) -> str:
        """The player's state."""
        return str(self.page.get_attribute("#tts-screen", "data-state"))

    def wait_for_state(self, *states: str) -> None:
        """Waits until the player is in one of ``states``."""
        self.page.wait_for_selector(", ".join(f"#tts-screen[data-state={state}]" for state in states))

    def generate(self) -> None:
        """Presses Generate."""
        self.page.click("#tts-generate")

    def speak(self, text: str) -> None:
        """Writes a text and has it spoken."""
        self.write(text)
        self.generate()
        self.wait_for_state("done")

    def saved(self, target: Path) -> bytes:
        """What the download gives."""
        with self.page.expect_download() as download:
            self.page.click(".tts-download")
        download.value.save_as(target)
        return target.read_bytes()

    def evaluate(self, script: str, *values: Any) -> Any:
        """What ``script`` gives in the page."""
        return self.page.evaluate(script, *values)

    def wait(self, script: str, argument: Any = None) -> None:
        """Waits until ``script`` gives something true in the page."""
        self.page.wait_for_function(script, arg=argument)

    def message(self, panel: str) -> str:
        """The sentence shown in a panel (``text``, ``voice``, ``emotion``, ``player``); waits for it."""
        place = self.page.wait_for_selector(f"#tts-{panel}-panel .tts-message:not([hidden])")
        return str(place.inner_text())

    def reload(self) -> None:
        """Loads the page again, as after a crash of the tab."""
        self.page.reload()
        self.wait_until_filled()
