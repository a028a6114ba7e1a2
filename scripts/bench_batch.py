#!/usr/bin/env python
"""How quick the page stays while a batch of 200 rows is spoken: routes, a listener's first sound, the tab.

    python scripts/bench_batch.py [--rows 200] [--runs 20] [--json]

A whole instance with the embedded voice on loopback. Each figure is measured without a batch and while it runs; a
listener is somebody who presses Generate in the middle of it. Figures are medians, with the slowest beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT), str(ROOT / "scripts")]

import httpx  # noqa: E402 - found through the path above
from running import launcher  # noqa: E402

from launcher.frames import PCM, FrameReader  # noqa: E402

#: A row takes about 1 s: the batch outlasts the measurement.
TEXT = "Row {number}: the river carried the lantern past the silver window."
LISTENER = "Hello there."
ROUTES = {
    "the job": "/api/jobs/{job}",
    "100 of its rows": "/api/jobs/{job}/rows",
    "all jobs": "/api/jobs",
    "`/healthz`": "/healthz",
    "the page itself": "/",
}
_SCROLL = """() => new Promise((resolve) => {
    let [slowest, before, steps] = [0, performance.now(), 0];
    const step = (now) => {
        slowest = Math.max(slowest, now - before);
        before = now;
        scrollBy(0, 400);
        steps += 1;
        if (steps < 60) requestAnimationFrame(step);
        else resolve(slowest);
    };
    requestAnimationFrame((now) => { before = now; requestAnimationFrame(step); });
})"""


def first_sound_s(client: httpx.Client) -> float:
    """Seconds from a request until its first sound is there."""
    begun, reader = time.perf_counter(), FrameReader()
    with client.stream("POST", "/api/speak", json={"text": LISTENER, "keep": False}) as answer:
        for data in answer.iter_raw():
            if any(frame.kind == PCM for frame in reader.feed(data)):
                return time.perf_counter() - begun
    raise RuntimeError("there was no sound")


def measure_routes(client: httpx.Client, job: str, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each route, and of a listener's first sound."""
    found: dict[str, list[float]] = {name: [] for name in ROUTES}
    for _ in range(runs):
        for name, path in ROUTES.items():
            begun = time.perf_counter()
            client.get(path.format(job=job)).raise_for_status()
            found[name].append(1000 * (time.perf_counter() - begun))
    found["a listener's first sound"] = [1000 * first_sound_s(client) for _ in range(max(runs // 4, 3))]
    return found


def measure_tab(address: str, rows: int) -> dict[str, list[float]]:
    """Milliseconds from opening the tab's address to the rows, and of the slowest frame while they are scrolled."""
    from tests.browser.visitor import Visitor
    from tests.chromium import chromium

    found: dict[str, list[float]] = {"tab, from click to 100 rows": [], f"slowest frame, scrolling {rows} rows": []}
    opened, scrolled = found.values()
    with chromium() as browser:
        for _ in range(3):
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            visitor = Visitor(context, address + "/")
            visitor.wait_for_voices()
            begun = time.perf_counter()
            visitor.page.click("[data-tab=batch]")
            visitor.page.wait_for_selector("[data-position='100']")
            opened.append(1000 * (time.perf_counter() - begun))
            for following in range(200, rows + 1, 100):
                visitor.page.click(".tts-batch-job > .tts-lib-button")
                visitor.page.wait_for_selector(f"[data-position='{following}']")
            visitor.evaluate("() => scrollTo(0, 0)")
            visitor.page.wait_for_timeout(300)
            scrolled.append(float(visitor.evaluate(_SCROLL)))
            context.close()
    return found


def shown(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and slowest of each."""
    return {
        name: {"median_ms": round(statistics.median(times), 1), "slowest_ms": round(max(times), 1)}
        for name, times in found.items()
    }


def measure(rows: int, runs: int) -> dict[str, Any]:
    """Everything, of one instance."""
    with tempfile.TemporaryDirectory(prefix="tts-batch-") as name, launcher(Path(name)) as running:
        running.answer_s("/readyz")
        address = f"http://127.0.0.1:{running.port}"
        with httpx.Client(base_url=address, timeout=120) as client:
            texts = [TEXT.format(number=number) for number in range(1, rows + 1)]
            first_sound_s(client)
            begun = time.perf_counter()
            job = client.post("/api/jobs", json={"rows": texts, "start": False}).json()
            taken_ms = 1000 * (time.perf_counter() - begun)
            idle = shown(measure_routes(client, job["id"], runs))
            client.post(f"/api/jobs/{job['id']}/resume").raise_for_status()
            busy = shown(measure_routes(client, job["id"], runs) | measure_tab(address, rows))
            at_end = client.get(f"/api/jobs/{job['id']}").json()
            client.post(f"/api/jobs/{job['id']}/cancel").raise_for_status()
    return {
        "rows": rows,
        "taken_ms": round(taken_ms, 1),
        "done_meanwhile": at_end["counts"]["done"],
        "still_running_at_the_end": at_end["state"] == "running",
        "idle": idle,
        "busy": busy,
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20, help="of each route")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rows, options.runs)
    if options.json:
        print(json.dumps(found))
        return 0
    print("| what | without a batch, ms | while it runs, ms (slowest) |\n| --- | ---: | ---: |")
    for what, busy in found["busy"].items():
        idle = found["idle"].get(what)
        before = f"{idle['median_ms']:.0f} ({idle['slowest_ms']:.0f})" if idle else ""
        print(f"| {what} | {before} | {busy['median_ms']:.0f} ({busy['slowest_ms']:.0f}) |")
    print(
        f"\n{found['rows']} rows taken in {found['taken_ms']:.0f} ms; {found['done_meanwhile']} were spoken meanwhile,"
    )
    print(f"and it was still running at the end: {found['still_running_at_the_end']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
