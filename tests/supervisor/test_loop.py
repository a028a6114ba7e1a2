"""The loop's end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.supervisor.runner import ROOT


def test_a_signal_after_the_end_is_written_nowhere(tmp_path: Path) -> None:
    """A second Ctrl-C while the process goes: the descriptor that woke the loop may be a file's by then."""
    code = (
        "import os, signal, sys\n"
        "from launcher.process.loop import Loop\n"
        "loop = Loop()\n"
        "loop.wake_by_signals()\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: None)\n"
        "loop.close()\n"
        "files = [open(f'{sys.argv[1]}/{number}', 'wb') for number in range(8)]\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b""}
