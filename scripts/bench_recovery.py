"""How long an instance is without its engine after a crash, against a warm preload of the same engine in the same run.

    python scripts/bench_recovery.py --python ENGINE_PYTHON                   # tiny checkpoints, made first
    python scripts/bench_recovery.py --python ENGINE_PYTHON --hub /tmp/weights --device cuda:0

ENGINE_PYTHON has indextts2-inference; ``--hub`` is a Hub cache with checkpoints of full size, as `bench_preload.py`
makes one. A whole instance runs (`start`). Warm preload: the engine was unloaded and its process is gone; from `load`
until `/readyz` answers 200. Crash: from `kill -9` of the process that holds the weights, or of the one that the
supervisor started, until another process serves and `/readyz` answers 200. Tiny checkpoints leave imports and
construction, which do not shrink with the weights. Invariant: ends with exit code 1 when a crash costs more than
`WANTED` warm preloads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402 - after the path, like what follows

from launcher.cache.layout import instance_paths  # noqa: E402
from launcher.process.instance import ask, find_running  # noqa: E402
from launcher.process.runfile import RunFile, RunRecord  # noqa: E402
from scripts.running import BenchmarkError, Running, free_port  # noqa: E402

MAKER = ROOT / "tests" / "engine" / "indextts" / "make_tiny.py"
#: Most that a crash may cost, in warm preloads.
WANTED = 1.2
#: Only for waiting; eight gigabytes from a slow disk take minutes.
PATIENCE_S = 900.0
LOOK_EVERY_S = 0.02
#: What the log says when the fork server is ready (`webui/engine/forkserver.py`).
PREPARED = "the next one is forked"
#: `start` believes that the tiny checkpoints are those of the catalog.
START = """
import sys

if sys.argv.pop(1) == "tiny":
    from launcher.hub import bringing

    bringing.missing = lambda *_: []
from launcher.cli.app import main

sys.exit(main(sys.argv[1:]))
"""


class Instance:
    """The instance that is measured.

    Args:
        running: its command.
        record: how to reach its supervisor.
        log: its log file.
    """

    def __init__(self, running: Running, record: RunRecord, log: Path) -> None:
        self._running = running
        self._record = record
        self._log = log
        self._started = 1

    def preload_s(self) -> float:
        """Seconds from `load` until the instance is ready, after `unload`."""
        self._wait_prepared()
        ask(self._record, "unload")
        self._until(lambda: self._engine["state"] == "unloaded")
        self._started += 1
        began = time.perf_counter()
        ask(self._record, "load")
        self._until(lambda: self._serves)
        return time.perf_counter() - began

    def crash_s(self, *, whole: bool) -> float:
        """Seconds from a kill until another process serves.

        Args:
            whole: kills what the supervisor started, and the process with the weights ends with it; else that alone.
        """
        self._wait_prepared()
        engine = psutil.Process(self._engine["pid"])
        forked = engine.children()
        victim = engine if whole or not forked else max(forked, key=lambda one: one.memory_info().rss)
        self._started += victim == engine
        restarts = self._engine["restarts"]
        began = time.perf_counter()
        victim.kill()
        self._until(lambda: self._engine["restarts"] > restarts and self._serves)
        return time.perf_counter() - began

    @property
    def _engine(self) -> dict[str, Any]:
        part: dict[str, Any] = ask(self._record, "status")["components"]["engine"]
        return part

    @property
    def _serves(self) -> bool:
        return self._engine["state"] == "ready" and self._running.status_of("/readyz") == 200

    def _wait_prepared(self) -> None:
        """Waits until the engine's parent has imported what the next engine needs, as it does soon after a start."""
        self._until(lambda: self._log.read_text().count(PREPARED) >= self._started)

    def _until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            if self._engine["state"] == "failed" or time.monotonic() > deadline:
                raise BenchmarkError(f"the engine did not come back: {self._engine['error']}")
            time.sleep(LOOK_EVERY_S)


def make_tiny(python: str, hub: Path) -> None:
    """Writes a Hub cache with checkpoints of the real structure and hardly any weights."""
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([python, str(MAKER), str(hub)], env=quiet, check=True, capture_output=True)


def measure(python: str, hub: Path | None, device: str, runs: int) -> dict[str, list[float]]:
    """Seconds by what happened, in turns, so that other work on the machine meets all of them."""
    with tempfile.TemporaryDirectory(prefix="tts-") as name:
        folder, port = Path(name), free_port()
        if hub is None:
            make_tiny(python, folder / "hub")
        settings = {
            "LAUNCHER_ENGINE_PYTHON": python,
            "LAUNCHER_RESTART_LIMIT": str(3 * runs),
            "LAUNCHER_LOG_MAX_BYTES": "1GB",
            "HF_HUB_CACHE": str(hub or folder / "hub"),
        }
        command = [sys.executable, "-c", START, "full" if hub else "tiny", "start", "--engine", "indextts2"]
        command += ["--port", str(port), "--no-open", "--device", device]
        with Running(command, port, folder, settings) as running:
            running.answer_s("/readyz")
            paths = instance_paths((folder / "data", "default"))
            record = find_running(RunFile(paths.run_file, paths.lock_file))
            if record is None:
                raise BenchmarkError("the instance has ended")
            instance = Instance(running, record, paths.log_dir / "launcher.log")
            found: dict[str, list[float]] = {"preload": [], "engine": [], "parent": []}
            for _ in range(runs):
                found["preload"].append(instance.preload_s())
                found["engine"].append(instance.crash_s(whole=False))
                found["parent"].append(instance.crash_s(whole=True))
            return found


def table(found: dict[str, list[float]]) -> str:
    """The figures as Markdown."""
    words = {
        "preload": "warm preload: `load` after `unload`",
        "engine": "`kill -9` of the process with the weights",
        "parent": "`kill -9` of the process that the supervisor started",
    }
    preload_s = statistics.median(found["preload"])
    lines = [
        "| until `/readyz` answers 200 again | median | all runs | in warm preloads |",
        "| --- | --- | --- | --- |",
    ]
    for name, times in found.items():
        median_s = statistics.median(times)
        each = ", ".join(f"{seconds:.2f}" for seconds in times)
        lines.append(f"| {words[name]} | {median_s:.2f} s | {each} | {median_s / preload_s:.2f}x |")
    return "\n".join(lines)


def main() -> int:
    """Measures and prints; 1 when a crash costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter with indextts2-inference")
    parser.add_argument("--hub", type=Path, help="Hub cache with checkpoints of full size; default: tiny ones")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    found = measure(given.python, given.hub and given.hub.resolve(), given.device, given.runs)
    sys.stdout.write(table(found) + "\n")
    worst = max(statistics.median(found[name]) for name in ("engine", "parent"))
    return int(worst > WANTED * statistics.median(found["preload"]))


if __name__ == "__main__":
    sys.exit(main())
