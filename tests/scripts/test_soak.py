"""A moment of `scripts/soak.py`, with several things broken at once: nothing is wrong, and it would be said."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from scripts.levels import MORE_DESCRIPTORS, MORE_MEMORY_BYTES, Level, leaks

ROOT = Path(__file__).parents[2]


def test_an_instance_bears_several_faults_at_the_same_moment() -> None:
    # With this seed the engine is killed and unloaded while the disk is full or somebody talks nonsense.
    options = ["--minutes", "0.1", "--engine", "tone", "--hard", "--seed", "1"]
    command = [sys.executable, str(ROOT / "scripts" / "soak.py"), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 x kill engine" in done.stdout and "1 x unload engine" in done.stdout
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (lines["wrong"], lines["grown"], lines["left"]) == ("nothing", "nothing", "nothing")


def test_what_grows_is_named() -> None:
    sizes = {"supervisor": 10, "page": 20}
    first = Level(3, sizes, sizes, 1, 2, frozenset({"a"}))
    assert not list(leaks(first, first, first))
    more = {"supervisor": 10, "page": 20 + MORE_DESCRIPTORS + 1}
    large = {"supervisor": 10 + MORE_MEMORY_BYTES + 1, "page": 20}
    last = replace(first, processes=4, own_files=frozenset({"a", "b"}), descriptors=more, memory_bytes=large)
    assert [what.split(":")[0] for what in leaks(first, first, last)] == [
        "own files",
        "processes",
        "descriptors of the page",
        "memory of the supervisor",
    ]
    # A page that was started anew is compared with itself.
    assert not list(leaks(first, replace(first, descriptors=more), replace(first, descriptors=more)))
