"""A keeper whose clock and children are the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcher.process.child import ChildSpec
from launcher.process.crash import Crash
from launcher.process.health import CrashBudget, Patience
from launcher.process.keeper import Hooks, Keeper
from launcher.process.loop import Loop
from launcher.process.snapshot import Status
from launcher.process.timings import StartTimes


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Logs:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, component: str, level: str, text: str) -> None:
        self.lines.append(f"{level} {text}")


class FakeChild:
    """A child that lives until the test says otherwise."""

    pids = iter(range(1000, 9000))

    def __init__(self, on_exit: Callable[[Any, int], None]) -> None:
        self.pid = next(self.pids)
        self.last_lines = ["last words"]
        self.peak_bytes: int | None = 123_000_000
        self.signals: list[str] = []
        self._on_exit = on_exit

    def terminate(self) -> None:
        self.signals.append("terminate")

    def kill(self) -> None:
        self.signals.append("kill")

    def exit(self, status: int) -> None:
        self._on_exit(self, status)


class World:
    """A keeper in a loop whose clock the test moves."""

    def __init__(self, *, limit: int = 2, component: str = "page", task: bool = False) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.logs = Logs()
        self.status = Status(
            instance="i", version="1", url="", host="", port=1, pid=1, clock=self.clock, wall_clock=self.clock
        )
        if task:
            self.status.expect_weights()
        self.children: list[FakeChild] = []
        self.calls: list[str] = []
        self.crashes: list[Crash] = []
        self.times = StartTimes(None)
        self.keeper = Keeper(
            ChildSpec(component, ("x",), {}, {}, is_task=task),
            loop=self.loop,
            status=self.status,
            logs=self.logs,
            hooks=Hooks(
                changed=lambda: None,
                before_start=lambda: None,
                started=lambda: self.calls.append("started"),
                ready=lambda: self.calls.append("ready"),
                down=lambda: self.calls.append("down"),
                failed=lambda error: self.calls.append(f"failed {error['message']}"),
                crashed=self._note_crash,
            ),
            budget=CrashBudget(limit, 60.0),
            patience=Patience(hello_s=30.0, silence_s=50.0),
            times=self.times,
            spawn=self._spawn,
        )

    def _spawn(self, spec: ChildSpec, *, on_exit: Callable[[Any, int], None], **rest: Any) -> FakeChild:
        self.children.append(FakeChild(on_exit))
        return self.children[-1]

    def _note_crash(self, crash: Crash) -> Crash:
        self.crashes.append(crash)
        return crash

    @property
    def child(self) -> FakeChild:
        return self.children[-1]

    def pass_time(self, seconds: float) -> None:
        """Moves the clock in small steps, so that timers that set timers are due in order."""
        end = self.clock.now + seconds
        while True:
            self.loop.run_once(0.0)
            if self.clock.now >= end:
                return
            self.clock.now = min(end, self.clock.now + 0.05)

    def say(self, event: str, **fields: Any) -> None:
        self.keeper.hear({"event": event, "pid": self.child.pid, **fields})

    def crash(self, status: int = 1) -> None:
        self.child.exit(status)
        self.pass_time(0.2)
