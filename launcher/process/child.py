"""One child process: started with pipes, its settings on standard input, its words to the logs.

Invariants: the child leads a session of its own, so Ctrl-C in the terminal reaches the supervisor only and everything
that the child started can be ended with it; secrets travel through the pipe and never through arguments or
environment; standard input stays open until the end, because its end tells the child that the supervisor has gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

from launcher.channel import to_json

#: Lines kept for the report of a crash.
LAST_LINES = 200
#: A longer line is cut: a child that writes no line end must not fill the memory.
MAX_LINE_BYTES = 8192
#: How long its last words may take to arrive after it has ended.
_LAST_WORDS_S = 1.0
_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}


@dataclass(frozen=True)
class ChildSpec:
    """How to start a child.

    Attributes:
        component: ``page``, ``engine``, ``engine-2``... or ``weights``.
        argv: command line; holds no secret.
        environment: all of it, without the instance's mark.
        settings: what its standard input says, as `webui/settings.py` reads it.
        cwd: working directory; ``None`` keeps the supervisor's.
        takes_listener: whether it gets the port's listening socket (``listen_fd`` of its settings).
        is_task: it ends when it has said ``ready``.
    """

    component: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    cwd: str | None = None
    takes_listener: bool = False
    is_task: bool = False


class LogSink(Protocol):
    """Where lines go; `launcher.process.logs.LogWriter` is one."""

    def write(self, component: str, level: str, text: str) -> None:
        """Keeps one line; callable from any thread."""


class RunningChild(Protocol):
    """What a keeper needs of a child; `Child` is one."""

    pid: int

    @property
    def last_lines(self) -> list[str]:
        """The last lines that it printed."""

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that it had at a time, once it has ended; ``None`` when that is not known."""

    def terminate(self) -> None:
        """Asks it to end."""

    def kill(self) -> None:
        """Ends it."""


class Spawn(Protocol):
    """Starts a child: `Child`, or a stand-in."""

    def __call__(
        self, spec: ChildSpec, *, logs: LogSink, on_exit: Callable[[Any, int], None], descriptor: int | None
    ) -> RunningChild:
        """The running child; ``on_exit`` is called in another thread with it and its exit status."""


class Child:
    """A running child.

    Args:
        spec: how to start it.
        logs: gets every line that it prints.
        on_exit: called once, in a thread of its own, with the exit status as `subprocess` counts it.
        descriptor: the listening socket to pass on, or ``None``.

    Raises:
        OSError: when the program cannot be started.
    """

    def __init__(
        self, spec: ChildSpec, *, logs: LogSink, on_exit: Callable[[Child, int], None], descriptor: int | None = None
    ) -> None:
        self.component = spec.component
        self._logs = logs
        self._on_exit = on_exit
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        #: Held while it is collected or signalled: a number that has been given back is never signalled.
        self._collecting = threading.Lock()
        self.peak_bytes: int | None = None
        self._level, self._in_traceback = "info", False
        settings = dict(spec.settings)
        if spec.takes_listener:
            settings["listen_fd"] = descriptor
        self._process = subprocess.Popen(
            spec.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(spec.environment),
            cwd=spec.cwd,
            bufsize=0,
            **_isolation(descriptor if spec.takes_listener else None),
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read_lines, name=f"{self.component} output", daemon=True)
        try:
            self._reader.start()
            with contextlib.suppress(OSError):  # it has died already; its exit will say why
                self._stdin.write(to_json(settings) + b"\n")
            threading.Thread(target=self._wait, name=f"{self.component} exit", daemon=True).start()
        except RuntimeError as error:  # the system has no thread to give, and nobody would notice its end
            self.kill()
            self._process.wait()
            self._stdin.close()
            raise OSError(errno.EAGAIN, str(error)) from None

    @property
    def last_lines(self) -> list[str]:
        """The last lines that it printed, oldest first."""
        return list(self._last_lines)

    @property
    def alive(self) -> bool:
        """Whether it has not been seen to end."""
        return self._process.returncode is None

    def terminate(self) -> None:
        """Asks it to end; wakes it when it is stopped, so that it can."""
        self._signal(signal.SIGTERM)
        if os.name == "posix":
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it and everything in its session's process group."""
        with self._collecting:
            if self.alive and os.name == "posix":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)

    def join(self, timeout_s: float) -> bool:
        """Waits for its end; whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.alive

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _signal(self, number: int) -> None:
        # Popen knows whether it has collected the child, so a reused pid is never signalled.
        with self._collecting, contextlib.suppress(OSError):
            self._process.send_signal(number)

    def _wait(self) -> None:
        if sys.platform != "win32" and hasattr(os, "waitid"):
            # Seen but not collected yet: its number, and so its group's, still belongs to it.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._collect()
        status = self._process.wait()
        self._reader.join(_LAST_WORDS_S)
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._on_exit(self, status)

    def _collect(self) -> None:
        """Takes the exit status of a child that has ended, and what it used."""
        if sys.platform == "win32":
            return
        with self._collecting, contextlib.suppress(ChildProcessError):  # a signal has collected it: then no figures
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid == self.pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                # Kilobytes, but bytes on macOS (getrusage(2) of either).
                self.peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def _read_lines(self) -> None:
        output = self._process.stdout
        assert output is not None
        rest = b""
        while data := _read_some(output):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                lines, rest = [*lines, rest[:MAX_LINE_BYTES]], b""
            for line in lines:
                self._keep(line)
        if rest:
            self._keep(rest)
        output.close()

    def _keep(self, line: bytes) -> None:
        """Logs one line, a traceback's and what is indented with the level of what it belongs to."""
        text = line[:MAX_LINE_BYTES].decode("utf-8", errors="replace").rstrip()
        if not text:
            return
        if text.startswith("Traceback "):
            self._level, self._in_traceback = "error", True
        elif not text[0].isspace():
            if not self._in_traceback:
                self._level = _LEVELS.get(text.split(maxsplit=1)[0].rstrip(":"), "info")
            self._in_traceback = False  # this line names the exception and ends it
        self._last_lines.append(text)
        self._logs.write(self.component, self._level, text)


def _read_some(output: IO[bytes]) -> bytes:
    try:
        return output.read(65536)
    except (OSError, ValueError):  # closed under our hands at the end
        return b""


def _isolation(descriptor: int | None) -> dict[str, Any]:
    """Arguments that give a child a session of its own and, where that is possible, the descriptor."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True, "pass_fds": () if descriptor is None else (descriptor,)}


def describe_exit(status: int) -> str:
    """``was killed by SIGKILL`` or ``ended with exit code 3``."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
