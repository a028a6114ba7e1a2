"""The supervisor: owns the port, the control socket and the children of one instance, and keeps them going.

Invariants: it is light and imports nothing of what it starts; the port answers from the first moment to the last;
all decisions fall in one loop; when it ends, its children have ended and what it put into files and sockets is gone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from launcher.access.clients import is_counted
from launcher.errors import LauncherError
from launcher.process.answers import HOLD_S, Answers
from launcher.process.child import Child, ChildSpec, LogSink
from launcher.process.control import ControlServer, RefusedError
from launcher.process.crash import Crash, CrashReports
from launcher.process.ending import Ending
from launcher.process.engines import Engines
from launcher.process.facts import observe
from launcher.process.health import CrashBudget
from launcher.process.keeper import RESTART_GRACE_S, Hooks, Keeper, Spawn
from launcher.process.listener import Listener
from launcher.process.loop import Loop
from launcher.process.run_settings import Settings
from launcher.process.runfile import RunFile, RunRecord
from launcher.process.snapshot import ALL_ENGINES, APP, ENGINE, WEIGHTS, Status, kind_of
from launcher.process.timings import StartTimes


class Supervisor:
    """One run of an instance.

    Args:
        sock: the port, bound and listening.
        control_sock: the control socket, bound and listening.
        record: what the run file says; its children are filled in here.
        run_file: where; the caller holds its lock.
        settings: what else it needs to know.
        times: how long starts take.
        logs: gets every line.
        on_change: called in the loop whenever the snapshot changes.
        rebind: makes a new listening socket, where the port cannot be shared with a child.
        loop: where everything happens.
        spawn: starts a child.
        reports: where crashes are kept; ``None`` shows them with the status only.
    """

    def __init__(
        self,
        sock: socket.socket,
        control_sock: socket.socket,
        *,
        record: RunRecord,
        run_file: RunFile,
        settings: Settings,
        times: StartTimes,
        logs: LogSink,
        on_change: Callable[[dict[str, Any]], None] = lambda snapshot: None,
        rebind: Callable[[], socket.socket] | None = None,
        loop: Loop | None = None,
        spawn: Spawn = Child,
        reports: CrashReports | None = None,
    ) -> None:
        self.loop = loop or Loop()
        self._settings = settings
        self._record = record
        self._run_file = run_file
        self._times = times
        self._logs = logs
        self._listeners = [on_change]
        self._spawn = spawn
        self._reports = reports or CrashReports(None)
        self._keepers: dict[str, Keeper] = {}
        self._engines = Engines(self.loop.clock)
        self._ending = Ending(self.loop)
        self._error: LauncherError | None = None
        #: Makes the text of `/metrics`; whoever looks after the numbers puts its own here.
        self.metrics: Callable[[], str] = lambda: ""
        self.status = Status(
            instance=record.instance,
            version=record.version,
            url=record.url,
            host=record.host,
            port=record.port,
            pid=os.getpid(),
            clock=self.loop.clock,
            wall_clock=time.time,
            front=settings.front,
            remaining_s=self._remaining_s,
        )
        self._listener = self._listen(sock, rebind)
        self._control = self._serve_control(control_sock)

    def start_children(self, specs: Mapping[str, ChildSpec], *, weights_missing: bool = False) -> None:
        """Starts the children; called once, in the loop.

        Args:
            specs: the page's and the engines'; ``weights`` when the engines need files that can be fetched.
            weights_missing: whether they must be fetched before the engines start.
        """
        if self.status.stopping:
            return
        self.status.expect_engines(tuple(name for name in specs if kind_of(name) in (ENGINE, APP)))
        for name, spec in specs.items():
            self._keepers[name] = self._keep(spec)
            if name in self.status.engines:
                self._engines.add(self._keepers[name])
        if weights_missing:
            self.status.expect_weights()
        if self.status.front not in self._engines:
            self._keepers[self.status.front].start()
        if weights_missing:
            self._keepers[WEIGHTS].start()
        else:
            self._engines.start()

    def take(self, engine: str, reason: str) -> None:
        """Shows with the status which engine was taken, and why."""
        self.status.choice = {"name": engine, "reason": reason}
        self._logs.write("supervisor", "info", f"engine {engine}: {reason}")
        self._changed()

    def warn(self, message: str, fix: str = "") -> None:
        """Shows a warning with the status."""
        self.status.warnings.append({"message": message, "fix": fix})
        self._logs.write("supervisor", "warning", f"{message} {fix}".strip())
        self._changed()

    def show_alarms(self, alarms: Sequence[dict[str, str]]) -> None:
        """Shows these alarms with the status, in place of those before."""
        self.status.alarms = list(alarms)
        self._changed()

    def offer(self, name: str, command: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Adds a command to the control socket; it runs in the loop and must be quick."""
        self._control.offer(name, command)

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Calls ``listener`` in the loop whenever the snapshot changes."""
        self._listeners.append(listener)

    def abort(self, error: LauncherError) -> None:
        """Ends the run because it cannot begin; `run` raises ``error``."""
        self._error = error
        self.stop(0.0)

    def run(self) -> None:
        """Works until it is stopped, then leaves nothing behind.

        Raises:
            LauncherError: what `abort` was called with.
        """
        try:
            self._write_record()
            self._changed()
            self.loop.run()
        finally:
            self._clear_away()
        if self._error is not None:
            raise self._error

    def stop(self, grace_s: float) -> None:
        """Begins to end; a second call kills what is left at once."""
        if self.status.stopping:
            self._ending.cut_short()  # who is killed unasked would count as crashed
            for keeper in self._keepers.values():
                keeper.kill_now()
            return
        self.status.stopping = True
        self._logs.write("supervisor", "info", "stopping")
        self._ending.begin(self._keepers, grace_s)
        self._changed()

    def on_signal(self, number: int) -> None:
        """Ends gently at the first signal, at once at the second; called in the loop."""
        self._logs.write("supervisor", "info", f"received {signal.Signals(number).name}")
        self.stop(self._settings.stop_grace_s)

    def install_signals(self, *, hang_up: bool) -> None:
        """Hears SIGTERM, SIGINT and (when ``hang_up``) SIGHUP; for the main thread.

        The handlers only queue; the loop acts.
        """
        self.loop.wake_by_signals()
        names = ["SIGTERM", "SIGINT", "SIGBREAK", *(["SIGHUP"] if hang_up else [])]
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            signal.signal(number, lambda got, frame: self.loop.call_from_thread(functools.partial(self.on_signal, got)))
        if not hang_up and hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _listen(self, sock: socket.socket, rebind: Callable[[], socket.socket] | None) -> Listener:
        self.status.stage("listen", "running")
        answers = Answers(
            rules=self._settings.rules,
            snapshot=self.status.snapshot,
            remaining_s=lambda: self._remaining_s(self.status.front),
            last_lines=self._last_lines,
            root_path=self._settings.root_path,
            trusted=self._settings.trusted,
            audit=self._settings.audit,
            clock=self.loop.clock,
            metrics=self._metrics_text,
            hold_s=HOLD_S,
        )
        listener = Listener(
            sock,
            self.loop,
            answer=answers.respond,
            needs_body=answers.needs_body,
            rebind=rebind,
            tls=self._settings.tls,
            is_counted=lambda address: is_counted(address, self._settings.trusted),
        )
        listener.accept()
        self.status.stage("listen", "done")
        return listener

    def _serve_control(self, sock: socket.socket) -> ControlServer:
        return ControlServer(
            sock,
            self.loop,
            token=self._record.control_token,
            commands={
                "status": lambda message: self.status.snapshot(),
                "stop": self._on_stop,
                "restart": self._on_restart,
                "load": lambda message: self._on_memory(message, self._engines.load),
                "unload": lambda message: self._on_memory(message, self._engines.unload),
            },
            on_event=self._on_event,
            snapshot=self.status.snapshot,
        )

    def _keep(self, spec: ChildSpec) -> Keeper:
        return Keeper(
            spec,
            loop=self.loop,
            status=self.status,
            logs=self._logs,
            hooks=self._hooks(spec),
            budget=CrashBudget(self._settings.restart_limit, self._settings.restart_window_s),
            patience=self._settings.patience,
            times=self._times,
            spawn=self._spawn,
            grace_s=max(RESTART_GRACE_S, self._settings.stop_grace_s),
        )

    def _hooks(self, spec: ChildSpec) -> Hooks:
        hooks = Hooks(self._changed, started=self._write_record, crashed=self._on_crash)
        if spec.component == WEIGHTS:
            return replace(hooks, ready=self._engines.start, failed=self._engines.refuse)
        if not spec.takes_listener:
            return hooks
        return replace(
            hooks, before_start=self._before_page, ready=self._listener.hand_over, down=self._listener.accept
        )

    def _before_page(self) -> int | None:
        self._listener.free_for_child()
        return self._listener.descriptor

    def _remaining_s(self, component: str) -> float | None:
        if self.status.stopping:
            return None
        keeper = self._keepers.get(component)
        return self._times.remaining_s(component, 0.0) if keeper is None else keeper.remaining_s()

    def _metrics_text(self) -> str:
        return self.metrics()

    def _last_lines(self) -> dict[str, list[str]]:
        """The last lines of what has failed; empty while all is well."""
        # The weights have a keeper, and no component while none are missing.
        failed = [name for name, part in self.status.components.items() if part.state == "failed"]
        return {
            name: [self._reports.clean(line) for line in self._keepers[name].last_lines]
            for name in failed
            if name in self._keepers
        }

    def _on_crash(self, crash: Crash) -> Crash:
        crash = self._reports.cleaned(crash)
        self.status.show_crash(self._reports.keep(crash))
        return crash

    def _on_event(self, message: dict[str, Any]) -> None:
        name = str(message.get("component"))
        keeper = self._keepers.get(name)
        if keeper is None:
            return
        is_idle = message["event"] == "idle"
        if is_idle and not self._engines.are_idle(name):
            return
        keeper.hear(message)
        if is_idle and keeper.state == "stopping":
            self._engines.unload()

    def _on_stop(self, message: dict[str, Any]) -> dict[str, Any]:
        grace_s = message.get("grace_s", self._settings.stop_grace_s)
        if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or not 0 <= grace_s <= 3600:
            raise RefusedError(f"grace_s={grace_s!r:.40} is not a number of seconds from 0 to 3600.")
        self.loop.call_later(0.0, lambda: self.stop(float(grace_s)))
        return {}

    def _on_restart(self, message: dict[str, Any]) -> dict[str, Any]:
        component = message.get("component", "all")
        known = tuple(dict.fromkeys((self.status.front, *self.status.engines)))
        if component not in (*known, "all"):
            raise RefusedError(f"There is no component {str(component)[:40]!r}: use {', '.join(known)} or all.")
        if self.status.stopping:
            raise RefusedError("The instance is stopping.")
        names = [name for name in (known if component == "all" else (component,)) if name in self._keepers]
        if not names:
            raise RefusedError("Nothing runs yet: the instance has only begun to start.")
        without_weights = [name for name in names if name in self._engines and self._lacks_weights(name)]
        for name in names:
            if name not in without_weights:
                self._keepers[name].restart()
        if without_weights:
            self._bring_weights(without_weights)
        return {}

    def _on_memory(self, message: dict[str, Any], act: Callable[[str], None]) -> dict[str, Any]:
        """Takes an engine's process, or every one's, away or brings it back."""
        if self.status.front == APP:
            raise RefusedError("An app keeps its memory as long as it runs: stop or restart it.")
        component = str(message.get("component", ALL_ENGINES))
        known = (*self.status.engines, ALL_ENGINES)
        if component not in known:
            raise RefusedError(f"There is no engine {component[:40]!r}: use {' or '.join(known)}.")
        if self.status.stopping:
            raise RefusedError("The instance is stopping.")
        if ENGINE not in self._keepers:
            raise RefusedError("Nothing runs yet: the instance has only begun to start.")
        weights = self.status.components.get(WEIGHTS)
        if weights is not None and weights.state != "ready":
            raise RefusedError("The engine's weights are not there yet.")
        act(component)
        return {}

    def _lacks_weights(self, engine: str) -> bool:
        """Whether the weights may be why an engine is not there."""
        weights = self.status.components.get(WEIGHTS)
        if weights is not None and weights.state != "ready":
            return True
        return WEIGHTS in self._keepers and self.status.components[engine].state == "failed"

    def _bring_weights(self, engines: list[str]) -> None:
        """Looks for the weights again, fetches what is missing, and starts these engines then."""
        if WEIGHTS not in self.status.components:
            self.status.expect_weights()
        self._engines.wait(engines)
        self._keepers[WEIGHTS].restart()

    def _changed(self) -> None:
        self._control.publish()
        for listener in self._listeners:
            listener(self.status.snapshot())
        self._ending.go_on()
        if self._remaining_s(self.status.front) is None:
            self._listener.release()
        if self.status.stopping and all(keeper.child is None for keeper in self._keepers.values()):
            # Not at once: the answer to `stop` and the last snapshot go out first.
            self.loop.call_later(0.0, self.loop.stop)

    def _write_record(self) -> None:
        """Notes the children's pids, so that whoever comes after a crash finds them."""
        children: dict[str, tuple[int, float]] = {}
        for name, keeper in self._keepers.items():
            facts = observe(keeper.child.pid) if keeper.child is not None else None
            if facts is not None:
                children[name] = (facts.pid, facts.created_at)
        self._record = replace(self._record, children=children)
        try:
            self._run_file.write(self._record)
        except LauncherError as error:
            # A full disk must not take down what works.
            self._logs.write("supervisor", "warning", str(error))

    def _clear_away(self) -> None:
        for keeper in self._keepers.values():
            keeper.kill_now()
        self._listener.close()
        self._control.close()
        scheme, _, path = self._record.control_address.partition(":")
        if scheme == "unix":
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(LauncherError):
            self._run_file.clear()
        self.loop.close()
