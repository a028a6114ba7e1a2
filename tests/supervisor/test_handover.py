"""The port through start, crashes, restarts and stop: thousands of connections, none refused."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from types import ModuleType

import pytest

from tests.supervisor.runner import ROOT, Instance, wait_for


def load_script(name: str) -> ModuleType:
    """A file of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def test_no_connection_is_refused_whatever_dies(instance: Instance) -> None:
    instance.start()
    wait_for(lambda: instance.status().get("port"), "the port")
    prober = load_script("probe_port").Prober("127.0.0.1", instance.port)
    prober.start()
    instance.wait_state("ready")
    for component in ("page", "engine", "page"):
        old = instance.status()["components"][component]
        os.kill(old["pid"], signal.SIGKILL)
        wait_for(
            lambda name=component, pid=old["pid"]: instance.status()["components"][name]["pid"] not in (None, pid),
            f"the {component}",
        )
        instance.wait_component(component, "ready")
    for component in ("page", "engine", "all"):
        assert instance.answer("restart", component)["ready"] is True
    wait_for(lambda: prober.counts.probes > 3000, "enough probes")
    counts = prober.stop()
    assert counts.refused == 0
    assert counts.late == 0
    # Each kill may cost what was inside the dying process: at most one request of every worker.
    assert counts.lost <= 3 * 4
    assert counts.answered[200] > 2000


def test_the_prober_sees_a_refused_connection(instance: Instance) -> None:
    prober = load_script("probe_port").Prober("127.0.0.1", instance.port, limit=20)
    prober.start()
    assert prober.join().refused == 20


def test_openais_client_does_not_notice_that_the_page_starts(instance: Instance) -> None:
    openai = pytest.importorskip("openai")
    instance.order("page", mode="ok", delay_s=2.0)
    instance.start()
    wait_for(lambda: instance.status().get("port"), "the port")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{instance.port}/v1", api_key="none")
    # The stand-in answers every path; what counts is that the 503 of the loading page was bridged.
    answer = client.get("/anything", cast_to=object)
    assert answer["served_by"] == "page"


def test_one_more_try_is_enough_however_wrong_the_estimate_was(instance: Instance) -> None:
    openai = pytest.importorskip("openai")
    instance.order("page", mode="ok", delay_s=0.05)
    instance.start_ready()
    # Now it takes far longer than last time, from which Retry-After is reckoned.
    instance.order("page", mode="ok", delay_s=4.0)
    pid = instance.status()["components"]["page"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: instance.status()["components"]["page"]["pid"] not in (None, pid), "another page")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{instance.port}/v1", api_key="none", max_retries=1)
    answer = client.post("/audio/speech", body={"input": "x"}, cast_to=object)
    assert answer["served_by"] == "page"
