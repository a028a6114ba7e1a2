"""Several engines: each a component of its own, one crash budget each, and one state for all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.runner import Instance, alive, wait_for

NAMES = ("engine", "engine-2")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path, LAUNCHER_ENGINES="2", LAUNCHER_RESTART_LIMIT="1")
    yield made
    made.end()


def engines(instance: Instance) -> dict[str, dict[str, Any]]:
    components = instance.status()["components"]
    return {name: components[name] for name in NAMES}


def wait_all(instance: Instance, state: str) -> dict[str, dict[str, Any]]:
    def reached() -> dict[str, dict[str, Any]] | None:
        found = engines(instance)
        return found if all(part["state"] == state for part in found.values()) else None

    found: dict[str, dict[str, Any]] = wait_for(reached, f"every engine {state}")
    return found


def test_each_has_its_process_and_its_words(instance: Instance) -> None:
    process = instance.start_ready()
    pids = {name: part["pid"] for name, part in wait_all(instance, "ready").items()}
    assert len(set(pids.values())) == 2
    assert list(instance.status()["components"]) == ["page", *NAMES]
    for name in NAMES:
        lines = instance.run("logs", "--component", name).stdout
        assert f"{name} mode=ok" in lines and all(f"{other} mode" not in lines for other in NAMES if other != name)
    assert instance.run("logs", "--component", "engine-two").returncode == 2
    assert instance.run("restart", "engine-2").returncode == 0
    after = engines(instance)
    assert after["engine"]["pid"] == pids["engine"] and after["engine-2"]["pid"] != pids["engine-2"]
    assert instance.answer("restart", "engine-3")["error"]["message"].endswith("use page, engine, engine-2 or all.")
    assert instance.run("restart", "all").returncode == 0
    last = engines(instance)
    assert all(last[name]["pid"] not in (None, after[name]["pid"]) for name in NAMES)
    assert instance.run("stop").returncode == 0 and process.wait(30) == 0
    assert not [part["pid"] for part in last.values() if alive(part["pid"])]


def test_one_that_is_down_degrades_and_the_last_one_fails_the_instance(instance: Instance) -> None:
    instance.start_ready()
    first = wait_all(instance, "ready")
    instance.order("engine-2", mode="crash")
    os.kill(first["engine-2"]["pid"], signal.SIGKILL)
    # Its own budget: one restart, which crashes as well.
    failed = instance.wait_component("engine-2", "failed")
    snapshot = instance.status()
    assert snapshot["state"] == "degraded" and "restart engine-2" in failed["error"]["fix"]
    assert snapshot["components"]["engine"] == {**first["engine"]}
    assert {stage["name"]: stage["state"] for stage in snapshot["stages"]}["engine"] == "done"

    instance.order("engine", mode="failed")
    os.kill(snapshot["components"]["engine"]["pid"], signal.SIGKILL)
    instance.wait_state("failed")
    instance.order("engine", mode="ok")
    assert instance.run("restart", "engine").returncode == 0
    assert instance.status()["state"] == "degraded"
    instance.order("engine-2", mode="ok")
    assert instance.run("restart", "engine-2").returncode == 0
    assert instance.status()["state"] == "ready"


def test_the_first_one_that_is_there_makes_the_instance_ready(instance: Instance) -> None:
    instance.order("engine", delay_s=20)
    instance.start_ready()
    snapshot = instance.status()
    assert snapshot["components"]["engine"]["state"] == "starting"
    assert snapshot["components"]["engine-2"]["state"] == "ready"
    assert {stage["name"]: stage["state"] for stage in snapshot["stages"]}["engine"] == "done"


def test_memory_is_given_back_by_all_and_taken_back_by_all(instance: Instance) -> None:
    instance.start_ready()
    wait_all(instance, "ready")
    answer = instance.answer("engine", "unload")
    assert answer["engines"] == dict.fromkeys(NAMES, "unloaded")
    assert instance.status()["state"] == "ready"
    assert instance.answer("engine", "load")["engines"] == dict.fromkeys(NAMES, "ready")
    before = engines(instance)
    assert instance.answer("engine", "reload")["engines"] == dict.fromkeys(NAMES, "ready")
    after = engines(instance)
    assert all(after[name]["pid"] != before[name]["pid"] for name in NAMES)

    assert instance.answer("engine", "unload", "engine-2")["engines"] == {"engine": "ready", "engine-2": "unloaded"}
    assert engines(instance)["engine"]["pid"] == after["engine"]["pid"] and not alive(after["engine-2"]["pid"])
    assert instance.answer("engine", "load", "engine-2")["engines"] == dict.fromkeys(NAMES, "ready")
    unknown = instance.run("engine", "reload", "engine-3")
    assert unknown.returncode == 2 and "Use engine, engine-2" in unknown.stderr + unknown.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--engines", "0"), "LAUNCHER_ENGINES"),
        (("--gpu", "first"), "no list of different GPUs"),
        (("--gpu", "1,1"), "such as 0,1"),
    ],
)
def test_a_number_that_is_none_is_one_sentence(tmp_path: Path, flags: tuple[str, str], said: str) -> None:
    never = Instance(tmp_path)
    refused = never.run("start", *flags)
    assert refused.returncode == 2 and said in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr


def test_only_when_all_are_idle_all_rest(instance: Instance) -> None:
    instance.order("engine-2", idle=True)
    instance.start_ready()
    wait_all(instance, "ready")
    wait_for(lambda: instance.log().count("engine-2 says idle") > 3, "engine-2's words")
    assert {part["state"] for part in engines(instance).values()} == {"ready"}
    instance.order("engine", idle=True)
    assert instance.run("restart", "engine").returncode == 0
    wait_all(instance, "unloaded")
