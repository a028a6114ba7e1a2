"""Takes the pictures in `docs/screenshots` of a running instance: ``python -m tests.browser.take_screenshots URL``."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.visitor import Visitor
from tests.chromium import chromium

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
TEXT = {
    "en": "The moon had climbed above the roofs. Only the little fox was still awake. “Are you listening?” it asked.",
    "zh": "月亮爬上了屋顶，只有小狐狸还醒着。“你在听吗？”它轻声问。Yes, I am, 有人轻轻地应了一声。",
}


def take(browser: Any, address: str, language: str, width: int, scheme: str) -> None:
    """One picture: a text that has been spoken with a mood, the page in its whole length."""
    options = {"color_scheme": scheme, "device_scale_factor": 1.5 if width < 600 else 1, "reduced_motion": "reduce"}
    viewport = {"width": width, "height": 900}
    context = browser.new_context(locale={"en": "en-US", "zh": "zh-CN"}[language], viewport=viewport, **options)
    visitor = Visitor(context, address)
    visitor.page.set_default_timeout(120_000)
    visitor.wait_for_voices()
    visitor.write(TEXT[language])
    visitor.page.click("[data-mood=cheerful]")
    visitor.page.fill("#tts-emotion-calm input[type=number]", "0.3")
    visitor.page.click("#tts-generate")
    visitor.wait_for_state("done")
    visitor.wait("() => document.querySelector('#tts-screen').dataset.sounding === 'false'")
    visitor.evaluate(
        """() => { const audio = document.querySelector('audio'); audio.currentTime = audio.duration * 0.42;
                   document.activeElement.blur(); scrollTo(0, 0); }"""
    )
    visitor.page.mouse.move(0, 0)
    # As tall as its content: the bar that a phone shows at the bottom of the screen is then at the bottom of the page.
    height = visitor.evaluate("() => document.querySelector('main').getBoundingClientRect().bottom + 24")
    height += 84 if width < 600 else 24
    visitor.page.set_viewport_size({"width": width, "height": int(height)})
    visitor.page.wait_for_timeout(500)
    target = FOLDER / f"page-{language}-{width}{'-dark' if scheme == 'dark' else ''}.png"
    # Without a palette: few colours would take the small things, which carry the most colour, first.
    Image.open(io.BytesIO(visitor.page.screenshot())).convert("RGB").save(target, optimize=True)
    context.close()
    print(target.name, target.stat().st_size)


def main(address: str) -> None:
    """All of them."""
    with chromium() as browser:
        for language, width, scheme in itertools.product(("en", "zh"), (390, 1440), ("light", "dark")):
            take(browser, address, language, width, scheme)


if __name__ == "__main__":
    main(sys.argv[1])
