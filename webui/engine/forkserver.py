"""A small parent of the engine's process that can bring a crashed engine back without importing anything again.

It binds the engine's socket, forks the engine at once, and once that one serves it imports the same packages, without
touching a GPU. When the engine then crashes, the next one is forked with everything imported already; connections wait
in the socket's queue meanwhile and are not refused.

Invariants: the parent has one thread and never opens a device, because neither survives a fork; a crash before the
parent is ready, or that no supervisor hears of, ends the parent in the same way as the engine ended; the supervisor
hears of every crash and decides how many are too many; standard input's end ends both.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher.channel import Channel, ChannelError, bind_socket
from webui.engine.child import STDIN_FD
from webui.settings import WorkerSettings

_log = logging.getLogger(__name__)

#: Engines whose imports take seconds; the embedded voice is back in the time of its own start.
_WORTH_IT = ("indextts2", "indextts2.5")
#: Signals that ask for the end.
_STOPS = (signal.SIGTERM, signal.SIGINT)
#: What the engine tells its parent: it serves; its end is meant.
READY, ENDING = b"R", b"E"
#: Seconds after the engine serves until the parent imports: the first request should have the processor for itself.
IMPORT_AFTER_S = 2.0
#: Makes torch ask the driver's library whether there is a GPU instead of opening it, which a fork does not survive.
_NO_DEVICE = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


@dataclass(frozen=True)
class Inheritance:
    """What a forked engine gets from its parent.

    Attributes:
        sock: bound and listening.
        pid: the parent's, by which the supervisor knows the engine.
        tell: says `READY` or `ENDING` to the parent.
    """

    sock: socket.socket
    pid: int
    tell: Callable[[bytes], None]


def is_worth_it(settings: WorkerSettings) -> bool:
    """Whether an engine gets such a parent: ``options["forkserver"]`` says so, or its imports take long.

    Without a supervisor nobody would hear of a crash, so then the engine simply runs.
    """
    wanted = settings.options.get("forkserver", "auto")
    # Elsewhere there is no fork, or (macOS) the system's own libraries do not survive one.
    if not sys.platform.startswith("linux") or wanted == "no":
        return False
    return wanted == "yes" or (settings.engine in _WORTH_IT and bool(settings.control_address))


class ForkServer:
    """Forks engines, one at a time.

    Args:
        settings: from the supervisor.
        serve: runs an engine in the forked process and returns its exit code.
        prepare: imports in this process what ``serve`` will need; must not touch a device or leave a thread.
        end: ends a forked process with an exit code and without its parent's last acts (`os._exit`).
    """

    def __init__(
        self,
        settings: WorkerSettings,
        serve: Callable[[Inheritance], int],
        prepare: Callable[[], None],
        end: Callable[[int], object],
    ) -> None:
        self._settings = settings
        self._serve = serve
        self._prepare = prepare
        self._end = end
        self._sock, _ = bind_socket(settings.address)
        self._pid = os.getpid()
        self._child = 0
        self._words = -1
        self._wakeup: tuple[int, int] = (-1, -1)
        self._stopping = self._served = self._ending = False
        self._prepared: bool | None = None

    def run(self) -> int:
        """Serves until the end; returns the exit code, or ends by the signal that ended the engine."""
        self._wakeup = os.pipe()
        for descriptor in self._wakeup:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in _STOPS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken
        while True:
            self._fork()
            status = self._wait_for_end()
            if self._stopping or self._ending or not self._may_replace(status):
                return _end_like(status)

    def _fork(self) -> None:
        """Starts an engine; in the engine's process this does not return."""
        words, tell = os.pipe()
        self._served = self._ending = False
        self._child = 0
        # Until both know who they are: the parent's own handler, in the engine's process, would take a signal for done.
        unheld = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        child = os.fork()
        if child:
            os.close(tell)
            self._child, self._words = child, words
            if self._stopping:  # asked for before the fork
                os.kill(child, signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_SETMASK, unheld)
            return
        code = 1
        try:
            os.close(words)
            self._become_engine()
            signal.pthread_sigmask(signal.SIG_SETMASK, unheld)
            code = self._serve(Inheritance(self._sock, self._pid, lambda word: _write_quietly(tell, word)))
        except BaseException:  # noqa: BLE001 - a fork must never run its parent's code
            _log.exception("the engine's process failed")
        finally:
            sys.stderr.flush()
            self._end(code)

    def _become_engine(self) -> None:
        signal.set_wakeup_fd(-1)
        for descriptor in self._wakeup:
            os.close(descriptor)
        for number in (*_STOPS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for name in _NO_DEVICE:
            os.environ.pop(name, None)

    def _wait_for_end(self) -> int:
        """Waits for the engine's end and meanwhile does what is to be done; returns its status as `os.wait` does."""
        watched = {self._wakeup[0], self._words, STDIN_FD}
        due = None
        while True:
            readable, _, _ = select.select(list(watched), [], [], due)
            if self._wakeup[0] in readable:
                os.read(self._wakeup[0], 4096)
            if STDIN_FD in readable and not _read_quietly(STDIN_FD):
                watched.discard(STDIN_FD)  # the engine sees it, too, and ends itself
                self._stopping = True
            if self._words in readable and not self._hear(_read_quietly(self._words)):
                watched.discard(self._words)
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                self._hear(_read_quietly(self._words) if self._words in watched else b"")
                os.close(self._words)
                return status
            if self._served and self._prepared is None and not self._stopping:
                if due is not None and not readable:
                    self._import()
                due = IMPORT_AFTER_S if self._prepared is None else None

    def _hear(self, words: bytes) -> bool:
        """Takes the engine's words; whether more may come."""
        self._served = self._served or READY in words
        self._ending = self._ending or ENDING in words
        return bool(words)

    def _import(self) -> None:
        os.environ.update(_NO_DEVICE)
        try:
            self._prepare()
        except Exception as error:  # noqa: BLE001 - the engine itself serves; only its quick way back is lost
            _log.warning("a crashed engine will start from the beginning: %s", error)
            self._prepared = False
            return
        self._prepared = _can_be_forked()
        if self._prepared:
            _log.info("should the engine crash, the next one is forked with its packages imported")

    def _may_replace(self, status: int) -> bool:
        """Whether the next engine is forked here; the supervisor is told when it is."""
        if not (self._prepared and self._served and self._settings.control_address):
            return False
        message = {
            "event": "replaced",
            "component": self._settings.component,
            "pid": self._pid,
            "status": _exit_status(status),
        }
        try:
            channel = Channel.connect(self._settings.control_address, token=self._settings.control_token)
        except ChannelError:
            return False
        try:
            channel.send(message)
        except ChannelError:
            return False
        finally:
            channel.close()
        _log.warning("the engine's process %d has crashed and is forked again", self._child)
        return True

    def _on_stop(self, number: int, _frame: Any) -> None:
        self._stopping = True
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)


def _can_be_forked() -> bool:
    """Whether this process has neither threads of Python nor an open device."""
    torch = sys.modules.get("torch")
    opened = torch is not None and torch.cuda.is_initialized()
    if opened or threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        _log.warning(
            "a crashed engine will start from the beginning: its imports %s",
            "opened the GPU" if opened else f"started threads ({names})",
        )
        return False
    return True


def _exit_status(status: int) -> int:
    """As `subprocess` counts it: negative for a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _end_like(status: int) -> int:
    """The exit code to end with; ends this process at once when the engine was ended by a signal."""
    code = _exit_status(status)
    if code >= 0:
        return code
    sys.stderr.flush()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the engine has left its own
    with contextlib.suppress(OSError):  # SIGKILL
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code


def _read_quietly(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def _write_quietly(descriptor: int, word: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, word)
