"""A handful of the cycles that `scripts/bench_cycles.py` makes: nothing is left behind, and what is would be said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_starting_and_stopping_leaves_nothing() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "bench_cycles.py"), "--cycles", "4", "--kill", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 cycles" in done.stdout
    assert "left behind            nothing" in done.stdout
