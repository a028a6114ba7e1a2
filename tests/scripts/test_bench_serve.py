"""The benchmark of serving runs to its end; its figures are for people to judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="clients have addresses of 127.0.0.0/8 of their own")
def test_it_measures_both_sides() -> None:
    options = ["--only", "load", "--only", "memory", "--seconds", "0.3", "--pairs", "5", "--syntheses", "20"]
    options += ["--clients", "1", "--clients", "4", "--turns", "16"]
    done = subprocess.run(
        [sys.executable, "scripts/bench_serve.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert {(row["what"], row["clients"]) for row in found["load"]} >= {("health", 4), ("speech of 100 ms", 1)}
    assert all(row["per_s"] > 0 and row["p50_ms"] <= row["p99_ms"] for row in found["load"])
    assert set(found["fairness"]) == {"ours", "bare"} and found["memory"]["end_mib"] > 10
    assert found["request_ms"]["ours"] > 0
