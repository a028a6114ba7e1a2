"""Causes are made, a real Prometheus looks, and the alerts fire; rules and dashboard ask for what there is."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from launcher.access import AccessRules
from launcher.alarms.duty import Duty, Instance
from launcher.alarms.events import note
from launcher.alarms.names import METRICS
from launcher.alarms.watch import look
from launcher.cache.layout import cache_dir
from launcher.config import load
from launcher.metrics.figures import Figures
from launcher.metrics.sampling import Sampler
from launcher.process.answers import Answers
from launcher.process.bind import bind_port
from launcher.process.listener import Listener
from launcher.process.loop import Loop
from launcher.process.snapshot import Status
from tests.debian import program
from tests.engine.processes import page, worker
from tests.metrics.prometheus import DEPLOY, RULES, prometheus
from webui.metrics.requests import RequestMetrics

NAME = re.compile(r"\btts_[a-z_]+")


class Watched:
    """The supervisor's side of an instance: its loop, status, port, alarms and numbers; no children."""

    def __init__(self, folder: Path) -> None:
        self.config = load({"LAUNCHER_DATA_DIR": str(folder)}, None, {})
        self.log: list[str] = []
        self.skew_s = 0.0
        self.loop = Loop()
        self.status = Status(
            instance="i",
            version="v",
            url="u",
            host="127.0.0.1",
            port=1,
            pid=1,
            clock=lambda: time.monotonic() + self.skew_s,
            wall_clock=time.time,
        )
        instance = Instance(self.loop.call_later, self.loop.call_from_thread, self.status.snapshot, self._show)
        sampler = Sampler(self.config, usage=lambda path: (90, 100))
        figures = Figures(instance, self.config, self.log.append, sampler=sampler, first_s=0.0, interval_s=0.1)
        Duty(instance, lambda now: look(self.config, now), lambda alarms: None, first_s=0.0, interval_s=0.1)
        answers = Answers(
            rules=AccessRules(),
            snapshot=self.status.snapshot,
            remaining_s=lambda: None,
            last_lines=dict,
            metrics=figures.text,
        )
        sock = bind_port("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{sock.getsockname()[1]}/metrics"
        self.listener = Listener(sock, self.loop, answer=answers.respond, needs_body=answers.needs_body)
        self.listener.accept()

    def _show(self, alarms: Any) -> None:
        self.status.alarms = list(alarms)

    def act(self, do: Any) -> None:
        """Runs in the loop, which alone may change the status."""
        self.loop.call_from_thread(do)


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    one = Watched(folder)
    thread = threading.Thread(target=one.loop.run, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.act(one.loop.stop)
        thread.join(10)
        one.listener.close()


def test_alerts_fire_when_their_causes_are_made(tmp_path: Path) -> None:
    with (
        watched(tmp_path / "data") as supervisor,
        worker(tmp_path, chunk_s=30.0) as engine,
        page(engine.address, queue_size=8, patience_s=0.1) as address,
        ThreadPoolExecutor(12) as pool,
    ):
        targets = {"tts": supervisor.address, "page": f"{address}/metrics", "gone": "http://127.0.0.1:9/metrics"}
        with prometheus(tmp_path, targets) as server:
            server.wait(lambda: server.value('up{job="tts"}') == 1 and server.value('up{job="page"}') == 1, "both")
            assert set(server.firing()) <= {"TtsDiskNearlyFull"}

            def break_things() -> None:
                supervisor.status.stage("engine", "running")
                supervisor.status.choice = {"name": "kokoro", "reason": ""}
                supervisor.skew_s = 100.0  # the engine has been loading for that long
                supervisor.status.components["engine"].restarts = 4

            supervisor.act(break_things)
            cache = cache_dir(supervisor.config)
            for _ in range(3):
                note(cache, "mirror_timeout", "https://hf-mirror.com")
            note(cache, "verify_failure", "org/model")
            asked = [pool.submit(_speak, address) for _ in range(11)]  # one is spoken, 8 wait, the others are refused
            wanted = set(_alert_names()) - {"TtsDown", "TtsErrorRate", "TtsSlowerThanRealTime"}
            server.wait(lambda: wanted <= set(server.firing()), f"{wanted}")
            assert server.firing()["TtsSlowLoad"]["engine"] == "kokoro"
            engine.kill()  # under its request; the page waits for another one, in vain
            supervisor.listener.close()  # and nobody answers at all
            server.wait(lambda: "TtsDown" in server.firing(), "TtsDown")
            assert server.firing()["TtsDown"]["job"] == "tts"
        del asked


def _speak(address: str) -> int:
    try:
        return httpx.post(f"{address}/api/speak", json={"text": "one"}, timeout=20).status_code
    except httpx.HTTPError:
        return 0


def _alert_names() -> list[str]:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule["alert"] for rule in rules["groups"][0]["rules"]]


def test_promtool_agrees(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_bytes((DEPLOY / "prometheus" / "prometheus.yml").read_bytes())
    (tmp_path / "rules.yml").write_bytes(RULES.read_bytes())
    (tmp_path / "token").write_text("secret")
    for arguments in (
        ["check", "config", str(tmp_path / "prometheus.yml")],
        ["test", "rules", str(DEPLOY / "prometheus" / "tests.yml")],
        ["check", "rules", str(_as_rules(tmp_path, _dashboard_expressions()))],
    ):
        done = subprocess.run(
            [program("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def _as_rules(folder: Path, expressions: list[str]) -> Path:
    """The dashboard's expressions as rules, which promtool can read."""
    rules = [
        {"record": f"dashboard:{number}", "expr": one.replace("$__rate_interval", "1m").replace("$instance", "a")}
        for number, one in enumerate(expressions)
    ]
    path = folder / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    return path


def _dashboard_expressions() -> list[str]:
    board = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [*asked, *(one["expr"] for one in board["annotations"]["list"])]


@pytest.mark.parametrize("what", ["rules", "dashboard"])
def test_only_metrics_that_exist_are_asked_for(what: str) -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    asked = [rule["expr"] for rule in rules] if what == "rules" else _dashboard_expressions()
    page_text = RequestMetrics(lambda: 0).text().decode()
    known = {metric.name for metric in METRICS} | {
        f"{name}{suffix}" for name in NAME.findall(page_text) for suffix in ("", "_bucket", "_total")
    }
    used = set(NAME.findall("\n".join(asked)))
    assert len(used) > 5 and used <= known, used - known
    if what == "dashboard":
        assert {metric.name for metric in METRICS} <= used | {
            "tts_cache_disk_free_bytes",
            "tts_engine_load_bytes",
            "tts_start_stage_done",
            "tts_verify_failures_total",
        }
