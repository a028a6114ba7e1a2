"""Starts and stops one instance again and again, and looks for what is left behind: processes, sockets, files, ports.

    python scripts/bench_cycles.py --cycles 1000
    python scripts/bench_cycles.py --cycles 20 --children tone

The command line, the supervisor, its files, sockets and signals are the real ones. With ``--children stand-in`` (the
default) the page and the engine are small programs that keep the same contract, so that a cycle is about the launcher;
with ``--children tone`` the page is the real one and the engine's process, too, which speaks in tones. Every other
cycle is ended by ``stop``, the others by SIGTERM; ``--kill N`` ends every Nth with SIGKILL to the supervisor instead,
and the next start clears up. Exit code 1 when anything is left.
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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from launcher.cache.layout import instance_paths  # noqa: E402 - found beside this folder
from launcher.process.ports import port_free  # noqa: E402
from launcher.process.runfile import RunFile  # noqa: E402
from tests.faults.tones import tone_settings  # noqa: E402
from tests.supervisor.runner import Instance, wait_for  # noqa: E402

#: Between two looks at every process of the machine, in cycles; those that the instance named are looked at each time.
SCAN_EVERY = 25
#: How long a process that was told to end may take to be gone.
GONE_WITHIN_S = 10.0


@dataclass
class Report:
    """What the cycles did.

    Attributes:
        ready_s: from the command to a page that serves, of each cycle.
        cycle_s: from the command to the end of every process, of each cycle.
        left: what was left behind, one sentence each.
    """

    ready_s: list[float] = field(default_factory=list)
    cycle_s: list[float] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Cycles:
    """One instance, started and stopped.

    Args:
        instance: what to start.
        kill_every: every how many cycles the supervisor is killed; 0 never.
    """

    def __init__(self, instance: Instance, kill_every: int) -> None:
        self._instance = instance
        self._kill_every = kill_every
        self._data = instance.folder / "data"
        self._temp = instance.folder / "tmp"
        self._temp.mkdir()
        paths = instance_paths((self._data, "default"))
        self._run_file = RunFile(paths.run_file, paths.lock_file)
        self._runtime_dir = paths.runtime_dir
        self.report = Report()

    def run(self, count: int, within_s: float) -> Report:
        """So many cycles, or as many as fit into ``within_s`` seconds.

        The files after the first one are what there may be after every other.
        """
        deadline = time.monotonic() + within_s
        files: set[str] = set()
        for number in range(count):
            was_killed = self._cycle(number)
            now = set(self._files())
            if number == 0:
                files = now
            elif now - files and not was_killed:  # what a kill leaves the next start clears away
                self.report.left.append(f"cycle {number + 1}: new files {sorted(now - files)[:5]}")
                files |= now
            is_last = number == count - 1 or time.monotonic() > deadline
            if number % SCAN_EVERY == 0 or is_last:
                self._look_for_processes(number)
            if self.report.left or is_last:
                break
        if names := [path.name for path in self._temp.iterdir()]:
            self.report.left.append(f"in the temporary folder: {sorted(names)[:5]}")
        return self.report

    def _cycle(self, number: int) -> bool:
        """One start and its end; whether that was a kill."""
        began = time.perf_counter()
        process = self._instance.start()
        self._wait_until_it_serves()
        self.report.ready_s.append(time.perf_counter() - began)
        record = self._run_file.read()
        assert record is not None
        named = [psutil.Process(pid) for pid, _ in record.children.values() if psutil.pid_exists(pid)]
        is_killed = bool(self._kill_every) and number % self._kill_every == self._kill_every - 1
        if is_killed:
            process.kill()
        elif number % 2:
            process.send_signal(signal.SIGTERM)
        else:
            self._instance.run("stop")
        code = process.wait(60)
        process.communicate()
        self._instance.started.clear()
        _, alive = psutil.wait_procs(named, GONE_WITHIN_S)
        self.report.cycle_s.append(time.perf_counter() - began)
        left = [f"process {each.pid} ({each.name()})" for each in alive]
        if not is_killed:
            left += [f"exit code {code}"] * bool(code)
            left += [f"socket {path.name}" for path in self._runtime_dir.glob("*.sock")]
            left += ["the run file"] * (self._run_file.state() != "absent")
        left += ["the port"] * (not port_free("127.0.0.1", self._instance.port))
        self.report.left += [f"cycle {number + 1}: {what}" for what in left]
        return is_killed

    def _wait_until_it_serves(self) -> None:
        wait_for(lambda: self._answers("/healthz") == 200 and self._answers("/") != 503, "a page that serves")

    def _answers(self, path: str) -> int:
        try:
            return self._instance.get(path).status
        except OSError:
            return 0

    def _files(self) -> Iterator[str]:
        """Every file of the data folder but the logs' own, which rotate within their bound."""
        for parent, _, names in os.walk(self._data):
            folder = Path(parent)
            if folder.name != "logs" and "cache" not in folder.relative_to(self._data).parts[:1]:
                yield from (str((folder / name).relative_to(self._data)) for name in names)

    def _look_for_processes(self, number: int) -> None:
        for process in psutil.process_iter():
            try:
                if process.environ().get("STAND_IN_DIR") == str(self._instance.orders):
                    self.report.left.append(f"cycle {number + 1}: process {process.pid} {process.cmdline()[:4]}")
            except psutil.Error:
                continue


def measure(count: int, *, children: str, kill_every: int, within_s: float) -> Report:
    """So many cycles in a new folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="cycles-") as folder:
        settings = tone_settings(Path(folder)) if children == "tone" else {}
        instance = Instance(Path(folder), TMPDIR=f"{folder}/tmp", **settings)
        try:
            return Cycles(instance, kill_every).run(count, within_s)
        finally:
            instance.end()


def main() -> int:
    """Measures and prints; 1 when anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--children", choices=("stand-in", "tone"), default="stand-in")
    parser.add_argument("--kill", type=int, default=0, metavar="N", help="every Nth cycle kills the supervisor")
    parser.add_argument("--within", type=float, default=float("inf"), metavar="S", help="stop after so many seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    report = measure(options.cycles, children=options.children, kill_every=options.kill, within_s=options.within)
    found = {
        "children": options.children,
        "cycles": len(report.cycle_s),
        "seconds": round(time.perf_counter() - began, 1),
        "ready_s": _spread(report.ready_s),
        "cycle_s": _spread(report.cycle_s),
        "left": report.left,
    }
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{found['cycles']} cycles in {found['seconds']} s; children: {options.children}")
        print(f"to a page that serves  {_words(report.ready_s)}")
        print(f"a whole cycle          {_words(report.cycle_s)}")
        print("left behind            " + ("; ".join(report.left) or "nothing"))
    return 1 if report.left else 0


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def _words(values: list[float]) -> str:
    spread = _spread(values)
    return ", ".join(f"{name} {value:.2f} s" for name, value in spread.items()) or "none"


if __name__ == "__main__":
    raise SystemExit(main())
