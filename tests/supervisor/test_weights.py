"""Weights inside ``start``: fetched behind the page, seen, killed and gone on with, never asked for twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.hub import GeneratedFile, HubServer, Repo
from tests.supervisor.runner import Instance, alive, wait_for

NAME = "org/tiny"
SIZE = 15_000_000
REPO = Repo({"config.json": b"{}", "model.bin": GeneratedFile(SIZE, seed=3)})


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}, throttle_bytes_per_s=1_500_000) as server:
        yield server


@pytest.fixture
def instance(tmp_path: Path, hub: HubServer) -> Iterator[Instance]:
    found = Instance(tmp_path, LAUNCHER_MODELS=NAME, LAUNCHER_MIRRORS=f"{hub.url};connections=2")
    yield found
    found.end()


def files_there(instance: Instance) -> dict[str, int]:
    snapshots = (instance.folder / "data" / "cache" / "huggingface" / "hub").glob("models--*/snapshots/*")
    return {file.name: file.stat().st_size for folder in snapshots for file in folder.iterdir()}


def weights(instance: Instance) -> dict[str, Any]:
    found: dict[str, Any] = instance.status().get("components", {}).get("weights", {})
    return found


def wait_fetching(instance: Instance) -> dict[str, Any]:
    def fetching() -> dict[str, Any] | None:
        found = weights(instance)
        progress = found.get("progress") or {}
        return found if found.get("pid") and progress.get("parts") and progress.get("rate_per_s") else None

    found: dict[str, Any] = wait_for(fetching, "a fetch under way")
    return found


def test_the_page_comes_up_meanwhile_and_everybody_sees_the_same_progress(instance: Instance, hub: HubServer) -> None:
    process = instance.start()
    fetching = wait_fetching(instance)
    progress = fetching["progress"]
    assert (progress["stage"], progress["unit"], progress["total"]) == ("fetch", "bytes", SIZE + 2)
    assert progress["parts"][0]["name"] == "model.bin" and progress["parts"][0]["total"] == SIZE
    assert progress["hosts"][0]["name"] == hub.url.partition("://")[2] and progress["eta_s"] > 0
    snapshot = instance.wait_component("page", "ready") and instance.status()
    engine = snapshot["components"]["engine"]
    assert (engine["state"], engine["pid"], engine["progress"]["stage"]) == ("starting", None, "fetch")
    stages = {stage["name"]: stage for stage in snapshot["stages"]}
    assert (stages["weights"]["state"], stages["engine"]["state"]) == ("running", "waiting")
    assert stages["weights"]["progress"]["hosts"] and stages["weights"]["progress"]["parts"]
    # Fetching happens elsewhere: who answers on the port stays light.
    assert psutil.Process(snapshot["pid"]).memory_info().rss < 32 * 2**20

    snapshot = instance.wait_state("ready")
    assert files_there(instance) == {"config.json": 2, "model.bin": SIZE}
    assert snapshot["components"]["weights"] | {"since": 0} == {
        "state": "ready", "pid": None, "restarts": 0, "since": 0, "progress": None, "info": {}, "error": None
    }  # fmt: skip
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    told = [event["progress"] for event in events if event["event"] == "progress"]
    # The last word may come when nothing is on its way any more.
    assert told[-1]["stage"] == "fetch" and any(one.get("parts") for one in told)
    moves = [event["state"] for event in events if (event["event"], event.get("name")) == ("stage", "weights")]
    assert moves[-1] == "done"
    assert not alive(fetching["pid"])

    # What is complete costs no request and no process.
    hub.forget()
    instance.order("page", delay_s=3)
    instance.start()
    wait_for(lambda: instance.status().get("components", {}).get("page", {}).get("pid"), "the page's process")
    loading = instance.get("/", Accept="text/html")
    assert loading.status == 503 and b"<html" in loading.body
    instance.wait_state("ready")
    assert hub.count() == 0
    assert "weights" not in instance.status()["components"]


def test_killed_it_goes_on(instance: Instance, hub: HubServer) -> None:
    supervisor = instance.start()
    fetching = wait_fetching(instance)
    os.kill(fetching["pid"], signal.SIGKILL)
    again = wait_for(lambda: (now := wait_fetching(instance))["pid"] != fetching["pid"] and now, "another fetch")
    assert again["restarts"] == 1
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not alive(again["pid"]), "the fetch to end with its supervisor")
    instance.start_ready()
    assert files_there(instance)["model.bin"] == SIZE
    # Each end costs what was in flight: a block of 256 KiB for each of two connections, and what the sockets held.
    assert hub.bytes_sent() < 1.25 * SIZE


def test_what_cannot_be_had_is_said_and_can_be_tried_again(instance: Instance, hub: HubServer) -> None:
    hub.set_repos({})
    instance.start()
    instance.wait_component("engine", "failed")
    snapshot = instance.wait_component("page", "ready") and instance.status()
    components = snapshot["components"]
    assert snapshot["state"] == "failed" and components["page"]["state"] == "ready"
    assert hub.url in components["weights"]["error"]["message"]
    assert components["engine"]["error"] == components["weights"]["error"]
    stages = {stage["name"]: stage["state"] for stage in snapshot["stages"]}
    assert (stages["weights"], stages["engine"]) == ("failed", "waiting")

    hub.set_repos({NAME: REPO})
    done = instance.run("restart", "engine")
    assert done.returncode == 0, done.stdout
    assert instance.status()["state"] == "ready"
    assert files_there(instance)["model.bin"] == SIZE


def test_offline_it_says_what_is_missing_and_starts_nothing(instance: Instance, hub: HubServer) -> None:
    done = instance.run("start", "--offline")
    assert done.returncode == 10
    error = json.loads(done.stdout)["error"]
    assert NAME in error["message"] and f"fetch {NAME}" in error["fix"]
    assert hub.count() == 0 and not instance.log()

    instance.run("fetch", NAME)
    hub.forget()
    instance.start_ready("--offline")
    environment = psutil.Process(instance.status()["components"]["engine"]["pid"]).environ()
    assert (environment["HF_HUB_OFFLINE"], environment["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert hub.count() == 0
    # Even what disappears later is not fetched.
    (model,) = (instance.folder / "data").rglob("snapshots/*/model.bin")
    model.unlink()
    instance.order("engine", mode="failed")
    instance.run("restart", "engine")
    instance.order("engine")
    error = instance.answer("restart", "engine")["error"]
    assert "model.bin" in error["message"] or "1 file" in error["message"]
    assert hub.count() == 0
