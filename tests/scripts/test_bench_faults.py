"""The benchmark of faults tells right bytes, an error and wrong bytes apart, and says which of them ours were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*options: str) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "scripts" / "bench_faults.py"), "--size-mb", "1", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def test_what_becomes_of_a_flipped_byte() -> None:
    code, out = run("--only", "one byte flipped", "--rate-mb", "50", "--json")
    found = {(one["fault"], one["side"]): one for one in json.loads(out)}
    flipped = {side.partition(",")[0]: one["outcome"] for (fault, side), one in found.items() if "once" in fault}
    assert code == 0
    assert flipped == {"launcher": "right bytes", "huggingface_hub": "WRONG BYTES (model.bin)"}
    always = found["one byte flipped", "launcher, only mirror"]
    assert always["outcome"] == "error" and "served wrong bytes" in always["told"]
    assert found["one byte flipped", "launcher, 1 of 3 faulty"]["outcome"] == "right bytes"


def test_one_that_takes_too_long_is_stopped_and_shown() -> None:
    code, out = run("--only", "API stalls", "--side", "only mirror", "--bound-s", "2", "--markdown")
    assert code == 1, "ours counts as hung, too"
    assert out.count("**hung** > 2 s") == 2
