#!/usr/bin/env python
"""How quick the library stays when it is full: 100 voices, 10,000 takes, 1,000 terms, over HTTP and in a browser.

    python scripts/bench_library.py [--takes 10000] [--voices 100] [--runs 30] [--json]

Routes are asked of a whole instance with the embedded voice on loopback; the tab's times are those of a real Chromium
on the same page, from the click to the last thing drawn. Figures are medians, with the slowest beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT), str(ROOT / "scripts")]

import numpy as np  # noqa: E402 - found through the path above
from running import Running, launcher  # noqa: E402

from webui.library.history import Take  # noqa: E402
from webui.library.history import _insert as insert_take  # noqa: E402
from webui.library.library import Library  # noqa: E402
from webui.library.recordings import VoiceRecording  # noqa: E402

RATE_HZ = 24_000
#: Takes that are kept one by one, as speech keeps them; the others are written at once.
KEPT = 50
WORDS = [
    *("river", "lantern", "morning", "coffee", "window", "silver"),
    *("银行", "月亮", "早晨", "音乐", "窗外", "城市"),
]
ROUTES = {
    "history, newest 50": "/api/history",
    "history, 50 in the middle": "/api/history?before={middle}",
    "history, search that finds many": "/api/history?q=coffee",
    "history, search that finds one": "/api/history?q=number+{rare}",
    "history, one voice with a star": "/api/history?voice=lian&starred=yes",
    "voices, all": "/api/voices",
    "glossary, all": "/api/glossary",
}
CLICKS = {
    "tab History, first rows drawn": ("history", ".tts-lib-take"),
    "tab Voices, all rows drawn": ("voices", ".tts-lib-item:nth-child({voices})"),
    "tab Presets & glossary": ("presets", ".tts-lib-table tbody tr"),
}


def fill(folder: Path, *, takes: int, voices: int) -> float:
    """Makes a library as a busy month leaves it, without sound: nobody listens here.

    Returns:
        Milliseconds that each of the last takes took to be kept, without encoding its sound.
    """
    draw = np.random.default_rng(11)
    library = Library(folder)
    for number in range(voices):
        pcm = draw.integers(-9000, 9000, 3 * RATE_HZ).astype(np.int16)
        given = {"name": f"Voice {number}", "tags": ["warm", f"group {number % 7}"], "consent": "Their own."}
        library.voices.add(VoiceRecording(pcm, RATE_HZ, -20.0, -3.0, -60.0, ()), given)
    library.glossary.merge("".join(f"term{number}: {{zh: 词{number}, en: word {number}}}\n" for number in range(1000)))
    with library._database.writing() as connection:
        for number in range(takes - KEPT):
            insert_take(connection, made_take(number, draw))
    started = time.perf_counter()
    for number in range(takes - KEPT, takes):
        sound = library.parts / "sound"
        sound.write_bytes(b"sixteen bytes ok")
        library.history.add(made_take(number, draw), sound)
    kept_ms = (time.perf_counter() - started) / KEPT * 1000
    library.close()
    return kept_ms


def made_take(number: int, draw: np.random.Generator) -> Take:
    """A take with 40 words, four segments and the usual parameters."""
    text = f"{' '.join(draw.choice(WORDS, 40))} number {number}."
    return Take(
        id=f"{number:032x}",
        created_at=1_760_000_000.0 + 60 * number,
        engine="kokoro",
        voice=("lian", "yun")[number % 2],
        language="auto",
        source="page",
        seed=number,
        duration_s=9.5,
        synthesis_s=4.2,
        sample_rate_hz=RATE_HZ,
        size_bytes=16,
        file=f"{number:032x}.flac",
        text=text,
        weights={"kokoro": "sha256:" + "0" * 64},
        request={"text": text, "voice": "lian", "speed": 1.0, "emotion": {"happy": 0.4}},
        segments=[{"index": index, "text": text[:60], "start_s": float(index)} for index in range(4)],
        starred=number % 50 == 0,
    )


def timed(call: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and slowest of ``runs``, in milliseconds, after one that does not count."""
    call()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), max(times)


def measure_routes(running: Running, *, takes: int, runs: int) -> dict[str, tuple[float, float]]:
    """Each route as a browser on this machine asks it, on a connection that is open."""
    import httpx

    found = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client:
        for name, path in ROUTES.items():
            address = path.format(middle=takes // 2, rare=takes // 3)

            def ask(address: str = address) -> None:
                client.get(address).raise_for_status()

            found[name] = timed(ask, runs)
            print(name, found[name], file=sys.stderr)
    return found


def measure_page(running: Running, *, voices: int, rows: int, runs: int) -> dict[str, tuple[float, float]]:
    """Each tab opened for the first time on a fresh page, and a list of ``rows`` takes scrolled."""
    from tests.browser.visitor import Visitor
    from tests.chromium import chromium

    times: dict[str, list[float]] = {}
    with chromium() as browser:
        for _ in range(runs):
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            visitor = Visitor(context, f"http://127.0.0.1:{running.port}/")
            visitor.wait_for_voices()
            for name, (tab, selector) in CLICKS.items():
                wanted = f"#tts-tab-{tab} {selector.format(voices=voices)}"
                times.setdefault(name, []).append(_drawn(visitor, f"[data-tab={tab}]", wanted))
            visitor.page.click("[data-tab=history]")
            while visitor.page.locator(".tts-lib-take").count() < rows:
                visitor.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
                visitor.page.wait_for_timeout(30)
            visitor.evaluate("() => scrollTo(0, 0)")
            visitor.page.wait_for_timeout(300)
            frame = visitor.evaluate(_SCROLL)
            times.setdefault(f"slowest frame while scrolling through {rows:,} rows", []).append(frame)
            context.close()
            print(times, file=sys.stderr)
    return {name: (statistics.median(found), max(found)) for name, found in times.items()}


def _drawn(visitor: Any, button: str, wanted: str) -> float:
    """Milliseconds from a click until ``wanted`` is there and a frame with it was drawn, by the page's own clock."""
    return float(visitor.evaluate(_CLICK, [button, wanted]))


_CLICK = """([button, wanted]) => new Promise((resolve) => {
    const begun = performance.now();
    const look = () => document.querySelector(wanted)
        ? requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begun)))
        : requestAnimationFrame(look);
    document.querySelector(button).click();
    look();
})"""
_SCROLL = """() => new Promise((resolve) => {
    let [slowest, before, steps] = [0, performance.now(), 0];
    const step = (now) => {
        slowest = Math.max(slowest, now - before);
        before = now;
        scrollBy(0, 700);
        steps += 1;
        if (steps < 120) requestAnimationFrame(step);
        else resolve(slowest);
    };
    requestAnimationFrame((now) => { before = now; requestAnimationFrame(step); });
})"""


def main() -> int:
    """Fills, starts, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=10_000)
    parser.add_argument("--voices", type=int, default=100)
    parser.add_argument("--runs", type=int, default=30, help="of each route; the page is opened a tenth as often")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = min(1000, options.takes)
    with tempfile.TemporaryDirectory(prefix="tts-library-") as name:
        folder = Path(name)
        library = folder / "data" / "instances" / "default" / "library"
        kept_ms = fill(library, takes=options.takes, voices=options.voices)
        with launcher(folder) as running:
            running.answer_s("/readyz")
            found = {"one more take kept, in a thread of its own": (kept_ms, kept_ms)}
            found |= measure_routes(running, takes=options.takes, runs=options.runs)
            found |= measure_page(running, voices=options.voices, rows=rows, runs=max(1, options.runs // 10))
    if options.json:
        print(
            json.dumps(
                {name: {"median_ms": median, "slowest_ms": slowest} for name, (median, slowest) in found.items()}
            )
        )
    else:
        print("| what | median, ms | slowest, ms |\n| --- | ---: | ---: |")
        for what, (median, slowest) in found.items():
            print(f"| {what} | {median:.0f} | {slowest:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
