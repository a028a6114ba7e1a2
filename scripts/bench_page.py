#!/usr/bin/env python
"""How soon the page can be used: from opening the address until its controls answer, in a real Chromium.

    python scripts/bench_page.py [--runs 9] [--json] [--requests]

A whole instance with the embedded voice on loopback. "New" is a visitor whose browser has nothing of the page, "again"
the same visitor's next visit. The page counts as usable when every panel is there and wired (``data-ready``); "drawn"
is the first frame with something on it. Figures are medians, with the slowest beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT), str(ROOT / "scripts")]

from running import launcher  # noqa: E402 - found through the path above

#: Notes when the page became usable, by the clock that begins with the visit.
WATCH = """
new MutationObserver((_, watch) => {
  if (document.documentElement?.dataset.ready !== "true") return;
  window.usableMs = performance.now();
  watch.disconnect();
}).observe(document, { attributes: true, childList: true, subtree: true });
"""
#: What the browser knows of the visit, and how far anything moved while it was put together.
READ = """() => {
  const entries = performance.getEntriesByType("resource");
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    usable_ms: window.usableMs,
    drawn_ms: paint?.startTime ?? 0,
    answered_ms: page.responseEnd,
    requests: entries.length + 1,
    kilobytes: (page.transferSize + entries.reduce((sum, entry) => sum + entry.transferSize, 0)) / 1000,
    moved: window.moved ?? 0,
    list: entries.map((entry) => [entry.startTime, entry.responseEnd, entry.transferSize, entry.name]),
  };
}"""
MOVED = """
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.moved = (window.moved ?? 0) + entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
NAMES = {
    "usable_ms": "usable, ms",
    "drawn_ms": "first thing drawn, ms",
    "requests": "requests until then",
    "kilobytes": "kB until then",
    "moved": "layout shift",
}


def visit(context: Any, address: str) -> dict[str, Any]:
    """Opens the page and waits until it can be used and the voices are there."""
    page = context.new_page()
    page.add_init_script(WATCH + MOVED)
    page.goto(address, wait_until="commit")
    page.wait_for_function("() => window.usableMs", timeout=60_000)
    found: dict[str, Any] = page.evaluate(READ)
    page.wait_for_selector("[data-voice]", timeout=60_000)
    page.wait_for_timeout(300)
    found["moved"] = round(page.evaluate("() => window.moved ?? 0"), 4)
    page.close()
    return found


def measure(address: str, runs: int) -> dict[str, list[dict[str, Any]]]:
    """``runs`` new visitors and the second visit of each, after one that does not count."""
    from tests.chromium import chromium

    visits: dict[str, list[dict[str, Any]]] = {"new": [], "again": []}
    with chromium() as browser:
        for number in range(runs + 1):
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            for found in visits.values():
                one = visit(context, address)
                if number:
                    found.append(one)
            context.close()
    return visits


def main() -> int:
    """Starts, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", action="store_true", help="list the last new visitor's requests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tts-page-") as name, launcher(Path(name)) as running:
        running.answer_s("/readyz")
        visits = measure(f"http://127.0.0.1:{running.port}/", options.runs)
    if options.requests:
        for start, end, size, address in visits["new"][-1]["list"]:
            sys.stderr.write(f"{start:7.0f} {end:7.0f} {size:8.0f} {address}\n")
    figures = {kind: {key: [one[key] for one in found] for key in NAMES} for kind, found in visits.items()}
    if options.json:
        print(json.dumps(figures))
        return 0
    print("| | new visitor (slowest) | again (slowest) |\n| --- | ---: | ---: |")
    for key, words in NAMES.items():
        cells = (f"{statistics.median(figures[kind][key]):.4g} ({max(figures[kind][key]):.4g})" for kind in visits)
        print(f"| {words} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
