"""Errands: processes that the supervisor sends, hears and ends; scripts stand in for the commands."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.process.child import ChildSpec
from launcher.process.control import RefusedError
from launcher.process.errands import Errand, Errands
from launcher.process.loop import Loop

SCRIPT = r"""
import json, sys, time
asked = json.loads(sys.stdin.buffer.readline())
def say(**what): print(json.dumps(what), flush=True)
say(progress={"stage": "fetch", "done": 1, "total": 4})
print("a remark", flush=True)
if asked["model"] == "org/wait": time.sleep(60)
if asked["model"] == "org/fail": say(error={"message": "No mirror.", "fix": "Add one.", "exit_code": 10}); sys.exit(10)
if asked["model"] == "org/die": sys.exit(3)
say(result={"asked": asked["kind"], "own": asked["own"]})
"""


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def write(self, component: str, level: str, text: str) -> None:
        self.lines.append((component, level, text))


class Sent:
    """Errands in a loop that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self.logs = Lines()
        self.heard: list[Any] = []
        script = folder / "errand.py"
        script.write_text(SCRIPT)
        spec = ChildSpec("errand", (sys.executable, "-u", str(script)), dict(os.environ), {"own": "setting"})
        self.errands = Errands(self.loop, lambda: spec, self.logs, self._on_progress)

    def _on_progress(self, errand: Errand) -> None:
        self.heard.append(errand.progress)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The newest errand once it is as wished."""
        deadline = time.monotonic() + 30
        while True:
            newest: dict[str, Any] = self.errands.to_json()["errands"][-1]
            if condition(newest):
                return newest
            assert time.monotonic() < deadline, newest
            self.loop.run_once(0.05)


@pytest.fixture
def sent(tmp_path: Path) -> Iterator[Sent]:
    one = Sent(tmp_path)
    yield one
    one.errands.close()
    one.loop.close()


def over(errand: dict[str, Any]) -> bool:
    return errand["ended_at"] is not None


def test_what_it_says_is_heard(sent: Sent) -> None:
    begun = sent.errands.start({"kind": "verify"})
    assert begun["state"] == "running" and begun["number"] == 1
    done = sent.until(over)
    assert done["state"] == "done" and done["result"] == {"asked": "verify", "own": "setting"}
    assert sent.heard == [{"stage": "fetch", "done": 1, "total": 4}] and done["progress"] is None
    assert ("errand", "info", "verify: a remark") in sent.logs.lines
    assert ("errand", "info", "verify done") in sent.logs.lines


def test_failures_have_a_sentence(sent: Sent) -> None:
    sent.errands.start({"kind": "fetch", "model": "org/fail"})
    assert sent.until(over)["error"] == {"message": "No mirror.", "fix": "Add one."}
    sent.errands.start({"kind": "fetch", "model": "org/die"})
    died = sent.until(over)
    assert died["state"] == "failed" and "exit code 3" in died["error"]["message"]


def test_one_of_a_kind_at_a_time_and_cancelling(sent: Sent) -> None:
    first = sent.errands.start({"kind": "fetch", "model": "org/wait"})
    assert sent.errands.start({"kind": "fetch", "model": "org/wait"})["number"] == first["number"]
    with pytest.raises(RefusedError, match="org/wait runs already"):
        sent.errands.start({"kind": "fetch", "model": "org/other"})
    sent.until(lambda one: one["progress"] is not None)
    sent.errands.cancel({"number": first["number"]})
    assert sent.until(over)["state"] == "cancelled"
    sent.errands.cancel({"number": 99})
    assert sent.errands.start({"kind": "look"}) == sent.errands.start({"kind": "look"})  # anybody may, so not too often


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "remove"},
        {"kind": "fetch"},
        {"kind": "fetch", "model": "--to-dir=/"},
        {"kind": "verify", "model": "x" * 999},
    ],
)
def test_nothing_else_is_done(sent: Sent, message: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        sent.errands.start(message)
    assert sent.errands.to_json() == {"errands": []}


def test_they_end_with_the_supervisor(sent: Sent) -> None:
    before = psutil.Process().children()
    sent.errands.start({"kind": "fetch", "model": "org/wait"})
    sent.until(lambda one: one["progress"] is not None)
    children = [child for child in psutil.Process().children() if child not in before]
    assert children
    sent.errands.close()
    assert psutil.wait_procs(children, 10)[1] == []


def test_the_past_is_bounded(sent: Sent) -> None:
    for _ in range(14):
        sent.errands.start({"kind": "fetch", "model": "org/die"})
        sent.until(over)
    assert len(sent.errands.to_json()["errands"]) == 12
