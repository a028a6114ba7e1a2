"""Uses an instance hard for a while and looks for wrong answers, lost requests and anything that grows.

    python scripts/soak.py                         30 minutes with the embedded voice
    python scripts/soak.py --minutes 8 --engine tone
    python scripts/soak.py --minutes 8 --engine tone --hard        up to three of everything in tests/faults at once

Clients ask for speech, again and again, and some hang up in the middle. During the first two thirds of the time the
page or the engine is killed, restarted or unloaded now and then, sometimes both at once; in the last third nothing is
broken, so that growth can be seen. Every answer is compared with the one that the same request got at the beginning,
by length and hash; every request that got none must have been told when to come back, or have been inside a process
that was broken at that moment. Nothing here depends on how fast the machine is: the next thing is broken when every
client has got an answer after the one before. What is random comes from ``--seed``. Exit code 1 when an answer was
wrong, a request was lost or was never answered, or something has grown or was left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from levels import Level, leaks, left_behind, level_of  # noqa: E402

from launcher.cache.layout import instance_paths  # noqa: E402 - found beside this folder
from launcher.errors import LauncherError  # noqa: E402
from launcher.process.instance import ask  # noqa: E402
from launcher.process.runfile import RunFile, RunRecord  # noqa: E402
from tests.faults.mischief import Mischief  # noqa: E402
from tests.faults.starts import can_mount, own_disk  # noqa: E402
from tests.faults.tones import Answer, digest, speak, speak_as_clients_do, tone_settings  # noqa: E402
from tests.system.running import Running, running  # noqa: E402
from tests.system.running import http as fetch  # noqa: E402

INSTANCE = "soak"
TEXTS = (
    "One two three.",
    "The quick brown fox jumps over the lazy dog.",
    "今天天气很好。",
    "Call me at ten, please, and bring the papers.",
    "春天来了，花都开了。",
)
#: Stands for what people keep.
KEPT = {"name": "kept", "state": {"request": {"text": "One two three."}}}
#: What is broken, and how likely one, two or three of them at the same moment.
BREAKS = ("kill page", "kill engine", "restart engine", "restart page", "unload engine")
AT_ONCE, AT_ONCE_HARD = (0.8, 0.2, 0.0), (0.4, 0.3, 0.3)
#: Size of the disk that may be filled.
DISK = "256M"
#: Between an instance that has answered everybody again and the next thing that is broken.
BREAK_EVERY_S = (1.0, 12.0)
#: How long a connection may be silent, and how long after the last thing that was broken a request may stay without
#: an answer; both for a machine with much else to do. More is a hang.
ANSWER_S = 300.0
PATIENCE_S = 600.0
#: Of the time, so much with things being broken.
BROKEN_SHARE = 2 / 3
#: A client comes back after this time at the latest, whatever it was told.
LATEST_RETRY_S = 2.0


@dataclass
class Tally:
    """What the clients got."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class _Break:
    """Something that was broken; ``until`` is when the instance was seen whole again."""

    what: str
    began: float
    until: float = float("inf")


class Soak:
    """One instance under use.

    Args:
        instance: ready.
        data_dir: its data folder.
        seed: of everything random.
        clients: how many ask at a time.
        hard: whether there is more than killed processes; ``data_dir`` may be filled then.
        tell: gets a line for each thing that is broken.
    """

    def __init__(
        self,
        instance: Running,
        data_dir: Path,
        *,
        seed: int,
        clients: int,
        hard: bool,
        tell: Callable[[str], object],
    ) -> None:
        self._instance = instance
        self._url = instance.url
        self._paths = instance_paths((data_dir, INSTANCE))
        self._run_file = RunFile(self._paths.run_file, self._paths.lock_file)
        self._seed = seed
        self._clients = clients
        self._tell = tell
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._breaks: list[_Break] = []
        self._chances = AT_ONCE_HARD if hard else AT_ONCE
        self._acts: dict[str, Callable[[], None]] = {name: functools.partial(self._end, name) for name in BREAKS}
        if hard:
            address = str(self._record().control_address)
            self._acts |= Mischief(self._url, address, data_dir, self._pids, fills_disk=can_mount()).kinds
        #: Right answers of each client so far.
        self._right = [0] * clients
        self.tally = Tally()
        self._reference = {text: speak_as_clients_do(self._url, text) for text in TEXTS}
        status, _, answer = fetch(f"{self._url}/api/presets", KEPT)
        assert status == 201, answer

    def run(self, seconds: float) -> tuple[Level, Level, Level]:
        """Runs for so long; the levels at the beginning, when nothing is broken any more, and at the end."""
        first = self._level()
        threads = [threading.Thread(target=self._use, args=(number,)) for number in range(self._clients)]
        began, chance = time.monotonic(), random.Random(self._seed)
        for thread in threads:
            thread.start()
        while time.monotonic() < began + seconds * BROKEN_SHARE and not self.tally.wrong:
            time.sleep(chance.uniform(*BREAK_EVERY_S))
            [count] = chance.choices((1, 2, 3), self._chances)
            what = chance.sample(list(self._acts), count)
            self._tell(f"{time.monotonic() - began:6.0f} s  {' and '.join(what):<40} {dict(self.tally.counts)}")
            self._break(what)
        time.sleep(min(20.0, seconds / 20))  # what grows with the first requests after a start has grown
        middle = self._level()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        self._stop.set()
        for thread in threads:
            thread.join()
        return first, middle, self._level()

    def _level(self) -> Level:
        self._wait_whole()
        # The engine may be unloaded, which is ready enough for a snapshot; a request brings it back.
        speak_as_clients_do(self._url, TEXTS[0], within_s=PATIENCE_S)
        self._wait_whole()
        self._wait_kept()
        return level_of(self._ask("status"), self._paths)

    # --- breaking ------------------------------------------------------------------------------------------------

    def _break(self, names: list[str]) -> None:
        """Breaks these at the same moment, and returns when every client has got an answer after that."""
        broken = _Break(" and ".join(names), time.monotonic())
        self._breaks.append(broken)
        with ThreadPoolExecutor(len(names)) as pool:
            for done in [pool.submit(self._acts[name]) for name in names]:
                done.result()
        self.tally.broken.update(names)
        self._wait_whole()
        broken.until = time.monotonic()
        before, deadline = list(self._right), time.monotonic() + PATIENCE_S
        while any(now <= then for now, then in zip(self._right, before, strict=True)) and not self.tally.wrong:
            if time.monotonic() > deadline:
                self._note_wrong(f"not every client was answered within {PATIENCE_S:g} s of: {broken.what}")
            time.sleep(0.1)

    def _end(self, what: str) -> None:
        """Ends a process in one of the ways that there are; it may be away already, because of something else."""
        action, component = what.split()
        with contextlib.suppress(LauncherError, KeyError, ProcessLookupError):
            if action == "kill":
                os.kill(self._pids()[component], signal.SIGKILL)
            else:
                self._ask(action, component=component)

    def _pids(self) -> dict[str, int]:
        return {name: int(part["pid"]) for name, part in self._ask("status")["components"].items() if part["pid"]}

    def _wait_whole(self) -> None:
        """Waits until the instance is ready and the page says so."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(LauncherError):
                if _is_whole(self._ask("status")):
                    self._instance.wait_ready_for_clients()
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the instance is not ready within {PATIENCE_S:g} s: {self._ask('status')}")

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return ask(self._record(), command, **arguments)

    def _record(self) -> RunRecord:
        record = self._run_file.read()
        if record is None:
            raise RuntimeError("the supervisor has ended")
        return record

    # --- using ---------------------------------------------------------------------------------------------------

    def _use(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        while not self._stop.is_set():
            text = chance.choice(TEXTS)
            if chance.random() < 0.15:
                _hang_up(self._url, text, chance.uniform(0.0, 0.5))
                self._count("hung up")
            elif self._is_right(text):
                self._right[number] += 1

    def _wait_kept(self) -> None:
        """Waits until what a person keeps is there: a page that could not open it is started anew by itself."""
        deadline, status, answer = time.monotonic() + PATIENCE_S, 0, b"{}"
        while status != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _, answer = fetch(f"{self._url}/api/presets")
        if [preset["name"] for preset in json.loads(answer).get("presets", ())] != [KEPT["name"]]:
            self._note_wrong(f"the preset is gone: {status} {answer!r}")

    def _is_right(self, text: str) -> bool:
        """Asks until there is a whole answer; whether it was right."""
        began = time.monotonic()
        while True:
            asked = time.monotonic()
            answer = speak(self._url, text, timeout_s=ANSWER_S)
            if answer.status == 200 and answer.whole:
                return self._check(text, answer)
            self._note_refusal(text, answer, asked)
            latest = max(began, self._breaks[-1].began if self._breaks else 0.0)
            if time.monotonic() > latest + PATIENCE_S:
                self._count("never answered")
                self._note_wrong(f"{text!r}: {answer.status} {answer.error}")
                return False
            time.sleep(min(LATEST_RETRY_S, float(answer.retry_after or 0.1)))

    def _check(self, text: str, answer: Answer) -> bool:
        expected = self._reference[text].body
        if answer.body == expected:
            self._count("right")
            return True
        self._count("WRONG")
        found = f"{len(answer.body)} bytes, {digest(answer.body)}"
        self._note_wrong(f"{text!r}: {found}; expected {len(expected)} bytes, {digest(expected)}")
        return False

    def _note_refusal(self, text: str, answer: Answer, asked: float) -> None:
        """Counts an answer that is none; it must be a proper refusal, or its process was broken meanwhile."""
        if answer.status in (429, 503) and answer.retry_after:
            self._count(f"told to come back ({answer.status})")
            return
        kind = f"cut off while {answer.status}" if answer.status else "lost"
        causes = [each.what for each in self._breaks if each.until >= asked]
        self._count(f"{kind} with a process" if causes else kind)
        if not causes or "timed out" in answer.error or answer.status not in (0, 200):
            self._note_wrong(
                f"{text!r}: {answer.status} {answer.error} {answer.body[:200]!r} after "
                f"{time.monotonic() - asked:.1f} s; broken then: {causes or 'nothing'}"
            )

    def _count(self, kind: str) -> None:
        with self._lock:
            self.tally.counts[kind] += 1

    def _note_wrong(self, what: str) -> None:
        self._tell(what)
        with self._lock:
            self.tally.wrong.append(what)


def _is_whole(snapshot: dict[str, Any]) -> bool:
    """Whether an instance is ready in every part, and its processes are those that it names."""
    parts = snapshot["components"].values()
    running = [part for part in parts if part["state"] != "unloaded"]
    return (
        snapshot["state"] == "ready"
        and all(part["state"] == "ready" and psutil.pid_exists(part["pid"] or 0) for part in running)
        and all(stage["state"] == "done" for stage in snapshot["stages"] if len(running) == len(parts))
    )


def _hang_up(url: str, text: str, after_s: float) -> None:
    """Asks and goes away in the middle of the answer."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text * 5, "response_format": "pcm"})
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        time.sleep(after_s)


@contextlib.contextmanager
def _instance(folder: Path, engine: str, *, hard: bool) -> Iterator[Running]:
    settings = tone_settings(folder) if engine == "tone" else {"LAUNCHER_ENGINE": "kokoro"}
    (folder / "tmp").mkdir()
    # What is broken here in minutes is broken elsewhere in months.
    settings |= {"LAUNCHER_RESTART_LIMIT": "1000", "TMPDIR": str(folder / "tmp")}
    if hard:
        settings |= {"LAUNCHER_HANG_S": "3"}
    with own_disk(folder / "data", DISK) if hard and can_mount() else contextlib.nullcontext():
        if engine == "tone":
            tone_settings(folder)  # again, on that disk
        with running(folder / "data", INSTANCE, settings=settings) as instance:
            instance.wait_ready_for_clients()
            yield instance


def main() -> int:
    """Runs and prints; 1 when something was wrong, has grown or was left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--engine", choices=("kokoro", "tone"), default="kokoro")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hard", action="store_true", help="also hangs, crowds, slow readers, a full disk; for tones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with _instance(folder, options.engine, hard=options.hard) as instance:
            soak = Soak(
                instance,
                folder / "data",
                seed=options.seed,
                clients=options.clients,
                hard=options.hard,
                tell=lambda line: print(line, file=sys.stderr, flush=True),
            )
            began = time.monotonic()
            levels = soak.run(options.minutes * 60)
            took = time.monotonic() - began
        left = list(left_behind(instance_paths((folder / "data", INSTANCE)), folder / "data", folder / "tmp"))
    grown = list(leaks(*levels))
    tally = soak.tally
    print(f"{took / 60:.1f} minutes, engine {options.engine}, {options.clients} clients, seed {options.seed}")
    print("answers   " + ", ".join(f"{count} {kind}" for kind, count in tally.counts.most_common()))
    print("broken    " + (", ".join(f"{count} x {what}" for what, count in tally.broken.most_common()) or "nothing"))
    for name, level in zip(("at first", "unbroken", "at last"), levels, strict=True):
        print(f"{name:<9} {level.words()}")
    for title, found in (("wrong", tally.wrong), ("grown", grown), ("left", left)):
        print(f"{title:<9} " + ("; ".join(found[:5]) or "nothing"))
    return 1 if tally.wrong or grown or left else 0


if __name__ == "__main__":
    raise SystemExit(main())
