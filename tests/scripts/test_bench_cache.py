"""The benchmark of the cache commands runs to its end; its figures are for people to judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the other side is sha256sum and dd")
def test_it_measures_every_side(tmp_path: Path) -> None:
    options = ["--size-gb", "0.02", "--revisions", "20", "--runs", "1", "--json", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "scripts/bench_cache.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    rows = {row["what"]: row["value"] for row in json.loads(done.stdout)}
    for side in (
        "cache verify, cold",
        "sha256sum, warm",
        "hf cache verify, warm",
        "cache ls, 20 revisions",
        "floor, cold",
    ):
        assert rows[side] > 0
    assert not list(tmp_path.iterdir())
