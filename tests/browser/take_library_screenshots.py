"""Takes the pictures in `docs/images` of the library's tabs: ``python -m tests.browser.take_library_screenshots URL``.

The instance should be a fresh one with the embedded voice: what is seen on the pictures is made here first.
"""

from __future__ import annotations

import io
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.visitor import Visitor
from tests.chromium import chromium

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
VOICES = (
    ("Narrator", "yun", "calm, books", "en", "I agree that this recording of my voice is used for our audio books."),
    ("小雨", "lian", "warm, 故事", "zh", "本人同意将此录音用于讲故事。"),
    ("Host", "yun", "bright", "en", "Recorded in the studio on 3 November 2026, released for the podcast."),
)
TAKES = (
    ("The train to Hangzhou leaves on 3 November at 14:05 from platform 12.", "yun"),
    ("月亮爬上了屋顶，只有小狐狸还醒着。“你在听吗？”它轻声问。", "lian"),
    ("Good morning, the first cup of coffee is ready.", "lian"),
)
TERMS = (("GitHub", "吉特哈布", ""), ("SQL", "西扣", "sequel"), ("nginx", "恩静艾克斯", "engine x"))
SAMPLE = "This is a calm and clear recording, made in a quiet room, of somebody who reads a page aloud."


def ask(address: str, path: str, body: bytes | dict[str, Any]) -> bytes:
    """Posts to the instance."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return bytes(answer.read())


def fill(address: str) -> None:
    """Makes voices, takes, terms and presets through the API."""
    for name, voice, tags, language, consent in VOICES:
        spoken = {"input": SAMPLE, "voice": voice, "response_format": "wav", "keep": False}
        sound = ask(address, "v1/audio/speech", spoken)
        query = urllib.parse.urlencode({"name": name, "tags": tags, "language": language, "consent": consent})
        ask(address, f"api/voices?{query}", sound)
    for text, voice in TAKES:
        ask(address, "api/speak", {"text": text, "voice": voice, "emotion": {"happy": 0.4}})
    for term, zh, en in TERMS:
        ask(address, "api/glossary", {"term": term, "zh": zh, "en": en})
    for name, request in (
        ("Bedtime story", {"emotion": {"calm": 0.7}, "speed": 0.9, "text": "Once upon a time."}),
        ("News", {"speed": 1.1}),
    ):
        ask(address, "api/presets", {"name": name, "state": {"request": request}})


def take(visitor: Visitor, name: str) -> None:
    """One picture of the whole page."""
    visitor.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    visitor.page.mouse.move(0, 0)
    visitor.page.wait_for_timeout(500)
    target = FOLDER / f"{name}.webp"
    Image.open(io.BytesIO(visitor.page.screenshot(full_page=True))).save(target, quality=82, method=6)
    print(target.name, target.stat().st_size)


def main(address: str) -> None:
    """All of them, in both languages."""
    FOLDER.mkdir(exist_ok=True)
    fill(address)
    recording = ask(address, "v1/audio/speech", {"input": SAMPLE, "response_format": "wav", "keep": False})
    file = {"name": "Mother.wav", "mimeType": "audio/wav", "buffer": recording}
    with chromium() as browser:
        for language, locale, scheme in (("en", "en-US", "light"), ("zh", "zh-CN", "dark")):
            viewport = {"width": 1280, "height": 800}
            context = browser.new_context(
                locale=locale, viewport=viewport, color_scheme=scheme, reduced_motion="reduce"
            )
            visitor = Visitor(context, address + "/")
            visitor.wait_for_voices()
            for tab in ("voices", "presets", "history"):
                visitor.page.click(f"[data-tab={tab}]")
                visitor.page.wait_for_selector(f"#tts-tab-{tab} .tts-lib-item")
                if tab == "voices":
                    visitor.page.set_input_files("#tts-tab-voices .tts-lib-add input[type=file]", file)
                    visitor.page.wait_for_selector(".tts-lib-findings li")
                elif tab == "presets":
                    visitor.page.fill(".tts-lib-pair input >> nth=0", "银行行长在重庆 reads 2 emails")
                    visitor.page.wait_for_selector(".tts-lib-readings li")
                take(visitor, f"{tab}-{language}")
            context.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
