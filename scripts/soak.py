"""Uses an instance hard for a while and looks for wrong answers and for anything that grows.

    python scripts/soak.py                         30 minutes with the embedded voice
    python scripts/soak.py --minutes 8 --engine tone

Clients ask for speech, again and again, and some hang up in the middle. During the first two thirds of the time the
page or the engine is killed, restarted or unloaded now and then; in the last third nothing is broken, so that growth
can be seen. Every answer is compared with the one that the same request got at the beginning, by length and hash. What
is random comes from ``--seed``. Exit code 1 when an answer was wrong, was never given, or something has grown.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from launcher.cache.layout import instance_paths  # noqa: E402 - found beside this folder
from launcher.errors import LauncherError  # noqa: E402
from launcher.process.instance import ask  # noqa: E402
from launcher.process.runfile import RunFile  # noqa: E402
from tests.faults.tones import Answer, digest, speak, speak_as_clients_do, tone_settings  # noqa: E402
from tests.system.running import Running  # noqa: E402

INSTANCE = "soak"
TEXTS = (
    "One two three.",
    "The quick brown fox jumps over the lazy dog.",
    "今天天气很好。",
    "Call me at ten, please, and bring the papers.",
    "春天来了，花都开了。",
)
#: Between an instance that is ready again and the next thing that is broken.
BREAK_EVERY_S = (8.0, 20.0)
#: How long one answer may take, and how long a client asks again; both for a machine with much else to do.
ANSWER_S = 120.0
PATIENCE_S = 300.0
#: Of the time, so much with things being broken.
BROKEN_SHARE = 2 / 3
#: What may come on top without being a leak: a keep-alive connection or two, an allocator's reserve.
MORE_DESCRIPTORS = 8
MORE_MEMORY_BYTES = 40_000_000


@dataclass(frozen=True)
class Level:
    """How much of everything an instance has.

    Attributes:
        processes: of its tree.
        descriptors, memory_bytes: by component.
        temp_files: in its private temporary folder.
    """

    processes: int
    descriptors: dict[str, int]
    memory_bytes: dict[str, int]
    temp_files: int


@dataclass
class Tally:
    """What the clients got."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Soak:
    """One instance under use.

    Args:
        instance: ready.
        data_dir: its data folder.
        seed: of everything random.
        clients: how many ask at a time.
    """

    def __init__(self, instance: Running, data_dir: Path, *, seed: int, clients: int) -> None:
        self._instance = instance
        self._url = instance.url
        paths = instance_paths((data_dir, INSTANCE))
        self._temp_dir = paths.temp_dir
        self._run_file = RunFile(paths.run_file, paths.lock_file)
        self._seed = seed
        self._clients = clients
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.tally = Tally()
        self._reference = {text: speak_as_clients_do(self._url, text) for text in TEXTS}

    def run(self, seconds: float) -> tuple[Level, Level, Level]:
        """Runs for so long; the levels at the beginning, when nothing is broken any more, and at the end."""
        first = self.level()
        threads = [threading.Thread(target=self._use, args=(number,)) for number in range(self._clients)]
        for thread in threads:
            thread.start()
        began, chance = time.monotonic(), random.Random(self._seed)
        while time.monotonic() < began + seconds * BROKEN_SHARE:
            time.sleep(chance.uniform(*BREAK_EVERY_S))
            with contextlib.suppress(AssertionError):  # unloaded for now, which is ready enough
                self._instance.wait_ready()
            self._break(chance.choice(("kill page", "kill engine", "restart engine", "restart page", "unload")))
        self._settle()
        time.sleep(min(20.0, seconds / 20))  # what grows with the first requests after a start has grown
        middle = self.level()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        self._stop.set()
        for thread in threads:
            thread.join()
        self._settle()
        return first, middle, self.level()

    def level(self) -> Level:
        """How much of everything there is now."""
        snapshot = self._instance.snapshot()
        pids = {"supervisor": int(snapshot["pid"])}
        pids |= {name: int(part["pid"]) for name, part in snapshot["components"].items() if part["pid"]}
        tree = psutil.Process(pids["supervisor"]).children(recursive=True)
        return Level(
            1 + len(tree),
            {name: psutil.Process(pid).num_fds() for name, pid in pids.items()},
            {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()},
            sum(path.is_file() for path in self._temp_dir.rglob("*")),
        )

    def _settle(self) -> None:
        self._instance.wait_ready()
        speak_as_clients_do(self._url, TEXTS[0])
        self._instance.wait_ready()

    def _break(self, what: str) -> None:
        action, component = ([*what.split(), "engine"])[:2]
        # It may just be being started anew; and without waiting for it: the next request brings it back at once.
        with contextlib.suppress(AssertionError, TypeError, ProcessLookupError, LauncherError):
            if action == "kill":
                self._instance.kill(component)
            else:
                record = self._run_file.read()
                assert record is not None
                ask(record, action, component=component)
            self.tally.broken[what] += 1

    def _use(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        while not self._stop.is_set():
            text = chance.choice(TEXTS)
            if chance.random() < 0.15:
                _hang_up(self._url, text, chance.uniform(0.0, 0.5))
                self._count("hung up")
                continue
            answer = speak(self._url, text, timeout_s=ANSWER_S)
            if not (answer.status == 200 and answer.whole):
                self._count("asked again")
                answer = speak_as_clients_do(self._url, text, within_s=PATIENCE_S)
            self._check(text, answer)

    def _check(self, text: str, answer: Answer) -> None:
        expected = self._reference[text].body
        if answer.status != 200 or not answer.whole:
            self._count("never answered")
            self.tally.wrong.append(f"{text!r}: {answer.status} {answer.error}")
        elif answer.body == expected:
            self._count("right")
        else:
            self._count("WRONG")
            found = f"{len(answer.body)} bytes, {digest(answer.body)}"
            self.tally.wrong.append(f"{text!r}: {found}; expected {len(expected)} bytes, {digest(expected)}")

    def _count(self, kind: str) -> None:
        with self._lock:
            self.tally.counts[kind] += 1


def _hang_up(url: str, text: str, after_s: float) -> None:
    """Asks and goes away in the middle of the answer."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text * 5, "response_format": "pcm"})
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        time.sleep(after_s)


def leaks(first: Level, middle: Level, last: Level) -> Iterator[str]:
    """What has grown: processes and files over the whole time, the rest while nothing was broken."""
    if last.processes > first.processes:
        yield f"processes: {first.processes} -> {last.processes}"
    if last.temp_files > first.temp_files:
        yield f"temporary files: {first.temp_files} -> {last.temp_files}"
    for name, count in last.descriptors.items():
        before = first if name == "supervisor" else middle
        if count > before.descriptors.get(name, count) + MORE_DESCRIPTORS:
            yield f"descriptors of the {name}: {before.descriptors[name]} -> {count}"
    for name, size in last.memory_bytes.items():
        before = first if name == "supervisor" else middle
        if size > before.memory_bytes.get(name, size) + MORE_MEMORY_BYTES:
            yield f"memory of the {name}: {before.memory_bytes[name] / 1e6:.0f} -> {size / 1e6:.0f} MB"


def main() -> int:
    """Runs and prints; 1 when something was wrong or has grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--engine", choices=("kokoro", "tone"), default="kokoro")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        settings = tone_settings(Path(folder)) if options.engine == "tone" else {"LAUNCHER_ENGINE": "kokoro"}
        # What is broken here in minutes is broken elsewhere in months.
        settings |= {"LAUNCHER_RESTART_LIMIT": "1000"}
        instance = Running(Path(folder) / "data", INSTANCE, settings=settings)
        try:
            instance.wait_ready()
            instance.wait_ready_for_clients()
            soak = Soak(instance, Path(folder) / "data", seed=options.seed, clients=options.clients)
            began = time.monotonic()
            levels = soak.run(options.minutes * 60)
            took = time.monotonic() - began
        finally:
            instance.stop()
    grown = list(leaks(*levels))
    print(f"{took / 60:.1f} minutes, engine {options.engine}, {options.clients} clients, seed {options.seed}")
    print("answers   " + ", ".join(f"{count} {kind}" for kind, count in soak.tally.counts.most_common()))
    print(
        "broken    " + (", ".join(f"{count} x {what}" for what, count in soak.tally.broken.most_common()) or "nothing")
    )
    for name, level in zip(("at first", "unbroken", "at last"), levels, strict=True):
        memory = ", ".join(f"{part} {size / 1e6:.0f} MB" for part, size in level.memory_bytes.items())
        files = ", ".join(f"{part} {count}" for part, count in level.descriptors.items())
        print(
            f"{name:<9} {level.processes} processes; {memory}; descriptors {files}; {level.temp_files} temporary files"
        )
    print("wrong     " + ("; ".join(soak.tally.wrong[:5]) or "nothing"))
    print("grown     " + ("; ".join(grown) or "nothing"))
    return 1 if soak.tally.wrong or grown else 0


if __name__ == "__main__":
    raise SystemExit(main())
