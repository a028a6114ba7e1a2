"""A real engine process and a real page's server for tests, each on its own socket, cleaned up afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from launcher.channel import Channel, bind_socket
from webui.app import MountPage, create_app
from webui.engine.client import EngineClient
from webui.engine.pool import EnginePool
from webui.engine.serving import ChildServer
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink
from webui.synthesis import Synthesis

ROOT = Path(__file__).resolve().parents[2]
#: Without a mark a launcher that starts meanwhile would take a test's process for its own leftover.
MARK = {"LAUNCHER_INSTANCE_MARK": f"a-test:{os.getpid()}"}
TONE = "tests.engine.tone_engine:ToneEngine"
#: Only for waiting; a machine under load is slow.
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")


@dataclass
class WorkerProcess:
    """An engine's process with the tone engine."""

    folder: Path
    control_address: str = ""
    engine: str = TONE
    token: str = ""
    options: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)
    address: str = field(init=False)

    def __post_init__(self) -> None:
        # A Unix socket's path may have 107 bytes, fewer than a test's own folder.
        self._sockets = tempfile.mkdtemp(prefix="tts-")
        self.address = f"unix:{self._sockets}/engine.sock"

    def start(self) -> WorkerProcess:
        settings = {
            "instance": "test",
            "engine": self.engine,
            "address": self.address,
            "control_address": self.control_address,
            "cache_dir": str(self.folder),
            "token": self.token,
            "options": self.options,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webui.engine.worker"],
            cwd=ROOT,
            env={**os.environ, **MARK},
            stdin=subprocess.PIPE,
            stderr=(self.folder / "stderr.txt").open("ab"),
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        self.process.stdin.flush()
        return self

    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        transport = httpx.HTTPTransport(uds=self.address.removeprefix("unix:"))
        return httpx.Client(transport=transport, base_url="http://engine", headers=headers, timeout=PATIENCE_S)

    def health(self) -> dict[str, Any] | None:
        with self.http() as client, contextlib.suppress(httpx.TransportError):
            return dict(client.get("/health").json())
        return None

    def wait_ready(self) -> WorkerProcess:
        wait_until(lambda: (self.health() or {}).get("state") == "ready", "the engine to be ready")
        return self

    def log(self) -> list[str]:
        path = self.folder / "tone.log"
        return path.read_text().splitlines() if path.exists() else []

    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.address.removeprefix("unix:"))
        Path(self._sockets).rmdir()


@contextlib.contextmanager
def worker(folder: Path, *, control_address: str = "", ready: bool = True, **options: Any) -> Iterator[WorkerProcess]:
    """A running engine; ``options`` configure the tone engine."""
    (folder / "tone.json").write_text(json.dumps(options))
    running = WorkerProcess(folder, control_address).start()
    try:
        yield running.wait_ready() if ready else running
    finally:
        running.close()


@contextlib.contextmanager
def page(
    engine_address: str,
    *,
    mount_page: Callable[[PageSettings], MountPage] | None = None,
    patience_s: float = PATIENCE_S,
    library: Library | None = None,
    jobs: JobStore | None = None,
    **changes: Any,
) -> Iterator[str]:
    """A page's server in a thread; gives its address. ``changes`` are fields of `PageSettings`."""
    sock = socket.socket(fileno=socket.create_server(("127.0.0.1", 0), backlog=128).detach())  # knows its protocol
    port = sock.getsockname()[1]
    settings = PageSettings(
        **{
            "instance": "test",
            "version": "0",
            "host": "127.0.0.1",
            "port": port,
            "engine_address": engine_address,
            "control_address": "",
            "temp_dir": tempfile.gettempdir(),
            **changes,
        }
    )
    addresses = (settings.engine_address, *settings.further_engine_addresses)
    engine = EnginePool([EngineClient(address, settings.engine_token) for address in addresses])
    link = SupervisorLink(settings)
    link.start()
    app = create_app(
        settings,
        engine=engine,
        link=link,
        synthesis=Synthesis(engine, settings.queue_size, patience_s=patience_s),
        mount_page=mount_page(settings) if mount_page else None,
        library=library,
        jobs=jobs,
    )
    started = threading.Event()
    server = ChildServer(app, grace_s=1, on_started=started.set, on_stopping=link.close)
    thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.ask_to_stop()
        thread.join(10)
        link.reporter.close()
        assert not thread.is_alive(), "the server did not stop"


class ControlListener:
    """The supervisor's end of the control socket: keeps what children say, and can answer a subscription."""

    def __init__(self, snapshot: dict[str, Any] | None = None) -> None:
        self._folder = tempfile.mkdtemp(prefix="tts-")
        self._sock, self.address = bind_socket(f"unix:{self._folder}/control.sock")
        self.messages: list[dict[str, Any]] = []
        self.channels: list[Channel] = []
        self._snapshot = snapshot
        threading.Thread(target=self._accept, daemon=True).start()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [message for message in list(self.messages) if message.get("event") == name]

    def wait_event(self, name: str) -> dict[str, Any]:
        return wait_until(lambda: self.events(name), f"the event {name}")[0]

    def publish(self, snapshot: dict[str, Any]) -> None:
        self._snapshot = snapshot
        for channel in list(self.channels):
            with contextlib.suppress(ConnectionError):
                channel.send({"event": "snapshot", "snapshot": snapshot})

    def drop_connections(self) -> None:
        for channel in self.channels:
            channel.close()
        self.channels.clear()

    def close(self) -> None:
        self._sock.close()
        self.drop_connections()
        os.unlink(f"{self._folder}/control.sock")
        Path(self._folder).rmdir()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel = Channel(self._sock.accept()[0])
                self.channels.append(channel)
                threading.Thread(target=self._read, args=(channel,), daemon=True).start()

    def _read(self, channel: Channel) -> None:
        with contextlib.suppress(ConnectionError):
            while (message := channel.receive()) is not None:
                self.messages.append(message)
                if message.get("command") == "subscribe":
                    channel.send({"ok": True, "result": self._snapshot or {}})


def snapshot(engine: str = "ready", state: str = "ready", **progress: Any) -> dict[str, Any]:
    """A supervisor's snapshot."""
    return {
        "instance": "test",
        "state": state,
        "components": {
            "page": {"state": "ready"},
            "engine": {"state": engine, "progress": progress or None, "info": {}, "error": None},
        },
    }
