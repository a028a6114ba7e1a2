"""Takes the pictures of the page in `docs/images`: ``python -m tests.browser.take_screenshots URL``.

The instance should be a fresh one with the embedded voice: what is seen on the pictures is made here first. With
``--every FOLDER`` every tab in both languages, narrow and wide, light and dark, is put there instead, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.visitor import Visitor
from tests.chromium import chromium

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
LOCALES = {"en": "en-US", "zh": "zh-CN"}
TABS = ("speak", "batch", "voices", "presets", "history", "system")
#: What the documents show: tab, language, width, scheme, and the picture's name.
PICTURES = (
    ("speak", "en", 1440, "light", "studio-en-1440"),
    ("speak", "en", 390, "dark", "studio-en-390-dark"),
    ("speak", "zh", 1440, "dark", "studio-zh-1440-dark"),
    ("speak", "zh", 390, "light", "studio-zh-390"),
    *((tab, "en", 1280, "light", f"{tab}-en") for tab in TABS[1:]),
    *((tab, "zh", 1280, "dark", f"{tab}-zh") for tab in TABS[1:]),
)
TEXTS = {
    "en": "The moon had climbed above the roofs. Only the little fox was still awake. “Are you listening?” it asked.",
    "zh": "月亮爬上了屋顶，只有小狐狸还醒着。“你在听吗？”它轻声问。Yes, I am, 有人轻轻地应了一声。",
}
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
SUBTITLES = """1
00:00:01,000 --> 00:00:03,500
The moon had climbed above the roofs.

2
00:00:04,000 --> 00:00:06,000
只有小狐狸还醒着。

3
00:00:06,500 --> 00:00:07,400
“Are you listening?” it asked, and nobody answered.
"""


def ask(address: str, path: str, body: bytes | dict[str, Any]) -> bytes:
    """Posts to the instance."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return bytes(answer.read())


def fill(address: str) -> None:
    """Makes voices, takes, terms, presets and a job through the API."""
    for name, voice, tags, language, consent in VOICES:
        spoken = {"input": f"{name}. {SAMPLE}", "voice": voice, "response_format": "wav", "keep": False}
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
    ask(address, f"api/jobs?{urllib.parse.urlencode({'name': 'film.srt', 'start': 'yes'})}", SUBTITLES.encode())


def show_speak(visitor: Visitor, language: str) -> None:
    """A text that has been spoken with a mood, one place of it chosen."""
    visitor.write(TEXTS[language])
    visitor.page.click("[data-mood=cheerful]")
    visitor.page.fill("#tts-emotion-calm input[type=number]", "0.3")
    visitor.page.click("#tts-generate")
    visitor.wait_for_state("done")
    visitor.wait("() => document.querySelector('#tts-screen').dataset.sounding === 'false'")
    visitor.evaluate("() => { document.querySelector('.tts-segments').open = true; }")
    visitor.page.wait_for_selector(".tts-segment:nth-child(3)")
    visitor.evaluate(
        "() => { const audio = document.querySelector('audio'); audio.currentTime = audio.duration * 0.42; }"
    )


def show(visitor: Visitor, tab: str, language: str, recording: bytes) -> None:
    """Opens a tab and brings it into the state that is worth a picture."""
    page = visitor.page
    if tab == "speak":
        show_speak(visitor, language)
        return
    page.click(f"[data-tab={tab}]")
    if tab == "voices":
        file = {"name": "Mother.wav", "mimeType": "audio/wav", "buffer": recording}
        page.wait_for_selector("#tts-tab-voices .tts-lib-item")
        page.set_input_files("#tts-tab-voices .tts-lib-add input[type=file]", file)
        page.wait_for_selector(".tts-lib-findings li")
    elif tab == "presets":
        page.wait_for_selector("#tts-tab-presets .tts-lib-item")
        page.fill(".tts-lib-pair input >> nth=0", "银行行长在重庆 reads 2 emails")
        page.wait_for_selector(".tts-lib-readings li")
    elif tab == "history":
        page.wait_for_selector("#tts-tab-history .tts-lib-item")
    elif tab == "batch":
        page.click(".tts-batch-open")
        page.wait_for_selector(".tts-batch-row:nth-child(3) [data-state=done]")
    else:
        page.wait_for_selector("#tts-tab-system .tts-sys")
        page.wait_for_timeout(2_000)  # figures come in


def take(browser: Any, address: str, picture: tuple[str, str, int, str], target: Path, recording: bytes) -> None:
    """One picture of the whole page."""
    tab, language, width, scheme = picture
    options = {"color_scheme": scheme, "device_scale_factor": 1.5 if width < 600 else 1, "reduced_motion": "reduce"}
    viewport = {"width": width, "height": 844 if width < 600 else 900}
    context = browser.new_context(locale=LOCALES[language], viewport=viewport, **options)
    visitor = Visitor(context, address + "/")
    visitor.page.set_default_timeout(120_000)
    visitor.wait_for_voices()
    show(visitor, tab, language, recording)
    visitor.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    visitor.page.mouse.move(0, 0)
    # As tall as its content: the bar that a phone shows at the bottom of the screen is then at the bottom of the page.
    height = visitor.evaluate("() => document.querySelector('main').getBoundingClientRect().bottom + 24")
    height += 84 if width < 600 and tab == "speak" else 24
    visitor.page.set_viewport_size({"width": width, "height": int(height)})
    visitor.page.wait_for_timeout(800)
    picture_bytes = io.BytesIO(visitor.page.screenshot())
    Image.open(picture_bytes).convert("RGB").save(target, quality=82, method=6)
    context.close()
    print(target.name, target.stat().st_size)


def main() -> None:
    """Takes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--every", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="", help="pictures whose name has this in it")
    options = parser.parse_args()
    address = options.address.rstrip("/")
    pictures = PICTURES
    if options.every:
        options.every.mkdir(parents=True, exist_ok=True)
        combinations = itertools.product(TABS, LOCALES, (390, 1440), ("light", "dark"))
        pictures = tuple((*one, "-".join(map(str, one))) for one in combinations)
    recording = ask(address, "v1/audio/speech", {"input": SAMPLE, "response_format": "wav", "keep": False})
    with urllib.request.urlopen(f"{address}/api/presets", timeout=60) as answer:
        if not json.load(answer)["presets"]:
            fill(address)
    with chromium() as browser:
        for *picture, name in pictures:
            if options.only in name:
                take(browser, address, tuple(picture), (options.every or FOLDER) / f"{name}.webp", recording)


if __name__ == "__main__":
    main()
