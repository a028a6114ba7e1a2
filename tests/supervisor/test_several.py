"""Several instances of one data folder, and what is said of and done to all of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.runner import Instance, wait_for


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Instance, Instance]]:
    """Two instances, of other names and ports, that keep their files in one folder."""
    data_dir = str(tmp_path / "data")
    first = Instance(tmp_path / "first", LAUNCHER_DATA_DIR=data_dir, LAUNCHER_INSTANCE="first")
    second = Instance(tmp_path / "second", LAUNCHER_DATA_DIR=data_dir, LAUNCHER_INSTANCE="second")
    yield first, second
    first.end()
    second.end()


def states(instance: Instance) -> dict[str, str]:
    shown = json.loads(instance.run("status", "--all").stdout)["instances"]
    return {each["instance"]: each["state"] for each in shown}


def test_all_are_shown_and_stopped(pair: tuple[Instance, Instance]) -> None:
    first, second = pair
    assert first.run("status", "--all").returncode == 4
    assert first.run("stop", "--all").returncode == 4
    for instance in pair:
        instance.start_ready()
    assert states(first) == {"first": "ready", "second": "ready"}
    stopped = json.loads(second.run("stop", "--all").stdout)
    assert [each["instance"] for each in stopped["instances"]] == ["first", "second"]
    assert states(first) == {"first": "stopped", "second": "stopped"}
    assert all(process.wait(30) == 0 for instance in pair for process in instance.started)


def test_a_crashed_one_is_told_apart_and_does_not_save_the_other(pair: tuple[Instance, Instance]) -> None:
    first, second = pair
    first.start_ready()
    process = second.start_ready()
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: states(first) == {"first": "ready", "second": "crashed"}, "the crash to be seen")
    stopped = json.loads(first.run("stop", "--all").stdout)
    assert [each["instance"] for each in stopped["instances"]] == ["first"]
