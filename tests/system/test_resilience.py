"""What a client sees while processes die: the port never refuses, and the official client does not notice."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.running import Running, running

pytestmark = pytest.mark.voice


class Prober:
    """Connects and asks for /healthz without a pause, and counts what happened."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        request = f"GET /healthz HTTP/1.1\r\nHost: {self._address[0]}:{self._address[1]}\r\nConnection: close\r\n\r\n"
        while not self._stop.is_set():
            self.outcomes[self._probe(request.encode())] += 1

    def _probe(self, request: bytes) -> str:
        try:
            connection = socket.create_connection(self._address, timeout=20)
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return f"connect: {error}"
        with connection:
            try:
                connection.sendall(request)
                head = connection.recv(12)
            except OSError:
                return "lost"
        return head[9:12].decode() or "lost"


@pytest.fixture
def own_instance(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """An instance that the test may break."""
    with running(data_dir, f"own-{abs(hash(request.node.name)) % 10**8}") as instance:
        yield instance


def restarted(component: str, old_pid: int) -> object:
    """A condition on the snapshot: the component runs again in another process."""
    return lambda snapshot: (
        snapshot["state"] == "ready"
        and snapshot["components"][component]["pid"] not in (None, old_pid)
        and snapshot["components"][component]["state"] == "ready"
    )


def test_no_connection_is_refused_while_everything_dies_and_restarts(own_instance: Running) -> None:
    with Prober(own_instance.url) as prober:
        for component in ("page", "engine", "page"):
            pid = own_instance.kill(component)
            own_instance.wait(restarted(component, pid), f"ready with a new {component}")  # type: ignore[arg-type]
        pid = own_instance.snapshot()["components"]["page"]["pid"]
        own_instance.launcher("restart", "page")
        own_instance.wait(restarted("page", pid), "ready after a restart")  # type: ignore[arg-type]
    assert prober.outcomes["200"] > 500, prober.outcomes
    lost = prober.outcomes["lost"]
    assert set(prober.outcomes) <= {"200", "lost"}, prober.outcomes
    # One connection may be inside each of the two page processes that were killed.
    assert lost <= 2, prober.outcomes


def test_the_official_client_does_not_notice_a_killed_page_or_engine(own_instance: Running) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{own_instance.url}/v1", api_key="unused")
    sizes: list[int] = []
    stop, failures = threading.Event(), []

    def talk() -> None:
        while not stop.is_set():
            try:
                answer = client.audio.speech.create(
                    model="tts-1", voice="alloy", input="One two three.", response_format="wav"
                )
                sizes.append(len(answer.content))
            except openai.OpenAIError as error:
                failures.append(repr(error))

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        while not sizes and not failures:
            time.sleep(0.05)
        for component in ("page", "engine"):
            pid = own_instance.kill(component)
            own_instance.wait(restarted(component, pid), f"ready with a new {component}")  # type: ignore[arg-type]
            seen = len(sizes)
            while len(sizes) < seen + 2 and not failures:
                time.sleep(0.05)
    finally:
        stop.set()
        thread.join(120)
    assert not failures
    assert len(set(sizes)) == 1


def test_a_killed_supervisor_leaves_nothing_that_start_cannot_clean(data_dir: Path) -> None:
    first = Running(data_dir, "killed")
    try:
        snapshot = first.wait_ready()
        children = [psutil.Process(part["pid"]) for part in snapshot["components"].values()]
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        psutil.wait_procs(children, timeout=30)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        with running(data_dir, "killed") as second:
            second.wait_ready_for_clients()
    finally:
        first.stop()


def test_stop_frees_the_port_and_ends_every_process(data_dir: Path) -> None:
    with running(data_dir, "stopped") as instance:
        snapshot = instance.snapshot()
        processes = [psutil.Process(part["pid"]) for part in snapshot["components"].values()]
        instance.launcher("stop")
        assert instance.process.wait(30) == 0
        assert not [process for process in processes if process.is_running()]
        with socket.socket() as probe:
            assert probe.connect_ex((snapshot["host"], snapshot["port"])) != 0
        assert instance.launcher("status", expect=4)["state"] == "stopped"
