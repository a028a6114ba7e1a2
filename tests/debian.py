"""Programs of Debian that tests run but nobody has to install: `scripts/test` unpacks them beside its environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

#: Where `scripts/test` unpacks packages.
UNPACKED = Path(sys.prefix) / "debian"
_FOLDERS = ("usr/bin", "usr/sbin")


def program(name: str) -> str:
    """Path of a program; skips the test where neither the system nor `scripts/test` has it."""
    places = [str(UNPACKED / folder) for folder in _FOLDERS]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join([*places, "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{name} is not here; scripts/test brings it on Debian and Ubuntu")
    return found
