"""What the page and its API cost over the bare engine, and what many clients get; both sides in one run.

    python scripts/bench_serve.py --markdown
    python scripts/bench_serve.py --only load --only memory --syntheses 200 --seconds 1    a quick look

The other side is `bare_server.py`: the same engine behind FastAPI. Load and memory are measured with an engine of tones
that works 50 ms a word, so that only the serving differs; first audio and throughput also with the embedded voice.
Runs alternate between the sides; figures are medians unless they say otherwise. Give it a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from serving import BenchmarkError, Client, Side, bare, client, ours

CLIENTS = (1, 4, 16, 64)
PARTS = ("load", "memory", "voice")
#: 200 characters in two languages.
LONG = (
    "Good morning. The first cup of coffee is ready, and the train to Hangzhou leaves at nine. "
    "今天早上天气很好，我们一起去西湖边散步吧。 Bring an umbrella, because it may rain in the afternoon, "
    "and do not forget the tickets."
)[:200]
SENTENCE = "Good morning, the first cup of coffee is ready."
#: What the product promises: name, the most that it may be.
LIMITS = {"overhead_ms": 10.0, "throughput_loss": 0.05, "first_audio_ratio": 1.15, "growth_mib": 20.0}
Ask = Callable[[Client], Awaitable[Any]]
Rows = list[dict[str, Any]]


async def load(side: Side, count: int, seconds: float, ask: Ask) -> tuple[float, list[float]]:
    """Requests a second and all latencies of so many clients, each with an address and a connection of its own."""
    until = time.perf_counter() + seconds
    times: list[float] = []

    async def one(number: int) -> None:
        async with client(side.port, f"127.0.1.{number + 1}") as connection:
            while time.perf_counter() < until:
                answer = await ask(connection)
                if answer.status != 200:
                    raise BenchmarkError(f"{side.name} answered {answer.status}: {side.last_words()}")
                times.append(answer.total_s)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return len(times) / (time.perf_counter() - began), sorted(times)


def percentile(times: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * times[min(len(times) - 1, int(share * len(times)))]


async def under_load(sides: list[Side], what: str, counts: Sequence[int], seconds: float, ask: Ask) -> Rows:
    """Both sides with so many clients."""
    rows = []
    for count in counts:
        rates = {}
        for side in sides:
            rate, times = await load(side, count, seconds, ask)
            rates[side.name] = rate
            rows.append(
                {
                    "what": what,
                    "side": side.name,
                    "clients": count,
                    "per_s": round(rate, 2),
                    **{f"p{int(100 * share)}_ms": round(percentile(times, share), 1) for share in (0.5, 0.95, 0.99)},
                }
            )
        rows[-1]["ratio"] = round(rates[sides[-1].name] / rates[sides[0].name], 3)
    return rows


async def fairness(side: Side, count: int) -> float:
    """Jain's index over what eight clients got, of which one asks with eight connections at a time; 1 is fair.

    Args:
        side: the server.
        count: spoken requests of all together.
    """
    counts = [0] * 8

    async def one(number: int) -> None:
        async with client(side.port, f"127.0.2.{number + 1}") as connection:
            while sum(counts) < count:
                await connection.speak("one")
                counts[number] += sum(counts) < count

    await asyncio.gather(*(one(number) for number in (*range(8), *[0] * 7)))
    return sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))


async def paired(sides: list[Side], runs: int, ask: Ask, read: Callable[[Any], float]) -> dict[str, list[float]]:
    """The same request to both sides in turn, each over a fresh connection."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(runs + 1):
        for side in sides if number % 2 else reversed(sides):
            async with client(side.port) as connection:
                value = read(await ask(connection))
            if number:  # the first one warms up
                found[side.name].append(value)
    return found


async def growth(side: Side, count: int) -> list[float]:
    """Memory in MiB after each tenth of so many syntheses."""
    sizes: list[float] = []
    async with client(side.port) as connection:
        for number in range(1, count + 1):
            answer = await connection.speak("one")
            if answer.status != 200:
                raise BenchmarkError(f"{side.name} answered {answer.status}: {side.last_words()}")
            if number * 10 // count > len(sizes):
                sizes.append(round(side.resident_bytes() / 2**20, 1))
    return sizes


async def measure_tone(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that needs no voice."""
    tone = folder / "tone.json"
    tone.write_text(json.dumps({"chunk_s": 0.05, "segment_audio_s": 0.25}))
    counts = options.clients or CLIENTS
    with bare("tone", folder) as theirs, ours("tone", folder) as own:
        sides = [theirs, own]
        for side in sides:
            await side.wait_ready()
        if "load" not in options.only:
            return await measure_memory(options, own, tone)
        found: dict[str, Any] = {"load": await under_load(sides, "health", counts, options.seconds, Client.health)}
        found["load"] += await under_load(
            sides, "speech of 100 ms", counts, 2 * options.seconds, lambda one: one.speak("one two")
        )
        found["fairness"] = {side.name: round(await fairness(side, options.turns), 3) for side in sides}
        tone.write_text(json.dumps({"chunk_s": 0.0, "segment_audio_s": 0.25}))
        before = {side.name: side.cpu_s() for side in sides}
        times = await paired(sides, options.pairs, lambda one: one.speak("one"), lambda answer: float(answer.total_s))
        spent = {side.name: side.cpu_s() - before[side.name] for side in sides}
        each = {name: 1000 * statistics.median(values) for name, values in times.items()}
        found["request_ms"] = {name: round(value, 2) for name, value in each.items()}
        found["quickest_ms"] = {name: round(1000 * min(values), 2) for name, values in times.items()}
        found["cpu_ms"] = {name: round(1000 * value / (options.pairs + 1), 2) for name, value in spent.items()}
        found["overhead_ms"] = round(each["ours"] - each["bare"], 2)
        return found | (await measure_memory(options, own, tone) if "memory" in options.only else {})


async def measure_memory(options: argparse.Namespace, side: Side, tone: Path) -> dict[str, Any]:
    """Whether memory stays where it is."""
    # As quick as no engine is that speaks; the history writes as many takes a second.
    tone.write_text(json.dumps({"chunk_s": 0.03, "segment_audio_s": 0.25}))
    sizes = await growth(side, options.syntheses)
    return {"memory_mib": sizes, "growth_mib": round(sizes[-1] - sizes[0], 1)}


async def measure_voice(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """First audio and throughput of the embedded voice; each side alone on the processors while it is asked."""
    with bare("kokoro", folder) as theirs, ours("kokoro", folder) as own:
        sides = [theirs, own]
        for side in sides:
            await side.wait_ready()
        first = await paired(sides, options.runs, lambda one: one.speak(LONG), lambda answer: float(answer.first_s))
        whole = await paired(sides, options.runs, lambda one: one.speak(SENTENCE), lambda answer: float(answer.total_s))
        starts = {name: statistics.median(values) for name, values in first.items()}
        times = {name: statistics.median(values) for name, values in whole.items()}
        return {
            "first_audio_s": {name: round(value, 3) for name, value in starts.items()},
            "first_audio_ratio": round(starts["ours"] / starts["bare"], 3),
            "sentence_s": {name: round(value, 3) for name, value in times.items()},
            "throughput_loss": round(1 - times["bare"] / times["ours"], 3),
        }


def markdown(found: dict[str, Any]) -> str:
    """Tables for docs/benchmarks-serve.md."""
    lines: list[str] = []
    if "load" in found:
        lines = ["| | clients | side | requests/s | median ms | 95 % | 99 % | ours / bare |", "|" + " --- |" * 8]
    for row in found.get("load", ()):
        figures = (row["what"], row["clients"], row["side"], row["per_s"], row["p50_ms"], row["p95_ms"], row["p99_ms"])
        lines.append("| " + " | ".join(map(str, (*figures, row.get("ratio", "")))) + " |")
    lines += ["", "| | ours | bare |", "| --- | --- | --- |"]
    names = {
        "request_ms": "a request whose engine works 0 ms, median ms",
        "quickest_ms": "the same, the quickest",
        "cpu_ms": "the same, processor time of all processes, ms",
        "fairness": "Jain's index, one of eight clients greedy",
        "first_audio_s": "first audio of 200 characters, s",
        "sentence_s": "a short sentence, s",
    }
    lines += [
        f"| {words} | {found[key]['ours']} | {found[key]['bare']} |" for key, words in names.items() if key in found
    ]
    if "memory_mib" in found:
        sizes = ", ".join(map(str, found["memory_mib"]))
        lines += ["", f"Memory after each tenth of {found['syntheses']} syntheses: {sizes} MiB."]
    lines += ["", "| promise | limit | measured |", "| --- | --- | --- |"]
    lines += [f"| {name} | {limit} | {found[name]} |" for name, limit in LIMITS.items() if name in found]
    return "\n".join(lines)


def main() -> int:
    """Measures and prints; 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--turns", type=int, default=160, help="requests that eight clients share")
    parser.add_argument("--pairs", type=int, default=300, help="requests to each side for the overhead")
    parser.add_argument("--runs", type=int, default=9, help="texts to each side with the embedded voice")
    parser.add_argument("--syntheses", type=int, default=10_000, help="for the growth of memory")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this alone; may be given again")
    parser.add_argument("--clients", type=int, action="append", help="at a time; may be given again")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    options.only = options.only or PARTS
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"syntheses": options.syntheses}
        if set(options.only) != {"voice"}:
            found |= asyncio.run(measure_tone(options, Path(folder)))
        if "voice" in options.only:
            found |= asyncio.run(measure_voice(options, Path(folder)))
    sys.stdout.write((markdown(found) if options.markdown else json.dumps(found)) + "\n")
    return int(any(found[name] > limit for name, limit in LIMITS.items() if name in found))


if __name__ == "__main__":
    raise SystemExit(main())
