"""An interpreter that has the engines' packages, and the tiny checkpoints made by it.

The interpreter: ``ENGINE_TEST_PYTHON``, or ``.venv-engine`` as scripts/test makes it; without one, what needs it is
skipped with the reason.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.indextts.process import ROOT, quiet_environment

#: Run by the engines' interpreter, through `test_conformance`.
collect_ignore = ["inside"]


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """An interpreter that can import both packages."""
    named = os.environ.get("ENGINE_TEST_PYTHON")
    python = Path(named) if named else ROOT / ".venv-engine" / "bin" / "python"
    program = "import importlib.util as u, sys; sys.exit(not (u.find_spec('indextts') and u.find_spec('indextts25')))"
    if not python.exists() or subprocess.run([python, "-c", program], check=False).returncode:
        pytest.skip(f"{python} has not the engines' packages (scripts/test makes it where an index serves CPU torch)")
    return python


@pytest.fixture(scope="session")
def tiny_hub(engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hub cache with the tiny models."""
    folder = tmp_path_factory.mktemp("tiny") / "hub"
    maker = Path(__file__).parent / "make_tiny.py"
    done = subprocess.run(
        [engine_python, maker, folder], env=quiet_environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that several processes use one after another, so that grammars are built once."""
    return tmp_path_factory.mktemp("cache")
