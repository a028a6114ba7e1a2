"""Breaks a running instance in every way of tests/faults and writes what a user saw, how long it took, what was lost.

    python scripts/bench_reliability.py --markdown
    python scripts/bench_reliability.py --only kill_page --only hang_engine

The instance is the real one (supervisor, page, the engine's process); its engine speaks in tones, so that every answer
is known beforehand and compared byte by byte. Clients ask once and do not try again, unlike real ones. Faults that need
a file system of their own are made when this process may mount one. Exit code 1 when an answer was wrong, something was
lost that people keep, or a fault could not be made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults import scenarios, starts  # noqa: E402 - found beside this folder
from tests.faults.scenarios import Bench, Outcome  # noqa: E402
from tests.faults.tones import tones  # noqa: E402

HEADINGS = ("What was done", "What users saw", "Served again after", "Requests lost", "Wrong answers", "Data lost")


def outcomes(only: set[str], requests: int) -> Iterator[Outcome]:
    """Every fault's outcome, one after another; one that could not be made has no recovery."""
    chosen = [one for one in scenarios.SCENARIOS if not only or one.__name__ in only]
    if chosen:
        with (
            tempfile.TemporaryDirectory(prefix="faults-") as folder,
            tones(Path(folder), settings=scenarios.SETTINGS) as instance,
        ):
            bench = Bench(instance, Path(folder) / "data")
            for scenario in chosen:
                yield _made(scenario.__name__, lambda scenario=scenario: _run(scenario, bench, requests))  # type: ignore[misc]
    mountable = starts.NEED_MOUNT if starts.can_mount() else ()
    for start in (*starts.STARTS, *mountable):
        if not only or start.__name__ in only:
            with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
                yield _made(start.__name__, lambda start=start, folder=folder: start(Path(folder)))  # type: ignore[misc]


def _run(scenario: Callable[..., Outcome], bench: Bench, requests: int) -> Outcome:
    if scenario is scenarios.many_requests:
        return scenario(bench, count=requests)
    return scenario(bench)


def _made(name: str, make: Callable[[], Outcome]) -> Outcome:
    try:
        return make()
    except (AssertionError, OSError, TypeError) as error:
        return Outcome(name, f"NOT AS EXPECTED: {error}"[:500], float("inf"), 0, 0)


def row(outcome: Outcome) -> str:
    """One line of the table."""
    took = "at once" if outcome.recovery_s == 0 else f"{outcome.recovery_s:.1f} s"
    cells = (outcome.done, outcome.seen, took, outcome.lost, outcome.wrong, outcome.data_lost or "none")
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def is_well(outcome: Outcome) -> bool:
    """Whether nothing was wrong or lost for good."""
    return not outcome.wrong and not outcome.data_lost and outcome.recovery_s != float("inf")


def main() -> int:
    """Makes the faults and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this fault; may be repeated")
    parser.add_argument("--requests", type=int, default=10_000, help="of the crowd (default 10,000)")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/reliability.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began, well = time.monotonic(), True
    if options.markdown:
        print(f"| {' | '.join(HEADINGS)} |\n| {' | '.join(['---'] * len(HEADINGS))} |", flush=True)
    for outcome in outcomes(set(options.only), options.requests):
        well = well and is_well(outcome)
        print(json.dumps(asdict(outcome)) if options.json else row(outcome), flush=True)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
