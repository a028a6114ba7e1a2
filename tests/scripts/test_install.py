"""`pip install .` into a clean environment brings everything: code, pages, pictures, console script."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
#: What is read at run time and so has to travel with the code.
DATA_SUFFIXES = {".html", ".js", ".css", ".json", ".svg", ".txt", ".tsv", ".png", ".ogg", ".toml"}


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _tracked() -> list[str]:
    """The files of the two packages that a clone has."""
    return _run("git", "ls-files", "launcher", "webui", cwd=ROOT).splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a clone, so that nothing untracked helps."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("git", "clone", "--quiet", ROOT, folder / "clone", cwd=folder)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, folder / "clone", cwd=folder)
    (built,) = folder.glob("tts_launcher-*.whl")
    return built


def test_the_wheel_holds_every_file_that_is_read_at_run_time(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in _tracked() if Path(name).suffix in {".py", *DATA_SUFFIXES}}
    assert wanted, "git names no files"
    assert not wanted - inside, "add these to [tool.setuptools.package-data] in pyproject.toml"
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_every_kind_of_file_is_known() -> None:
    unknown = {Path(name).suffix for name in _tracked()} - DATA_SUFFIXES - {".py", ".in"}  # locks are made from .in
    assert not unknown, f"add {unknown} to DATA_SUFFIXES here and to [tool.setuptools.package-data] in pyproject.toml"


def test_a_clean_environment_gets_a_working_command(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "clean", with_pip=True)
    programs = tmp_path / "clean" / ("Scripts" if os.name == "nt" else "bin")
    _run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)

    assert "0." in _run(programs / "tts-launcher", "--version", cwd=tmp_path)
    assert "start" in _run(programs / "tts-launcher", "--help", cwd=tmp_path)
    assert "start" in _run(programs / "python", "-m", "launcher", "--help", cwd=tmp_path)
    assert "LAUNCHER_PORT" in _run(programs / "tts-launcher", "--data-dir", tmp_path, "config", cwd=tmp_path)
    for module in ("webui.webui", "webui.app", "webui.engine.worker", "webui.engine.kokoro.engine", "webui.ui.page"):
        _run(programs / "python", "-c", f"import {module}", cwd=tmp_path)
    _run(programs / "python", "-m", "pip", "check", cwd=tmp_path)
