"""``cache verify`` against ``sha256sum`` and ``hf cache verify``, and ``cache ls`` against ``hf cache ls``, in one run.

    python scripts/bench_cache.py --size-gb 5 --revisions 1000 --markdown

Sides take turns, and the median of the runs counts for each: of a disk that others share, the best run is luck.
Verify: files of the sizes that a real model has, made up once, read from the disk (cold) and from memory (warm). The
floor is bytes over the slower of the disk (``dd``) and sha256 on all cores, from memory. The library needs its Hub for
the list of files: a test hub on loopback.
Invariants: every side runs as a command of its own; a side that finds fault with the sound cache ends the run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.cache.hub_cache import add_revision  # noqa: E402 - found beside this folder
from tests.servers.hub import HubServer, Repo  # noqa: E402

REPO = "org/model"
#: Shares of the whole: the files of a model such as IndexTTS-2.5 with what it loads.
SHARES = (0.38, 0.27, 0.14, 0.08, 0.07, 0.05, 0.01)
_BLOCK_BYTES = 1 << 22
_FLOOR_S = 1.0


@dataclass(frozen=True)
class Row:
    """One figure; ``limit`` is what it has to be at most, ``None`` for none."""

    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def verdict(self) -> str:
        """ok, MISSED, or nothing without a limit."""
        return "" if self.limit is None else "ok" if self.value <= self.limit else "MISSED"


def make_files(folder: Path, size: int) -> dict[str, Path]:
    """Files of noise with the sizes of `SHARES`; returns them by name."""
    noise = random.Random(1).randbytes(_BLOCK_BYTES)
    found = {}
    for number, share in enumerate(SHARES):
        path = folder / f"part-{number}.bin"
        left = int(size * share)
        with path.open("wb") as file:
            turn = 0
            while left > 0:
                turn += 1
                place = (turn * 4099 + number * 97) % _BLOCK_BYTES
                file.write((noise[place:] + noise[:place])[:left])
                left -= _BLOCK_BYTES
        found[path.name] = path
    os.sync()
    return found


def make_cache(cache: Path, files: dict[str, Path], repo: Repo) -> None:
    """The cache as the library would have left it, without copying anything."""
    folder = cache / "models--org--model"
    (folder / "blobs").mkdir(parents=True)
    snapshot = folder / "snapshots" / repo.commit
    snapshot.mkdir(parents=True)
    for name, path in files.items():
        path.rename(folder / "blobs" / repo.sha256(name))
        (snapshot / name).symlink_to(f"../../blobs/{repo.sha256(name)}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(repo.commit)


def forget(folder: Path) -> None:
    """Takes the files out of the system's memory, so that they are read from the disk next; nobody else's."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def seconds(
    command: Sequence[str], names: dict[str, str], check: Callable[[int], bool] = lambda code: not code
) -> tuple[float, float]:
    """How long a command takes, on the clock and of the processor."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**os.environ, **names}, capture_output=True, text=True, check=False, cwd=names["BENCH_CWD"]
    )
    taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if not check(done.returncode):
        raise SystemExit(
            f"{' '.join(command[:6])} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
        )
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sha256_rate() -> float:
    """Bytes per second of sha256 on all cores, from memory."""
    block, counts = bytes(1 << 20), []
    stop = time.perf_counter() + _FLOOR_S

    def work() -> None:
        found, count = hashlib.sha256(), 0
        while time.perf_counter() < stop:
            found.update(block)
            count += len(block)
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(len(os.sched_getaffinity(0)))]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def reading_s(blobs: Path) -> float:
    """Seconds that reading the files takes."""
    started = time.perf_counter()
    for path in sorted(blobs.iterdir()):
        subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=4M"], capture_output=True, check=True)
    return time.perf_counter() - started


def bench_verify(work: Path, size: int, runs: int) -> list[Row]:
    """Verify on ``size`` bytes, all sides taking turns."""
    files = make_files(work, size)
    repo = Repo(dict(files))
    data, cache = work / "data", work / "hub"
    data.mkdir()
    make_cache(cache, files, repo)
    blobs = cache / "models--org--model" / "blobs"
    with HubServer({REPO: repo}) as hub:
        names = {
            "PYTHONPATH": str(ROOT),
            "LAUNCHER_MIRRORS": hub.url,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_CACHE": str(cache),
            "BENCH_CWD": str(data),
        }
        hf = str(Path(sys.executable).with_name("hf"))
        sides = {
            "cache verify": [sys.executable, "-m", "launcher", "--data-dir", str(data), "cache", "verify"],
            "sha256sum": ["sha256sum", *map(str, sorted(blobs.iterdir()))],
            "hf cache verify": [hf, "cache", "verify", REPO, "--cache-dir", str(cache)],
        }
        rows = []
        for state in ("cold", "warm"):
            times, disk = take_turns(sides, names, blobs, runs, is_cold=state == "cold")
            rows += verify_rows(state, times, repo.size, median(sha256_rate() for _ in range(runs)), repo.size / disk)
    return rows


def take_turns(
    sides: dict[str, list[str]], names: dict[str, str], blobs: Path, runs: int, *, is_cold: bool
) -> tuple[dict[str, float], float]:
    """Each side's median time, and that of reading alone, in seconds."""
    taken: dict[str, list[float]] = {name: [] for side in sides for name in (side, f"{side}, processor")}
    disk = []
    for _ in range(runs):
        for name, command in sides.items():
            # A system that gives memory back early would make a warm side wait for the disk.
            forget(blobs) if is_cold else reading_s(blobs)
            wall, processor = seconds(command, names)
            taken[name].append(wall)
            taken[f"{name}, processor"].append(processor)
        if is_cold:
            forget(blobs)
        disk.append(reading_s(blobs))
    return {name: median(times) for name, times in taken.items()}, median(disk)


def verify_rows(state: str, times: dict[str, float], size: int, processor: float, storage: float) -> list[Row]:
    """The figures of one state; ``processor`` and ``storage`` are bytes per second."""
    floor = size / min(processor, storage)
    return [
        *(Row(f"{name}, {state}", value, "s") for name, value in times.items()),
        Row(f"reading alone, {state}", storage / 1e6, "MB/s"),
        Row(f"sha256 on all cores, {state}", processor / 1e6, "MB/s"),
        Row(f"floor, {state}", floor, "s"),
        Row(f"against hf cache verify, {state}", times["cache verify"] / times["hf cache verify"], "x", 1 / 1.5),
        Row(f"against the floor, {state}", times["cache verify"] / floor, "x", 1.2),
    ]


def bench_ls(work: Path, revisions: int, runs: int) -> list[Row]:
    """Listing a cache of many revisions, ten files each, of which nine are shared."""
    cache, data = work / "many", work / "data-ls"
    data.mkdir()
    shared = {f"file-{number}.bin": random.Random(number).randbytes(2000) for number in range(9)}
    for number in range(revisions):
        repo = f"org/model-{number // 10}"
        own = {"config.json": b'{"revision": %d}' % number}
        add_revision(cache, repo, {**shared, **own}, ref="main" if number % 10 == 9 else f"v{number % 10}")
    names = {"PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(cache), "BENCH_CWD": str(data)}
    sides = {
        "cache ls": [sys.executable, "-m", "launcher", "--data-dir", str(data), "cache", "ls", "--revisions"],
        "hf cache ls": [
            str(Path(sys.executable).with_name("hf")),
            "cache",
            "ls",
            "--revisions",
            "--cache-dir",
            str(cache),
        ],
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs if runs < 3 else max(runs, 5)):
        for name, command in sides.items():
            taken[name].append(seconds(command, names)[0])
    times = {name: median(found) for name, found in taken.items()}
    rows = [Row(f"{name}, {revisions} revisions", value, "s") for name, value in times.items()]
    return [*rows, Row("cache ls against hf cache ls", times["cache ls"] / times["hf cache ls"], "x", 1.0)]


def main() -> int:
    """Runs both and prints the figures; 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-gb", type=float, default=5.0)
    parser.add_argument("--revisions", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=given.folder, prefix="bench-cache-"))
    try:
        rows = bench_ls(work, given.revisions, given.runs)
        rows += bench_verify(work, int(given.size_gb * 1e9), given.runs)
    finally:
        shutil.rmtree(work)
    if given.json:
        print(json.dumps([{**vars(row), "verdict": row.verdict} for row in rows]))
    elif given.markdown:
        print("| what | measured | limit | |\n| --- | ---: | ---: | --- |")
        for row in rows:
            limit = f"{row.limit:.2f} {row.unit}" if row.limit is not None else ""
            print(f"| {row.what} | {row.value:,.2f} {row.unit} | {limit} | {row.verdict} |")
    else:
        for row in rows:
            print(f"{row.what:<45} {row.value:>10,.2f} {row.unit:<5} {row.verdict}")
    return int(any(row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
