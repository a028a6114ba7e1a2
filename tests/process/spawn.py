"""Real processes for the tests of identity and termination: small scripts that say when they are ready.

Invariant: whatever a `Nursery` started, and whatever those started, is gone when it closes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from launcher.process.facts import ProcessFacts, observe

SLEEPER = "import time\nprint('ready', flush=True)\ntime.sleep(600)\n"
#: Writes "term" into the file of its first argument on SIGTERM, and lives on.
DEAF = """
import signal, sys, time
def note(*_):
    with open(sys.argv[1], "a") as file:
        file.write("term\\n")
signal.signal(signal.SIGTERM, note)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
print("ready", flush=True)
while True:
    time.sleep(600)
"""
#: Starts a child that starts a grandchild, prints their pids, and sleeps; the child exits at once when told so.
FAMILY = """
import subprocess, sys, time
child_code = '''
import subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
time.sleep(600 if sys.argv[1] == "stay" else 0)
'''
child = subprocess.Popen([sys.executable, "-c", child_code, sys.argv[1]], stdout=subprocess.PIPE, text=True)
grandchild_pid = child.stdout.readline().strip()
print("ready", child.pid, grandchild_pid, flush=True)
time.sleep(600)
"""
#: Generous: an interpreter on a machine with much else to do.
READY_WITHIN_S = 60.0


class Nursery:
    """Starts scripts and ends them all."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []
        self._noted: list[psutil.Process] = []

    def run(
        self,
        code: str,
        folder: Path,
        *,
        name: str = "webui.py",
        arguments: Sequence[str] = (),
        cwd: Path | None = None,
        mark: str = "",
        user: int | None = None,
    ) -> tuple[ProcessFacts, str]:
        """Writes ``code`` to ``folder/name``, runs it, and returns its facts and its line behind ``ready``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
        command = [sys.executable, name if cwd is None else str(folder / name), *arguments]
        return self.start(command, cwd=cwd or folder, mark=mark, user=user)

    def start(
        self, command: Sequence[str], *, cwd: Path, mark: str = "", user: int | None = None
    ) -> tuple[ProcessFacts, str]:
        """Runs ``command`` and returns its facts and what it printed behind ``ready``."""
        environment = {**os.environ, "LAUNCHER_INSTANCE_MARK": mark} if mark else dict(os.environ)
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            user=user,
        )
        self._started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready"), f"{command} did not start"
        facts = observe(process.pid)
        assert facts is not None
        self._noted += psutil.Process(process.pid).children(recursive=True)
        return facts, line.removeprefix("ready").strip()

    def reap(self) -> None:
        """Collects those that have ended, as a parent should."""
        for process in self._started:
            process.poll()

    def note(self, pid: int) -> None:
        """Ends this process too when the nursery closes."""
        with contextlib.suppress(psutil.Error):
            self._noted.append(psutil.Process(pid))

    def close(self) -> None:
        for process in self._started:
            with contextlib.suppress(psutil.Error):
                self._noted += psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        for noted in self._noted:
            with contextlib.suppress(psutil.Error):
                noted.kill()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits for ``condition``; fails with ``what`` when it does not come true."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
