"""``engine unload``, ``load`` and ``reload`` of a running instance: the process ends, and a new one comes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.channel import Channel
from tests.supervisor.runner import Instance, alive


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(tmp_path)
    try:
        yield instance
    finally:
        instance.end()


def test_the_engines_process_ends_and_comes_back(instance: Instance) -> None:
    instance.start_ready()
    first = instance.status()["components"]["engine"]["pid"]
    answer = instance.answer("engine", "unload")
    assert (answer["was"], answer["state"]) == ("ready", "unloaded")
    assert not alive(first), "its memory comes back only with its end"
    assert instance.status()["components"]["page"]["state"] == "ready"
    assert instance.answer("engine", "unload")["was"] == "unloaded"
    assert instance.answer("engine", "load")["state"] == "ready"
    second = instance.status()["components"]["engine"]["pid"]
    assert instance.answer("engine", "load")["was"] == "ready"
    assert instance.status()["components"]["engine"]["pid"] == second
    assert instance.answer("engine", "reload")["state"] == "ready"
    assert instance.status()["components"]["engine"]["pid"] not in (first, second)


def test_requests_that_wake_it_at_once_do_not_keep_unload_waiting(instance: Instance) -> None:
    instance.start_ready()
    first = instance.status()["components"]["engine"]["pid"]
    record = json.loads((instance.folder / "data/instances/default/run.json").read_text())
    over = threading.Event()

    def wake() -> None:
        """What the page does for everybody who waits for speech."""
        channel = Channel.connect(record["control_address"], token=record["control_token"])
        while not over.wait(0.005):
            channel.call("load", component="engines")
        channel.close()

    waking = threading.Thread(target=wake)
    waking.start()
    try:
        answer = instance.answer("engine", "unload", "--timeout", "50")
        said = instance.run("engine", "unload", "--timeout", "50", as_json=False)
    finally:
        over.set()
        waking.join()
    assert (answer["was"], answer["woken"], answer["state"] in ("starting", "ready")) == ("ready", ["engine"], True)
    assert not alive(first), "it was taken for unloaded while its process had the memory"
    assert said.returncode == 0 and "loading again, because somebody asks for speech" in said.stdout
    assert instance.answer("engine", "unload")["woken"] == []


def test_an_engine_that_does_not_come_back_is_an_error(instance: Instance) -> None:
    instance.environment["LAUNCHER_RESTART_LIMIT"] = "0"
    instance.start_ready()
    instance.answer("engine", "unload")
    instance.order("engine", mode="failed")
    done = instance.run("engine", "load")
    assert done.returncode == 6 and "The weights are damaged." in done.stdout
