"""The system has no thread or process to give: what was asked for fails with a word, and the loop goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.alarms.duty import Duty, Instance
from launcher.alarms.names import Alarm
from launcher.alarms.telling import teller
from launcher.config import load
from launcher.metrics.figures import Figures
from launcher.process.child import Child, ChildSpec
from launcher.process.errands import Errands
from launcher.process.log_files import log_path, packed_path
from launcher.process.logs import LogWriter
from launcher.process.loop import Loop

ALARM = Alarm("cache_disk_nearly_full", "The disk is 90 % full.", "Free some space.")
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, component: str, level: str, text: str) -> None:
        self.lines.append(text)


@contextlib.contextmanager
def without_threads() -> Iterator[None]:
    """No thread can be started: each would need more memory than there are addresses."""
    before = threading.stack_size(1 << 60)
    try:
        yield
    finally:
        threading.stack_size(before)


def turn(loop: Loop, condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        loop.run_once(0.02)


def sleepers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]


def test_alarms_and_figures_are_looked_at_again(tmp_path: Path) -> None:
    loop, looks, began = Loop(), list[int](), time.monotonic()
    instance = Instance(loop.call_later, loop.call_from_thread, lambda: {"components": {}}, lambda _alarms: None)

    def look(_snapshot: dict[str, Any]) -> list[Alarm]:
        looks.append(1)
        return []

    config = load({"LAUNCHER_DATA_DIR": str(tmp_path)}, None, {})
    with without_threads():
        Duty(instance, look, lambda _alarms: None, first_s=0.0, interval_s=0.01)
        figures = Figures(instance, config, looks.append, first_s=0.0, interval_s=0.01)
        while time.monotonic() - began < 0.1:
            loop.run_once(0.02)
        assert not looks
    turn(loop, lambda: looks and figures.history.last)
    loop.close()


def test_an_alarm_that_nobody_can_be_told_of_is_in_the_log() -> None:
    log: list[str] = []
    # Longer than the system lets a variable be: no process can be started with it.
    teller(["json://127.0.0.1"], "default", {"LONG": "x" * (1 << 22)}, log.append)([ALARM])
    assert [line.partition(":")[0] for line in log] == [f"Alarm {ALARM.code}", "Nobody could be told of an alarm"]
    with without_threads():
        teller(["json://127.0.0.1"], "default", os.environ, log.append)([ALARM])
    assert "thread" in log[-1]
    assert not [one for one in psutil.Process().children() if "launcher.alarms.telling" in one.cmdline()]


def test_a_child_and_an_errand_are_refused_and_leave_no_process() -> None:
    loop, lines = Loop(), Lines()
    spec = ChildSpec("page", SLEEPER, dict(os.environ), {})
    before = sleepers()
    errands = Errands(loop, lambda: spec, lines)
    with without_threads():
        with pytest.raises(OSError, match="thread"):
            Child(spec, logs=lines, on_exit=lambda child, status: None)
        refused = errands.start({"kind": "verify"})
    assert refused["state"] == "failed" and "thread" in refused["error"]["message"]
    assert sleepers() == before
    loop.close()


def test_a_log_is_packed_after_a_later_rotation(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, max_bytes=200, files=5)
    with without_threads():
        for number in range(8):
            writer.write("page", "info", f"{number} " + "x" * 100)
    assert log_path(tmp_path, 3).exists()
    writer.write("page", "info", "y" * 150)
    deadline = time.monotonic() + 30
    while not packed_path(tmp_path, 2).exists():
        assert time.monotonic() < deadline, "it is never packed"
        time.sleep(0.01)
    writer.close()
