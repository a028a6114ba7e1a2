"""A whole instance as a person starts it: the command, in a process of its own, with real children."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Generous: a loaded machine assembles the voice and imports the page's framework in a few seconds.
READY_WITHIN_S = 120.0


class Running:
    """One instance under ``python -m launcher start`` and the ways to look at it."""

    def __init__(self, data_dir: Path, instance: str, *flags: str, settings: dict[str, str] | None = None) -> None:
        self.environment = {
            **os.environ,
            "LAUNCHER_DATA_DIR": str(data_dir),
            "LAUNCHER_INSTANCE": instance,
            **(settings or {}),
        }
        #: A file and no pipe: nobody empties it, and a run that says much must not stop because of that.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launcher", "start", "--no-open", "--port", "auto", *flags],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )

    def launcher(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Runs another command of the same instance with ``--json`` and returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "launcher", *arguments, "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
        return answer

    def snapshot(self) -> dict[str, Any]:
        """What ``status --json`` says."""
        return self.launcher("status")

    def wait(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Waits until the snapshot is as ``wanted``; fails with the last one."""
        deadline = time.monotonic() + READY_WITHIN_S
        last: Any = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise AssertionError(f"start ended with {self.process.returncode}: {self.errors.read()}")
            with contextlib.suppress(AssertionError):
                last = self.snapshot()
                if wanted(last):
                    return dict(last)
            time.sleep(0.1)
        raise AssertionError(f"not {what} within {READY_WITHIN_S:g} s: {json.dumps(last, indent=1)}")

    def wait_ready(self) -> dict[str, Any]:
        """Waits until the page and the engine serve."""
        return self.wait(lambda snapshot: snapshot["state"] == "ready", "ready")

    def wait_ready_for_clients(self) -> None:
        """Waits until the page says so too: the supervisor's word reaches it a moment later."""
        url, deadline = f"{self.url}/readyz", time.monotonic() + READY_WITHIN_S
        while (answer := http(url))[0] != 200:
            assert answer[0] == 503 and time.monotonic() < deadline, answer
            time.sleep(0.05)

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.snapshot()["url"]).rstrip("/")

    def kill(self, component: str) -> int:
        """SIGKILLs a component's process and returns its pid."""
        pid = int(self.snapshot()["components"][component]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self) -> int:
        """SIGTERM, as a service manager stops it; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(60)
        self.errors.close()
        return code


@contextlib.contextmanager
def running(data_dir: Path, instance: str, *flags: str, settings: dict[str, str] | None = None) -> Iterator[Running]:
    """A ready instance that is stopped afterwards, whatever happened."""
    instance_ = Running(data_dir, instance, *flags, settings=settings)
    try:
        instance_.wait_ready()
        yield instance_
    finally:
        instance_.stop()


def http(
    url: str, body: object = None, *, headers: dict[str, str] | None = None, timeout_s: float = 60
) -> tuple[int, dict[str, str], bytes]:
    """One request (POST of JSON when there is a body): status, headers in lower case, body."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if data is not None else {}
    request = urllib.request.Request(url, data, {**sent, **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
