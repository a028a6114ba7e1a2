"""Keeps one child running: starts it, hears it, starts it again, gives up, ends it.

Invariants: everything but the child's own threads happens in the loop; at most one child of a component lives at a
time; what a child that has gone still says is not heard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher.errors import LauncherError
from launcher.process.child import ChildSpec, LogSink, RunningChild, Spawn, describe_exit
from launcher.process.crash import SEE_REPORT, Crash, gave_up
from launcher.process.health import CrashBudget, Patience
from launcher.process.loop import Loop, Timer
from launcher.process.snapshot import Status
from launcher.process.timings import StartTimes
from launcher.process.vigil import Vigil
from launcher.progress import Progress

__all__ = ["RESTART_GRACE_S", "Hooks", "Keeper", "RunningChild", "Spawn"]

#: A child's last report travels through another socket than the news of its end; it gets this long to arrive.
_LAST_REPORT_S = 0.05
#: A restart waits for the old child so long before it is killed, and longer where a stop does.
RESTART_GRACE_S = 5.0


@dataclass(frozen=True)
class Hooks:
    """What the supervisor does when something happens to a child.

    Attributes:
        changed: the status is not what it was.
        before_start: about to start; returns the descriptor to pass on, if there is one.
        started: runs now.
        ready: serves now.
        down: no longer serves; called before anything else is decided.
        failed: will not be started again by itself; gets the message and the fix.
        crashed: has ended and nobody had asked for it; returns what may be shown of that.
    """

    changed: Callable[[], None]
    before_start: Callable[[], int | None] = lambda: None
    started: Callable[[], None] = lambda: None
    ready: Callable[[], None] = lambda: None
    down: Callable[[], None] = lambda: None
    failed: Callable[[dict[str, str]], None] = lambda error: None
    crashed: Callable[[Crash], Crash] = lambda crash: crash


class Keeper:
    """One component's life.

    Args:
        spec: how to start it.
        loop: where everything happens.
        status: where it is noted.
        logs: gets the child's lines and ours.
        hooks: what else is to be done.
        budget: how many crashes are too many.
        patience: how long a child may be silent.
        times: how long starts take.
        spawn: starts a child.
        grace_s: how long a restart that somebody asked for waits for the old child.
    """

    def __init__(
        self,
        spec: ChildSpec,
        *,
        loop: Loop,
        status: Status,
        logs: LogSink,
        hooks: Hooks,
        budget: CrashBudget,
        patience: Patience,
        times: StartTimes,
        spawn: Spawn,
        grace_s: float = RESTART_GRACE_S,
    ) -> None:
        self.component = spec.component
        self.child: RunningChild | None = None
        self._spec = spec
        self._loop = loop
        self._status = status
        self._logs = logs
        self._hooks = hooks
        self._budget = budget
        self._vigil = Vigil(loop, patience, self._on_silence)
        self._times = times
        self._spawn = spawn
        self._grace_s = grace_s
        self._started_at = 0.0
        self._is_fork = False
        self._last_words: list[str] = []
        self._failure: dict[str, str] | None = None
        self._restarting = False
        self._stopping = False
        self._unloading = False
        self._wanted_again = False
        self._backoff: Timer | None = None
        self._kill: Timer | None = None

    @property
    def state(self) -> str:
        """The component's state, in the snapshot's words."""
        return self._status.components[self.component].state

    @property
    def last_lines(self) -> list[str]:
        """What the child, or the one before it, printed last."""
        return self.child.last_lines if self.child is not None else self._last_words

    def remaining_s(self) -> float | None:
        """Seconds until it should be ready; 0 when it is, ``None`` when it will not be by itself."""
        now = self._loop.clock()
        if self.state == "ready":
            return 0.0
        if self._stopping or self._spec.is_task or self.state in ("failed", "unloaded"):
            return None
        if self._backoff is not None:
            return max(0.0, self._backoff.due - now) + self._times.remaining_s(self.component, 0.0)
        if self._restarting:
            return 1.0 + self._times.remaining_s(self.component, 0.0)
        return self._times.remaining_s(self.component, now - self._started_at if self.child else 0.0)

    def start(self) -> None:
        """Starts the child now."""
        self._cancel("_backoff")
        self._restarting = self._unloading = self._wanted_again = False
        self._failure = None
        if self._stopping or self.child is not None:
            return
        self._status.begin(self.component)
        self._started_at, self._is_fork = self._loop.clock(), False
        try:
            descriptor = self._hooks.before_start()
            self.child = self._spawn(self._spec, logs=self._logs, on_exit=self._on_exit_thread, descriptor=descriptor)
        except OSError as error:
            self._last_words = []
            self._crashed(f"cannot be started: {error.strerror or error}")
            return
        self._status.components[self.component].pid = self.child.pid
        self._log("info", f"{self.component} started as pid {self.child.pid}")
        self._vigil.begin()
        self._hooks.started()
        self._hooks.changed()

    def hear(self, message: dict[str, Any]) -> None:
        """Takes one event of the child."""
        pid = message.get("pid")
        # On Windows a virtual environment's python.exe is a launcher whose own child speaks, so pids differ there.
        if self.child is None or (pid is not None and pid != self.child.pid and os.name != "nt"):
            return
        event = message["event"]
        if event == "alive":
            self._vigil.beat()
            return
        if event == "failed":
            text = str(message.get("message") or f"The {self.component} failed.")
            self._failure = {"message": text, "fix": str(message.get("fix") or "")}
            self._kill = self._kill or self._loop.call_later(RESTART_GRACE_S, self._kill_child)
        elif event == "idle" and self.state == "ready":
            self._log("info", f"{self.component} has had nothing to do for a while")
            self.unload()
        elif event == "replaced" and not (self._stopping or self._restarting or self._unloading):
            self._was_replaced(message.get("status"))
        elif self._restarting or self.state not in ("starting", "restarting"):
            pass  # one that is to end makes nothing ready
        elif event == "ready":
            self._became_ready(message)
        elif event in ("hello", "progress"):
            self._vigil.heard()
            self._note_progress(message.get("progress"))
        self._hooks.changed()

    def unload(self) -> None:
        """Ends it until it is wanted again; harmless when it is not running."""
        self._cancel("_backoff")
        self._wanted_again = False
        if self._stopping or self._unloading or self.state == "failed":
            return
        if self.child is None:
            self._became_unloaded()
            return
        self._unloading, self._restarting = True, False
        self._hooks.down()
        self._status.enter(self.component, "stopping")
        self._end_child(RESTART_GRACE_S)
        self._hooks.changed()

    def load(self) -> None:
        """Starts it again after `unload`; harmless when it runs or is on its way."""
        if self._unloading:
            self._wanted_again = True
        elif self.state == "unloaded":
            self._status.enter(self.component, "starting")
            self.start()

    def wait(self) -> None:
        """Is to be started, as soon as what it needs is there."""
        self._budget.reset()
        component = self._status.components[self.component]
        component.error = None
        self._status.enter(self.component, "starting")

    def refuse(self, error: dict[str, str]) -> None:
        """What it needs cannot be had."""
        self._give_up(error)

    def restart(self) -> None:
        """Starts it anew, because a person asks for it: earlier crashes are forgotten."""
        self._budget.reset()
        self._cancel("_backoff")
        component = self._status.components[self.component]
        component.restarts += 1
        component.error = None
        self._unloading = False
        self._status.enter(self.component, "restarting")
        if self.child is None:
            self.start()
            return
        self._restarting = True
        self._hooks.down()
        self._end_child(self._grace_s)
        self._hooks.changed()

    def stop(self, grace_s: float) -> None:
        """Ends it for good; when it takes longer than ``grace_s`` seconds it is killed."""
        self._stopping = True
        self._cancel("_backoff")
        if self.child is None:
            self._status.enter(self.component, "stopped")
        else:
            self._hooks.down()
            self._status.enter(self.component, "stopping")
            self._end_child(grace_s)
        self._hooks.changed()

    def kill_now(self) -> None:
        """Ends it without mercy."""
        self._kill_child()

    def _end_child(self, grace_s: float) -> None:
        self._vigil.end()
        self._cancel("_kill")
        if self.child is not None:
            self.child.terminate()
            self._kill = self._loop.call_later(grace_s, self._kill_child)

    def _kill_child(self) -> None:
        if self.child is not None:
            self._log("warning", f"{self.component} (pid {self.child.pid}) is killed")
            self.child.kill()

    def _became_unloaded(self) -> None:
        self._unloading = False
        self._status.enter(self.component, "unloaded")
        self._status.rest(self.component)
        self._log("info", f"{self.component} is unloaded; the next request brings it back")
        self._hooks.changed()
        if self._wanted_again:
            self.load()

    def _became_ready(self, message: dict[str, Any]) -> None:
        self._vigil.end()
        if not (self._spec.is_task or self._is_fork):
            self._times.note(self.component, self._loop.clock() - self._started_at)
        info = message.get("info")
        self._status.components[self.component].info = info if isinstance(info, dict) else {}
        self._status.enter(self.component, "ready")
        self._status.finish(self.component, "done")
        self._log("info", f"{self.component} ready after {self._loop.clock() - self._started_at:.1f} s")
        self._vigil.serves(beats=message.get("beats") is True)
        self._hooks.ready()

    def _note_progress(self, data: Any) -> None:
        if isinstance(data, dict):
            try:
                self._status.progress(self.component, Progress.from_json(data))
            except (KeyError, TypeError, ValueError):
                self._log("warning", f"{self.component} sent a progress report that is none")

    def _on_silence(self, what: str) -> None:
        self._log("error", f"{self.component} {what} and is killed")
        self._hooks.down()
        self._kill_child()

    def _on_exit_thread(self, child: RunningChild, status: int) -> None:
        self._loop.call_from_thread(lambda: self._on_exit(child, status))

    def _on_exit(self, child: RunningChild, status: int) -> None:
        if child is not self.child:
            return
        self._hooks.down()
        self._loop.call_later(_LAST_REPORT_S, lambda: self._judge_exit(child, status))

    def _judge_exit(self, child: RunningChild, status: int) -> None:
        """Decides what the end of a child means."""
        self._last_words = child.last_lines
        self.child = None
        self._status.components[self.component].pid = None
        self._vigil.end()
        self._cancel("_kill")
        self._log("info", f"{self.component} {describe_exit(status)}")
        if self._stopping:
            self._status.enter(self.component, "stopped")
            self._hooks.changed()
        elif self._restarting:
            self.start()
        elif self._unloading:
            self._became_unloaded()
        elif self._spec.is_task and self.state == "ready":
            self._hooks.changed()
        elif self._failure is not None:
            self._give_up(self._failure)
        else:
            self._crashed(self._vigil.verdict or describe_exit(status), status, child)

    def _was_replaced(self, status: object) -> None:
        """The child has put a fresh process in the place of a crashed one, which counts as every crash does."""
        self._last_words = self.last_lines
        known = status if isinstance(status, int) else None
        self._crashed("crashed" if known is None else describe_exit(known), known, self.child)
        self._started_at, self._is_fork = self._loop.clock(), True

    def _describe(self, what: str, status: int | None, child: RunningChild | None) -> Crash:
        progress = self._status.components[self.component].progress
        return Crash(
            component=self.component,
            what=what,
            status=status,
            stage=progress.stage if progress else "ready" if self.state == "ready" else "start",
            pid=None if child is None else child.pid,
            ran_s=round(self._loop.clock() - self._started_at, 3),
            peak_bytes=None if child is None else child.peak_bytes,
            at=time.time(),
            lines=tuple(self._last_words),
        )

    def _crashed(self, what: str, status: int | None = None, child: RunningChild | None = None) -> None:
        component = self._status.components[self.component]
        crash = self._hooks.crashed(self._describe(what, status, child))
        pause_s = self._budget.record(self._loop.clock())
        if pause_s is None:
            error = gave_up(
                self.component,
                crash.about(),
                times=self._budget.crashes,
                window_s=self._budget.window_s,
                lines=crash.lines,
                # Weights are brought for the engine, and again when it is started anew.
                again="engine" if self._spec.is_task else self.component,
            )
            if self.child is None:
                self._give_up(error)
            else:
                self._failure = error  # said when it has ended
                self._end_child(RESTART_GRACE_S)
            return
        component.restarts += 1
        component.error = {
            "message": f"The {self.component} {crash.about()}; it is started again.",
            "fix": SEE_REPORT,
        }
        self._status.enter(self.component, "restarting")
        if self.child is None:
            self._log("warning", f"{self.component} {what}; starts again in {pause_s:.1f} s")
            self._backoff = self._loop.call_later(pause_s, self.start)
        else:
            self._log("warning", f"{self.component} {what}; it has put another one in its place")
            self._vigil.heard()
        self._hooks.changed()

    def _give_up(self, error: dict[str, str]) -> None:
        self._status.components[self.component].error = error
        self._status.enter(self.component, "failed")
        self._status.finish(self.component, "failed")
        self._log("error", str(LauncherError(error["message"], fix=error["fix"])))
        self._hooks.failed(error)
        self._hooks.changed()

    def _cancel(self, name: str) -> None:
        timer: Timer | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

    def _log(self, level: str, text: str) -> None:
        self._logs.write("supervisor", level, text)
