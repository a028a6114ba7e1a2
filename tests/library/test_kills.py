"""kill -9 at any moment: what was reported as done is there, nothing is half there, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.library.writing import sound_of
from webui.library.database import FILE_NAME
from webui.library.history import Wanted
from webui.library.library import Library

ROOT = Path(__file__).parents[2]
ROUNDS = 20


@dataclass
class Ledger:
    """What the writers said: done for certain, and gone or perhaps gone."""

    done: dict[str, set[str]] = field(
        default_factory=lambda: {"voice": set(), "take": set(), "preset": set(), "term": set()}
    )
    going: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    starred: set[str] = field(default_factory=set)

    def note(self, word: str, name: str) -> None:
        if word in self.done:
            self.done[word].add(name)
        else:
            getattr(self, word).add(name)


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.library.writing", str(tmp_path / "library")]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate(timeout=30)


def write_and_die(writers: subprocess.Popen[str], seed: str, after_lines: int, then_s: float, ledger: Ledger) -> None:
    """Lets a writer make some changes, kills it a moment later, and notes all that it had said."""
    assert writers.stdin and writers.stdout
    writers.stdin.write(seed + "\n")
    writers.stdin.flush()
    pid = int(writers.stdout.readline().removeprefix("pid "))
    lines = 0
    while not (line := writers.stdout.readline()).startswith("gone"):
        ledger.note(*json.loads(line))
        lines += 1
        if lines == after_lines:
            time.sleep(then_s)
            os.kill(pid, signal.SIGKILL)
    assert line.split() == ["gone", str(-signal.SIGKILL)], "the writer failed by itself"


def check(folder: Path, ledger: Ledger) -> None:
    library = Library(folder)
    try:
        voices = {voice.id: voice for voice in library.voices.all()}
        takes = {take.id: take for page in library.history._pages(Wanted()) for take in page}
        here = {
            "voice": set(voices),
            "take": set(takes),
            "preset": {preset.id for preset in library.presets.all()},
            "term": {term.term for term in library.glossary.all()},
        }
        for kind, names in ledger.done.items():
            assert names - ledger.going <= here[kind], f"a {kind} that was reported as kept is gone"
            assert not here[kind] & ledger.removed, f"a {kind} that was removed is back"
        assert all(takes[name].starred for name in ledger.starred & here["take"])
        for take in takes.values():
            assert library.history.path(take).read_bytes() == sound_of(take.id)
        for voice in voices.values():
            assert library.voices.path(voice).stat().st_size == voice.size_bytes
        assert {path.name for path in (folder / "takes").iterdir()} == {take.file for take in takes.values()}
        assert {path.name for path in (folder / "voices").iterdir()} == {voice.file for voice in voices.values()}
        assert list(library.parts.iterdir()) == []
    finally:
        library.close()
    with sqlite3.connect(folder / FILE_NAME) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT COUNT(*) FROM pending_files").fetchone() == (0,)
    connection.close()


def test_a_library_survives_kill_9_at_any_moment(writers: subprocess.Popen[str], tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    ledger = Ledger()
    for number in range(ROUNDS):
        write_and_die(writers, f"{seed}.{number}", draw.randint(1, 12), draw.uniform(0, 0.03), ledger)
        check(tmp_path / "library", ledger)
    assert all(len(names) > 5 for names in ledger.done.values())
