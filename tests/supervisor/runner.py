"""A whole instance for tests: the real command line and supervisor, with stand-ins for page and engine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).resolve().parent / "stand_in"
#: Longest wait for something that takes a second on an idle machine.
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_S:g} s in vain for {what}")


class Instance:
    """One instance with its own data folder and port.

    Args:
        folder: everything of it lies there.
        settings: further environment.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.orders = folder / "orders"
        self.orders.mkdir(parents=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(STAND_IN), str(ROOT)]),
            "STAND_IN_DIR": str(self.orders),
            "LAUNCHER_DATA_DIR": str(folder / "data"),
            "LAUNCHER_PORT": str(self.port),
            "LAUNCHER_OPEN_BROWSER": "no",
            "LAUNCHER_STOP_GRACE_S": "3",
            **settings,
        }
        self.started: list[subprocess.Popen[str]] = []

    def order(self, component: str, **orders: Any) -> None:
        """What the next child of ``component`` does; see stand_in/webui/behaviour.py."""
        (self.orders / f"{component}.json").write_text(json.dumps(orders))

    def start(self, *arguments: str, json_events: bool = True) -> subprocess.Popen[str]:
        """``start`` in the foreground, in a session of its own."""
        shown = ["--json"] if json_events else []
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher", *shown, "start", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def start_ready(self, *arguments: str) -> subprocess.Popen[str]:
        """`start`, and back when page and engine are ready."""
        process = self.start(*arguments)
        self.wait_state("ready")
        return process

    def run(self, *arguments: str, as_json: bool = True) -> subprocess.CompletedProcess[str]:
        """Another command, with ``--json``, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "launcher", *(["--json"] if as_json else []), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def answer(self, *arguments: str) -> dict[str, Any]:
        """The JSON object that `run` printed last."""
        done = self.run(*arguments)
        assert done.stdout, done.stderr
        value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return value

    def status(self) -> dict[str, Any]:
        return self.answer("status")

    def wait_state(self, state: str) -> dict[str, Any]:
        found = wait_for(lambda: (now := self.status())["state"] == state and now, f"state {state}")
        assert isinstance(found, dict)
        return found

    def wait_component(self, component: str, state: str) -> dict[str, Any]:
        """The component's part of the snapshot, once it is in ``state``."""

        def reached() -> dict[str, Any] | None:
            found: dict[str, Any] = self.status().get("components", {}).get(component, {})
            return found if found.get("state") == state else None

        found = wait_for(reached, f"{component} {state}")
        assert isinstance(found, dict)
        return found

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> HttpAnswer:
        """One request to the port; header names are written with ``_`` for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return HttpAnswer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def log(self) -> str:
        path = self.folder / "data" / "instances" / "default" / "logs" / "launcher.log"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        """Ends everything that carries this instance's environment."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for left in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if left.environ().get("STAND_IN_DIR") == str(self.orders):
                    left.kill()


class HttpAnswer:
    """Status, headers (lower-case names) and body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def alive(pid: int) -> bool:
    """Whether a process runs and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
