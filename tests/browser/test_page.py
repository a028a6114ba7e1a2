"""The page itself: loads clean, fits, speaks two languages, remembers, and is inert to markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from launcher.progress import Part, Progress
from tests.browser.visitor import Visitor
from tests.ui.stand_in import INFO, StandIn, build, serving
from webui.emotion import EMOTIONS
from webui.engine.base import Voice

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
MARKUP = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'


@pytest.mark.parametrize("width", [320, 390, 768, 900, 1440])
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_the_page_loads_clean_and_fits(visit: Visit, language: str, width: int) -> None:
    visitor = visit(language=language, width=width)
    visitor.wait_for_voices()
    assert visitor.console_errors == []
    assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    sides = visitor.evaluate(
        "() => ['tts-text-panel', 'tts-voice-panel'].map((id) => document.getElementById(id).getBoundingClientRect().x)"
    )
    assert (sides[0] < sides[1]) == (width >= 900)
    assert visitor.page.title() == "TTS Launcher"


def test_a_browser_is_told_at_once_of_all_that_the_page_needs(visit: Visit) -> None:
    """Else it learns of it step by step; a new Gradio that is built in another way fails here."""
    visitor = visit()
    visitor.wait_for_voices()
    entries = visitor.evaluate("() => performance.getEntriesByType('resource').map((entry) => entry.name)")
    asked = {urlsplit(name).path for name in entries if "/assets/" in name}
    html = visitor.page.request.get(visitor.address).text()
    told = {f"/{name}" for name in re.findall(r'(?:href|src)="(?:\./)?(assets/[^"]+)"', html)}
    assert len(asked) > 30
    assert sorted(path for path in asked - told if not path.endswith("/i18n/en.json")) == []
    scripts = [path for path in asked if path.endswith(".js")]
    for path in scripts:
        answer = visitor.page.request.get(visitor.address.rstrip("/") + path)
        assert "immutable" in answer.headers["cache-control"], path


def test_nothing_on_the_page_is_too_small_to_touch(visit: Visit) -> None:
    visitor = visit(width=390)
    visitor.wait_for_voices()
    small = visitor.evaluate(
        """() => [...document.querySelectorAll('main button, main select, main a[href], main input[type=range]')]
          .filter((node) => node.offsetParent && node.getBoundingClientRect().height < 36)
          .map((node) => node.outerHTML)"""
    )
    assert small == []


def test_every_control_has_a_name(visit: Visit) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    nameless = visitor.evaluate(
        """() => [...document.querySelectorAll('main button, main select, main input, main textarea, main audio')]
          .filter((node) => node.offsetParent && !(node.ariaLabel || node.innerText?.trim() || node.labels?.length))
          .map((node) => node.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh-CN", ["生成语音", "停止", "喜", "厌恶", "情感强度", "语速", "文本"]),
        ("zh-TW", ["生成语音", "情感强度"]),
        ("en-GB", ["Generate", "Stop", "Happy", "Disgusted", "Intensity", "Speed", "Text"]),
        ("fr-FR", ["Generate", "Happy"]),
    ],
)
def test_the_browsers_language_is_the_pages(visit: Visit, language: str, words: list[str]) -> None:
    visitor = visit(language=language)
    visitor.wait_for_voices()
    shown = visitor.page.inner_text("main")
    assert [word for word in words if word not in shown] == []


def test_the_language_can_be_switched_and_stays(visit: Visit) -> None:
    visitor = visit(language="en-US")
    visitor.wait_for_voices()
    visitor.page.click("[data-language=zh]")
    visitor.wait("() => document.querySelector('#tts-generate').innerText.includes('生成语音')")
    shown = visitor.page.inner_text("main")
    english = [word for word in ("Generate", "Happy", "Speed", "Voice", "Aoi", "Sine", "Download") if word in shown]
    assert english == []
    visitor.reload()
    assert "生成语音" in visitor.page.inner_text("#tts-generate")


def test_light_and_dark_follow_the_system_and_the_switch(visit: Visit) -> None:
    visitor = visit(color_scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = visitor.evaluate(ground)
    visitor.page.click("#tts-theme")
    light = visitor.evaluate(ground)
    assert dark != light
    visitor.reload()
    assert visitor.evaluate(ground) == light


def test_what_was_set_survives_a_reload(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write("Remember me.\nSecond line: 你好")
    visitor.page.click("[data-voice=dusk]")
    visitor.page.select_option("#tts-language", "zh")
    for name, value in (("#tts-speed", "1.3"), ("#tts-emotion-sad", "0.35"), ("#tts-emotion-intensity", "0.6")):
        visitor.page.fill(f"{name} input[type=number]", value)
    visitor.reload()
    visitor.wait_for_voices()
    assert visitor.page.input_value("#tts-text textarea") == "Remember me.\nSecond line: 你好"
    assert visitor.page.get_attribute("[data-voice=dusk]", "aria-checked") == "true"
    visitor.generate()
    visitor.wait_for_state("done")
    asked = service.requests[0]
    assert (asked.voice, asked.language, asked.speed, asked.intensity) == ("dusk", "zh", 1.3, 0.6)
    assert asked.emotion.as_dict() == {"sad": 0.35}


def test_storage_that_holds_nonsense_does_not_break_the_page(visit: Visit) -> None:
    visitor = visit()
    visitor.evaluate(
        """() => localStorage.setItem('tts-launcher.page', JSON.stringify(
          {text: 7, emotion: {happy: 'much', sad: 99}, speed: 'fast', voice: null, theme: 'pink', intensity: -4}))"""
    )
    # The page that is left must not write over it.
    visitor.page.goto("about:blank")
    visitor.page.goto(visitor.address)
    visitor.wait_until_filled()
    visitor.wait_for_voices()
    visitor.evaluate("() => localStorage.setItem('tts-launcher.page', '{')")
    visitor.page.goto(visitor.address)
    visitor.wait_until_filled()


def test_sliders_move_the_radar(visit: Visit) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    points = "() => document.querySelector('.tts-radar-heard').getAttribute('points')"
    seen = {visitor.evaluate(points)}
    for name in EMOTIONS:
        visitor.page.focus(f"#tts-emotion-{name} input[type=range]")
        visitor.page.keyboard.press("ArrowRight")
        seen.add(visitor.evaluate(points))
    assert len(seen) == 9
    assert visitor.page.input_value("#tts-emotion-calm input[type=number]") == "0.05"
    label = visitor.page.get_attribute(".tts-radar", "aria-label")
    assert "Happy 0.05" in label
    visitor.page.fill("#tts-emotion-intensity input[type=number]", "0.5")
    seen.add(visitor.evaluate(points))
    assert len(seen) == 10
    visitor.page.click("#tts-emotion-reset")
    assert visitor.page.get_attribute(".tts-radar", "aria-label") == "Emotion: neutral"


def test_a_mood_sets_the_sliders(visit: Visit, service: StandIn) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.page.click("[data-mood=gloomy]")
    assert visitor.page.get_attribute("[data-mood=gloomy]", "aria-pressed") == "true"
    visitor.write("Rain.")
    visitor.generate()
    visitor.wait_for_state("done")
    assert service.requests[0].emotion.as_dict() == {"sad": 0.35, "melancholic": 0.6}


def test_voices_are_chosen_with_the_arrow_keys(visit: Visit) -> None:
    visitor = visit()
    visitor.wait_for_voices()
    visitor.page.focus("[data-voice=aoi]")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.evaluate("() => document.activeElement.dataset.voice") == "kumo"
    assert visitor.page.get_attribute("[data-voice=kumo]", "aria-checked") == "true"


def test_an_engine_without_emotions_has_no_emotion_panel(visit: Visit, service: StandIn) -> None:
    service.info = replace(INFO, capabilities=(), speed_range=(0.8, 1.2))
    visitor = visit()
    visitor.wait_for_voices()
    assert not visitor.page.is_visible("#tts-emotion-panel")
    assert visitor.page.get_attribute("#tts-speed input[type=range]", "max") == "1.2"
    visitor.write("Plain.")
    visitor.generate()
    visitor.wait_for_state("done")
    assert service.requests[0].emotion.total == 0


@pytest.mark.parametrize("width", [390, 1440])
def test_the_banner_shows_stages_and_nothing_jumps(visit: Visit, service: StandIn, width: int) -> None:
    service.engine_state = "starting"
    visitor = visit(width=width)
    top = "() => document.getElementById('tts-text-panel').getBoundingClientRect().y"
    places = [visitor.evaluate(top)]
    files, hosts = (Part("gpt.pth", 1e9, 3e9), Part("codec.pth", 3e8, 6e8)), (Part("mirror.example", 2e9, None, 5e7),)
    service.weights = Progress("fetch", 2e9, 8e9, "bytes", 5e7, 119.6, files, hosts)
    visitor.wait("() => document.querySelector('.tts-banner-bar').ariaValueNow === '25'")
    places.append(visitor.evaluate(top))
    assert "25 % · 50.0 MB/s · 2 min 0 s left · 2.0 GB of 8.0 GB" in visitor.page.inner_text(".tts-banner")
    visitor.page.click("text=Files")
    opened = " ".join(visitor.page.inner_text(".tts-fetch").split())
    assert opened == "gpt.pth 33 % · 3.0 GB codec.pth 50 % · 600.0 MB From mirror.example 50.0 MB/s"
    assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    visitor.page.click("text=Files")
    service.weights = None
    for done, stage in enumerate(("import", "assemble", "load", "warm_up")):
        service.progress = Progress(stage, done, 4, "steps", None, 9.0 - done)
        visitor.wait(f"() => document.querySelector('.tts-banner-bar').ariaValueNow === '{25 * done}'")
        places.append(visitor.evaluate(top))
    assert "warming up" in visitor.page.inner_text(".tts-banner")
    service.engine_state, service.progress = "ready", None
    visitor.wait_for_voices()
    places.append(visitor.evaluate(top))
    assert "Sine · CPU" in visitor.page.inner_text(".tts-banner")
    assert "IndexTTS adds" in visitor.page.inner_text("#tts-engine-note")
    service.engine_state = "restarting"
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'restarting'")
    places.append(visitor.evaluate(top))
    assert len(set(places)) == 1


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_the_banner_counts_engines_and_follows_the_one_that_is_furthest(
    visit: Visit, service: StandIn, language: str
) -> None:
    service.further_engines = {"engine-2": "failed"}
    service.error = {"message": "The card has fallen out.", "fix": ""}
    visitor = visit(language=language, width=390)
    visitor.wait_for_voices()
    assert visitor.evaluate("() => document.querySelector('.tts-banner').dataset.state") == "ready"
    said = {"en-US": "1 of 2 engines", "zh-CN": "2 个引擎中 1 个可用"}[language]
    visitor.wait("(said) => document.querySelector('.tts-banner').innerText.includes(said)", said)
    title = visitor.page.get_attribute(".tts-banner-detail", "title")
    assert "engine: " in title and "The card has fallen out." in title and "engine-2: " in title
    service.engine_state, service.further_engines = "failed", {"engine-2": "restarting"}
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'restarting'")
    assert visitor.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_an_older_snapshot_does_not_replace_a_newer_one(visit: Visit, service: StandIn) -> None:
    service.uptime_s = 20.0
    visitor = visit()
    visitor.wait_for_voices()
    visitor.evaluate(
        """() => {
          const banner = document.querySelector('.tts-banner');
          window.seen = [];
          new MutationObserver(() => window.seen.push(banner.dataset.state)).observe(banner, { attributes: true });
        }"""
    )
    service.engine_state, service.uptime_s = "stopped", 10.0
    visitor.page.wait_for_timeout(500)  # the stand-in's stream sends what changed every 0.05 s
    service.engine_state, service.uptime_s = "restarting", 30.0
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'restarting'")
    assert set(visitor.evaluate("() => window.seen")) == {"restarting"}


def test_a_page_whose_server_is_gone_says_so_and_recovers(visit: Visit, built: Any, service: StandIn) -> None:
    with serving(built[0]) as address:
        visitor = visit(address=address)
        visitor.wait_for_voices()
        visitor.write("Keep me.")
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'offline'")
    visitor.generate()
    assert "The server does not answer" in visitor.message("player")
    with serving(built[0], port=int(address.rpartition(":")[2])):
        visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'ready'")
        assert visitor.page.input_value("#tts-text textarea") == "Keep me."
        visitor.generate()
        visitor.wait_for_state("done")


def test_markup_is_only_text(visit: Visit, service: StandIn) -> None:
    voice = Voice(MARKUP, {"en": MARKUP, "zh": MARKUP}, "female", (MARKUP,))
    service.info = replace(INFO, title={"en": MARKUP}, voices=(voice,), notes={"en": MARKUP})
    service.chunk_delay_s = 0.1
    visitor = visit()
    visitor.wait_for_voices()
    visitor.write(MARKUP + "。" + MARKUP)
    visitor.generate()
    visitor.wait_for_state("done")
    service.answers.append((400, {"error": {"message": MARKUP, "fix": MARKUP, "code": MARKUP}}, {}))
    visitor.generate()
    assert MARKUP in visitor.message("player")
    service.engine_state, service.error = "failed", {"message": MARKUP, "fix": MARKUP}
    visitor.wait("() => document.querySelector('.tts-banner').dataset.state === 'failed'")
    visitor.reload()
    assert visitor.evaluate("() => window.broken") is None
    assert visitor.page.locator("main img").count() == 0


def test_still_motion_for_those_who_asked(visit: Visit, service: StandIn) -> None:
    service.engine_state = "starting"
    visitor = visit(reduced_motion="reduce")
    moving = visitor.evaluate("() => document.getAnimations().length")
    assert moving == 0


def test_a_reverse_proxys_prefix_is_respected(visit: Visit) -> None:
    service = StandIn()
    page = build(service, root_path="/voices")

    outside = set()

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/voices/"):
            outside.add(scope["path"])
            await Response(status_code=204)(scope, receive, send)
            return
        if scope["type"] == "http":
            path = scope["path"].removeprefix("/voices")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await page(scope, receive, send)

    with serving(proxy) as address:
        visitor = visit(address=address + "/voices")
        visitor.wait_for_voices()
        visitor.write("Behind a proxy.")
        visitor.generate()
        visitor.wait_for_state("done")
        assert visitor.console_errors == []
    assert service.finished == 1
    assert outside <= {"/favicon.ico"}, "a browser asks for that one by itself"


def test_whoever_is_logged_in_may_leave(visit: Any, served: Any) -> None:
    visitor = visit(language="zh-CN", width=390)
    page = visitor.page
    assert page.locator("#tts-leave").count() == 0, "nobody logs in here"
    page.route(f"{served[0]}/", lambda route: _with(route, "logOut&quot;: &quot;", "logOut&quot;: &quot;/logout"))
    page.route(f"{served[0]}/logout", lambda route: route.fulfill(body=route.request.method))
    page.reload()
    page.wait_for_selector("#tts-leave[aria-label='退出登录']")
    for width in (320, 390, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert visitor.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        # The name's own letters: its box may end where they do not.
        end = visitor.evaluate(
            "() => { const letters = document.createRange();"
            " letters.selectNodeContents(document.querySelector('.tts-brand h1'));"
            " return letters.getBoundingClientRect().right; }"
        )
        switches = page.locator(".tts-switches").bounding_box()
        assert width == 320 or end <= switches["x"], f"the name is covered at {width} px"
    page.click("#tts-leave")
    page.wait_for_url("**/logout")
    assert page.inner_text("body") == "POST"


def _with(route: Any, words: str, others: str) -> None:
    """Answers with the page in which some words are others."""
    answer = route.fetch()
    text = answer.text()
    assert words in text
    route.fulfill(response=answer, body=text.replace(words, others))
