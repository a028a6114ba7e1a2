"""How long a start takes, against the same page started plainly with Gradio; both sides in one run.

    python scripts/bench_start.py --runs 5 --probes 10000 --markdown

Runs alternate between the two sides after one warm-up of each, figures are medians. Give it a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))

from probe_port import Prober
from running import START_LIMIT_S, BenchmarkError, Running, launcher, plain_page, run_launcher

SENTENCE = "Good morning, the first cup of coffee is ready."
#: What the launcher promises: name, the most that it may be.
LIMITS = {
    "first_byte_s": 0.3,
    "page_ratio": 0.65,
    "status_s": 0.2,
    "help_s": 0.2,
    "supervisor_mib": 30.0,
    "refused": 0,
    "late": 0,
}
NAMES = {
    "first_byte_s": "command to first byte",
    "page_s": "command to page",
    "plain_page_s": "command to page, plain Gradio",
    "page_ratio": "page against plain Gradio",
    "audio_from_command_s": "command to first audio",
    "audio_warm_s": "request to first audio, warm",
    "status_s": "`launcher status`",
    "help_s": "`launcher --help`",
    "supervisor_mib": "supervisor, resident memory",
    "probes": "probes of the port",
    "refused": "probes refused",
    "lost": "probes lost in a killed process",
    "late": "probes without an answer within 30 s",
}


def measure_launcher(folder: Path) -> dict[str, float]:
    """One start of the launcher, up to speech."""
    with launcher(folder) as running:
        times = {"first_byte_s": running.first_byte_s(), "page_s": running.answer_s("/")}
        running.audio_s(SENTENCE)
        times["audio_from_command_s"] = running.elapsed_s()
        running.answer_s("/readyz")
        times["audio_warm_s"] = running.audio_s(SENTENCE)
        times["status_s"] = _wall_s(lambda: run_launcher(folder, "status"))
        times["help_s"] = _wall_s(lambda: run_launcher(folder, "--help"))
        times["supervisor_mib"] = psutil.Process(running.snapshot()["pid"]).memory_info().rss / 2**20
    return times


def measure_plain(folder: Path) -> dict[str, float]:
    """One start of the same page without the launcher."""
    with plain_page(folder) as running:
        return {"plain_page_s": running.answer_s("/")}


def _wall_s(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure_starts(folder: Path, runs: int) -> dict[str, list[float]]:
    """``runs`` starts of each side, by turns, after one warm-up of each.

    Returns:
        Each figure's values, in the order of the runs.
    """
    figures: dict[str, list[float]] = {}
    for number in range(runs + 1):
        for measure in (measure_launcher, measure_plain):
            for name, value in measure(folder).items():
                if number:  # the first pair writes bytecode and assembles the voice
                    figures.setdefault(name, []).append(value)
        _note(f"run {number} of {runs}" if number else "warm-up done")
    return figures


def measure_port(folder: Path, probes: int) -> dict[str, int]:
    """Probes the port from its first answer on, through two kills and three restarts, until there are ``probes``."""
    with launcher(folder) as running:
        running.first_byte_s()
        prober = Prober("127.0.0.1", running.port, workers=2)
        prober.start()

        def enough(step: int, steps: int) -> None:
            _wait_until(lambda: prober.counts.probes * steps >= probes * step)

        try:
            _go_through(running, folder, enough)
        finally:
            counts = prober.stop()
    return {"probes": counts.probes, "refused": counts.refused, "lost": counts.lost, "late": counts.late}


def _go_through(running: Running, folder: Path, after: Callable[[int, int], None]) -> None:
    """Kills and restarts everything once; after each step ``after`` gets its number and how many there are."""
    running.answer_s("/readyz")
    steps: dict[str, Callable[[], object]] = {
        "page killed": lambda: _kill(running, "page"),
        "engine killed": lambda: _kill(running, "engine"),
        "page restarted": lambda: run_launcher(folder, "restart", "page"),
        "engine restarted": lambda: run_launcher(folder, "restart", "engine"),
        "both restarted": lambda: run_launcher(folder, "restart"),
    }
    for number, (name, step) in enumerate(steps.items(), 1):
        before = _processes(running.snapshot())
        step()
        _wait_until(partial(_is_back, running, before))
        after(number, len(steps))
        _note(f"{name}, and back")


def _kill(running: Running, component: str) -> None:
    os.kill(running.snapshot()["components"][component]["pid"], signal.SIGKILL)


def _processes(snapshot: dict[str, Any]) -> dict[str, int]:
    return {name: part["pid"] for name, part in snapshot["components"].items()}


def _is_back(running: Running, before: dict[str, int]) -> bool:
    """Whether a component has another process than ``before``, and everything is ready."""
    snapshot = running.snapshot()
    return snapshot["state"] == "ready" and _processes(snapshot) != before


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"nothing came back within {START_LIMIT_S:.0f} s")
        time.sleep(0.1)


def summarise(figures: dict[str, list[float]], port: dict[str, int]) -> dict[str, float]:
    """The median of every figure, the ratio of the two sides, and the counts."""
    result = {name: statistics.median(values) for name, values in figures.items()}
    if "page_s" in result:
        result["page_ratio"] = result["page_s"] / result["plain_page_s"]
    return {**result, **port}


def as_table(result: dict[str, float], *, markdown: bool) -> str:
    """The figures as lines for people, in Markdown if wanted."""
    lines = ["| what | measured | limit | |", "| --- | ---: | ---: | --- |"] if markdown else []
    for name, title in NAMES.items():
        if name not in result:
            continue
        value = result[name]
        unit = " s" if name.endswith("_s") else " MiB" if name.endswith("_mib") else ""
        shown = f"{value}" if isinstance(value, int) else f"{value:.3f}"
        limit = LIMITS.get(name)
        verdict = "" if limit is None else "ok" if value <= limit else "MISSED"
        bound = "" if limit is None else f"{limit:g}{unit}"
        if markdown:
            lines.append(f"| {title} | {shown}{unit} | {bound} | {verdict} |")
        else:
            lines.append(f"{title:<32} {shown + unit:>12} {bound:>8} {verdict}")
    return "\n".join(lines)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measures and prints; returns 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="starts of each side (0 skips them)")
    parser.add_argument("--probes", type=int, default=10_000, help="probes of the port (0 skips them)")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="every value as JSON")
    style.add_argument("--markdown", action="store_true", help="a table for a document")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        folder = Path(name)
        figures = measure_starts(folder, options.runs) if options.runs else {}
        port = measure_port(folder, options.probes) if options.probes else {}
    result = summarise(figures, port)
    if options.json:
        print(json.dumps({"result": result, "runs": figures, "limits": LIMITS}, indent=1))
    else:
        print(as_table(result, markdown=options.markdown))
    return int(any(result[name] > limit for name, limit in LIMITS.items() if name in result))


if __name__ == "__main__":
    sys.exit(main())
