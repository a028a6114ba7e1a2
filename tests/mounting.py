"""File systems of a test's own, on systems that let us mount them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def mount(*arguments: str) -> None:
    """Mounts, as the command of that name does."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")


@contextlib.contextmanager
def place_for_a_mount(folder: Path) -> Iterator[Path]:
    """A folder to mount something at, which is gone afterwards."""
    if not sys.platform.startswith("linux") or os.getuid() or shutil.which("mount") is None:
        pytest.skip("only root of a Linux system may mount")
    place = folder / "mounted"
    place.mkdir()
    try:
        yield place
    finally:
        # os.path.ismount does not see a bind mount of the same disk. Lazily: a test that failed holds files open.
        written = str(place).replace("\\", "\\134").replace(" ", "\\040")  # as the kernel writes a path there
        while f" {written} " in Path("/proc/self/mountinfo").read_text(encoding="utf-8"):
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Writes into ``file`` until its disk has not a byte left."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        for size in (65_536, 1):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"\0" * size)
