"""A real Prometheus that scrapes what a test names, with our rules."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.debian import program
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "scripts" / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
PATIENCE_S = 60.0


class Prometheus:
    """One that runs; asked over its API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> Any:
        """``data`` of an answer."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """The value of an expression that gives one series."""
        found = self.get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, dict[str, str]]:
        """Names of the alerts that fire, with their labels."""
        alerts = self.get("alerts")["alerts"]
        return {one["labels"]["alertname"]: one["labels"] for one in alerts if one["state"] == "firing"}

    def wait(self, condition: Any, what: str) -> Any:
        """The first true value of ``condition``."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if value := condition():
                    return value
            time.sleep(0.1)
        raise AssertionError(f"waited in vain for {what}; {self.get('targets')['activeTargets']}")


def hasty_rules() -> dict[str, Any]:
    """Our rules without the time that a cause must last, for tests that have no minutes."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule.pop("for", None)
    return rules


@contextlib.contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], *, token: str = "") -> Iterator[Prometheus]:
    """Runs one that looks twice a second.

    Args:
        folder: for its files.
        targets: name of the job to address of a `/metrics` page.
        token: sent as Bearer.
    """
    executable = program("prometheus")
    port = free_port()
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump(hasty_rules()), encoding="utf-8")
    jobs = []
    for name, address in targets.items():
        host, path = re.fullmatch(r"http://([^/]+)(/.*)", address).groups()  # type: ignore[union-attr]
        job: dict[str, Any] = {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [host]}]}
        jobs.append(job | ({"authorization": {"credentials": token}} if token else {}))
    every = {"scrape_interval": "500ms", "evaluation_interval": "200ms", "scrape_timeout": "500ms"}
    config = {"global": every, "rule_files": [str(rules)], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        executable,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(20)
