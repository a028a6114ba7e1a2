"""Faults that are made to a running instance, each with what a user saw, how long it took and what was lost.

Invariants: a scenario leaves the instance ready again; presets stand for what people keep: as many with the same
content must be there afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.faults.tones import Answer, expected_pcm, speak, speak_as_clients_do
from tests.faults.traffic import Seen, Traffic, kind_of
from tests.system.running import Running, http

#: `LAUNCHER_HANG_S` of the instances here; the default would make a hang wait for half a minute.
HANG_S = 3.0


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Attributes:
        done: what was done to the instance.
        seen: what a user saw, without a second try.
        recovery_s: from the fault to the first right answer to a request that was made after it.
        lost: requests that ended without an answer, or with half of one.
        wrong: answers of 200 with other sound than was asked for.
        data_lost: what people keep and that is not there any more; empty for nothing.
    """

    done: str
    seen: str
    recovery_s: float
    lost: int
    wrong: int
    data_lost: str = ""


class Bench:
    """A running instance to which faults are made.

    Args:
        instance: speaks in tones.
        data_dir: its data folder.
    """

    def __init__(self, instance: Running, data_dir: Path) -> None:
        self.instance = instance
        self.data_dir = data_dir
        self.url = instance.url
        self._kept = self._keep_presets()

    def pid(self, component: str) -> int:
        return int(self.instance.snapshot()["components"][component]["pid"])

    def wait_ready(self) -> None:
        self.instance.wait_ready()
        self.instance.wait_ready_for_clients()

    def break_it(self, done: str, act: Callable[[], object], *, clients: int = 2) -> Outcome:
        """Does something while clients ask, and waits until they are served again."""
        with Traffic(self.url, clients) as traffic:
            began = time.monotonic()
            act()
            deadline = began + 40
            while traffic.seen.recovery_s(began) == float("inf") or not self._is_settled():
                assert time.monotonic() < deadline, f"{done}: {traffic.seen}"
                time.sleep(0.05)
            traffic.wait_right(3)
        return self.outcome(done, traffic.seen, began)

    def signal(self, done: str, component: str, number: signal.Signals) -> Outcome:
        """Signals a component's process while clients ask; returns when another one serves."""
        pid = self.pid(component)
        outcome = self.break_it(done, lambda: os.kill(pid, number))
        assert self.pid(component) != pid
        return outcome

    def outcome(self, done: str, seen: Seen, began: float) -> Outcome:
        """The outcome of what `Traffic` has seen."""
        self.wait_ready()
        counts, said = seen.counts, Counter[str]()
        for text, count in seen.details.items():
            said[re.sub(r"\d+(?= s\b)", "N", text)] += count
        words = [f"{counts['right']} right", *(f"{count} x {text.rstrip('.')}" for text, count in said.most_common(3))]
        return Outcome(
            done,
            "; ".join(words),
            seen.recovery_s(began),
            counts["lost"],
            counts["WRONG"],
            self.data_lost(),
        )

    def data_lost(self) -> str:
        """What people keep and that is not as it was; empty for nothing."""
        now = self._presets()
        lost = [name for name, state in self._kept.items() if now.get(name) != state]
        return f"{len(lost)} of {len(self._kept)} presets" if lost else ""

    def _is_settled(self) -> bool:
        return bool(self.instance.snapshot()["state"] == "ready")

    def _keep_presets(self) -> dict[str, object]:
        for number in range(10):
            body = {"name": f"kept {number}", "state": {"request": {"text": f"text {number}"}}}
            status, _, answer = http(f"{self.url}/api/presets", body)
            assert status in (201, 409), answer
        return self._presets()

    def _presets(self) -> dict[str, object]:
        _, _, body = http(f"{self.url}/api/presets")
        found = {}
        for preset in json.loads(body)["presets"]:
            _, _, whole = http(f"{self.url}/api/presets/{preset['id']}")
            found[str(preset["name"])] = json.loads(whole)["state"]
        return found


def kill_page(bench: Bench) -> Outcome:
    """The page's process dies."""
    return bench.signal("kill -9 of the page", "page", signal.SIGKILL)


def kill_engine(bench: Bench) -> Outcome:
    """The engine's process dies."""
    return bench.signal("kill -9 of the engine", "engine", signal.SIGKILL)


def kill_loading_engine(bench: Bench) -> Outcome:
    """The engine's process dies again while it loads."""
    options = bench.data_dir / "cache" / "tone.json"
    kept = options.read_text()

    first = bench.pid("engine")

    def twice() -> None:
        options.write_text(json.dumps({**json.loads(kept), "load_s": 2.0}))
        os.kill(first, signal.SIGKILL)
        loading = bench.instance.wait(_loads_anew(first), "loading again")
        os.kill(int(loading["components"]["engine"]["pid"]), signal.SIGKILL)
        options.write_text(kept)

    return bench.break_it("kill -9 of the engine, and again while the next one loads", twice)


def _loads_anew(old_pid: int) -> Callable[[dict[str, object]], bool]:
    def test(snapshot: dict[str, object]) -> bool:
        engine = snapshot["components"]["engine"]  # type: ignore[index]
        progress = engine["progress"] or {}
        return engine["pid"] not in (None, old_pid) and progress.get("stage") == "load"

    return test


def kill_starting_page(bench: Bench) -> Outcome:
    """The page's process dies again while it imports."""

    first = bench.pid("page")

    def twice() -> None:
        os.kill(first, signal.SIGKILL)
        again = bench.instance.wait(lambda now: now["components"]["page"]["pid"] not in (None, first), "a new page")
        os.kill(int(again["components"]["page"]["pid"]), signal.SIGKILL)

    return bench.break_it("kill -9 of the page, and again while the next one imports", twice)


def hang_engine(bench: Bench) -> Outcome:
    """The engine's process stops doing anything."""
    return bench.signal(f"SIGSTOP of the engine (LAUNCHER_HANG_S={HANG_S:g})", "engine", signal.SIGSTOP)


def hang_page(bench: Bench) -> Outcome:
    """The page's process stops doing anything."""
    return bench.signal(f"SIGSTOP of the page (LAUNCHER_HANG_S={HANG_S:g})", "page", signal.SIGSTOP)


def engine_out_of_memory(bench: Bench) -> Outcome:
    """A request needs more memory than there is: it gets an error, and the engine goes on."""
    answers: list[Answer] = []
    outcome = bench.break_it("a request that needs 1 TB in the engine", lambda: answers.append(_ask_for_memory(bench)))
    assert kind_of(answers[0], "") != "right"
    return outcome


def _ask_for_memory(bench: Bench) -> Answer:
    return speak(bench.url, "one [memory] two")


def engine_exits(bench: Bench) -> Outcome:
    """A library ends the engine's process in the middle of a request (``exit``)."""
    return bench.break_it(
        "the engine's process exits while it speaks", lambda: speak(bench.url, "one two [crash-once]")
    )


def slow_readers(bench: Bench) -> Outcome:
    """People whose connections take nothing: the others go on."""
    with not_reading(bench.url, 10):
        return bench.break_it("10 clients that ask for 4 minutes of sound and read nothing", lambda: time.sleep(3))


@contextlib.contextmanager
def not_reading(url: str, count: int) -> Iterator[None]:
    """So many clients that ask for minutes of sound and read nothing, for as long as the block lasts."""
    text = " ".join(["word"] * 1000)
    body = json.dumps({"model": "tts-1", "voice": "high", "input": text, "response_format": "pcm"}).encode()
    head = (
        f"POST /v1/audio/speech HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(connect(url, receive_bytes=4096))
            sock.sendall(head.encode() + body)
        yield


def half_open(bench: Bench) -> Outcome:
    """Connections that begin a request and never go on."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(bench.url)).sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: local")
        return bench.break_it("200 connections that send half a request and nothing more", lambda: time.sleep(2))


def connect(url: str, receive_bytes: int = 0) -> socket.socket:
    """A connection that has said nothing."""
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    where = urlsplit(url)
    sock.connect((where.hostname, where.port))
    return sock


def log_flood(bench: Bench) -> Outcome:
    """A process that prints without end: answers go on, and the logs stay within their bound."""
    outcome = bench.break_it("the engine prints 200,000 lines at once", lambda: speak(bench.url, "[flood] one"))
    logs = bench.data_dir / "instances" / "faults" / "logs"
    size = sum(path.stat().st_size for path in logs.glob("launcher.log*"))
    assert size < 3 * 1_000_000 * 1.1, f"{size} bytes of logs"
    return outcome


def control_garbage(bench: Bench) -> Outcome:
    """Somebody talks nonsense to the control socket."""
    record = json.loads((bench.data_dir / "instances" / "faults" / "run.json").read_text())

    def talk() -> None:
        path = str(record["control_address"]).removeprefix("unix:")
        for nonsense in (b"\0" * 1000, b"{}\n[]\n5\n", b'{"command": 5}\n', b"{" * 2_000_000):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(nonsense)

    return bench.break_it("nonsense and 2 MB without a line end on the control socket", talk)


def many_requests(bench: Bench, *, count: int = 10_000, clients: int = 200) -> Outcome:
    """A crowd: everybody gets the right sound, or is told to come back."""
    left = iter(range(count))
    seen, lock = Seen(), threading.Lock()

    def ask() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            asked = time.monotonic()
            # In a queue of 64 whose requests take half a second each, waiting for half a minute is no loss.
            answer = speak(bench.url, "one two", timeout_s=300)
            with lock:
                kind = kind_of(answer, "one two")
                seen.counts[kind] += 1
                if kind == "right":
                    seen.right_at.append((asked, time.monotonic()))
                else:
                    seen.details[answer.error or str(answer.status)] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return bench.outcome(f"{count:,} requests by {clients} clients at once ({took:.0f} s)", seen, began)


def kill_supervisor(bench: Bench) -> Outcome:
    """The supervisor dies: its children end, and the next start finds everything as it was."""
    children = [psutil.Process(part["pid"]) for part in bench.instance.snapshot()["components"].values()]
    began = time.monotonic()
    bench.instance.process.kill()
    bench.instance.process.wait()
    bench.instance.errors.close()
    _, alive = psutil.wait_procs(children, 30)
    assert not alive, alive
    down_s = time.monotonic() - began
    again = Running(
        bench.data_dir, "faults", settings={name: bench.instance.environment[name] for name in KEPT_SETTINGS}
    )
    bench.instance.process, bench.instance.errors = again.process, again.errors
    bench.wait_ready()
    bench.url = bench.instance.url
    answer = speak_as_clients_do(bench.url, "one two")
    assert answer.body == expected_pcm("one two")
    return Outcome(
        "kill -9 of the supervisor, then `start`",
        f"connections refused; page and engine ended by themselves within {down_s:.1f} s",
        round(time.monotonic() - began, 2),
        0,
        0,
        bench.data_lost(),
    )


SETTINGS = {
    "LAUNCHER_HANG_S": f"{HANG_S:g}",
    "LAUNCHER_LOG_MAX_BYTES": "1MB",
    "LAUNCHER_LOG_FILES": "3",
    # Faults follow each other faster than anybody's day does.
    "LAUNCHER_RESTART_LIMIT": "1000",
}
#: Settings of the instances here that another start needs, too.
KEPT_SETTINGS = ("PYTHONPATH", "LAUNCHER_ENGINE", *SETTINGS)
SCENARIOS: tuple[Callable[[Bench], Outcome], ...] = (
    kill_page,
    kill_engine,
    kill_loading_engine,
    kill_starting_page,
    hang_engine,
    hang_page,
    engine_out_of_memory,
    engine_exits,
    slow_readers,
    half_open,
    log_flood,
    control_garbage,
    many_requests,
    kill_supervisor,
)
