"""The benchmark of serving runs to its end, or says why not; its figures are for people to judge."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.serving import BenchmarkError, bare

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="clients have addresses of 127.0.0.0/8 of their own"
)


def test_it_measures_both_sides() -> None:
    options = ["--only", "load", "--only", "memory", "--seconds", "0.2", "--pairs", "3", "--syntheses", "10"]
    options += ["--clients", "1", "--clients", "4", "--turns", "10"]
    done = subprocess.run(
        [sys.executable, "scripts/bench_serve.py", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert {(row["what"], row["clients"]) for row in found["load"]} >= {("health", 4), ("speech of 100 ms", 1)}
    assert all(row["per_s"] > 0 and row["p50_ms"] <= row["p99_ms"] for row in found["load"])
    assert set(found["fairness"]) == {"ours", "bare"} and found["memory_mib"][-1] > 10
    assert found["request_ms"]["ours"] > 0


def test_a_side_that_ends_is_named_with_its_last_words(tmp_path: Path) -> None:
    with bare("nobody", tmp_path) as side, pytest.raises(BenchmarkError, match=r"(?s)bare ended with 1.*'nobody'"):
        asyncio.run(side.wait_ready())
