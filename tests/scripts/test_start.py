"""scripts/start makes its environment once, whatever happened before: run for real on a project of three files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the bash scripts"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
#: Long enough for a slow package index.
WAIT_S = 300

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "small-project"
version = "1"
[project.scripts]
tts-launcher = "launcher.__main__:main"
[tool.setuptools]
packages = ["launcher"]
package-dir = { "" = "." }
"""
MAIN = """import sys
def main():
    print("started with", sys.argv[1:])
"""


def _setuptools_lock() -> str:
    """The one entry of the real lock that building a project needs."""
    lock = (ROOT / "locks" / "start.txt").read_text(encoding="utf-8")
    found = re.search(r"(?m)^setuptools==.*(\n\s+--hash.*)+\n", lock)
    assert found
    return found.group()


def _make_project(root: Path) -> Path:
    for folder in ("scripts", "locks", "launcher"):
        (root / folder).mkdir(parents=True)
    for name in ("start", "environment.sh"):
        shutil.copy2(ROOT / "scripts" / name, root / "scripts" / name)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "locks" / "start.txt").write_text(_setuptools_lock())
    (root / "launcher" / "__init__.py").touch()
    (root / "launcher" / "__main__.py").write_text(MAIN)
    return root


def _environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHON": sys.executable, **changes}


def _start(project: Path, *arguments: str, cwd: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "scripts" / "start", *arguments],
        cwd=cwd or project.parent,
        env=_environment(**changes),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in a folder whose name has a space, started once."""
    root = _make_project(tmp_path_factory.mktemp("start") / "a project")
    first = _start(root, "--port", "7861", cwd=Path("/"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == "started with ['start', '--port', '7861']\n"
    assert "Making" in first.stderr
    assert "setuptools==" in first.stderr
    return root


def test_the_second_run_only_starts(project: Path) -> None:
    second = _start(project, "two words")
    assert (second.stdout, second.stderr) == ("started with ['start', 'two words']\n", "")


def test_a_changed_lock_is_installed(project: Path) -> None:
    lock = project / "locks" / "start.txt"
    lock.write_text("# newer\n" + lock.read_text())
    assert "Installing packages" in _start(project).stderr
    assert _start(project).stderr == ""


def test_a_broken_environment_is_made_again(project: Path) -> None:
    (project / ".venv" / "bin" / "python").unlink()
    mended = _start(project)
    assert mended.stdout == "started with ['start']\n", mended.stderr
    assert "Making" in mended.stderr


def test_a_moved_folder_is_noticed(project: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved here"
    shutil.copytree(project, moved, symlinks=True)
    (moved / "launcher" / "__main__.py").write_text(MAIN.replace("started", "moved"))
    assert _start(moved, cwd=Path("/")).stdout == "moved with ['start']\n"


def test_a_launcher_folder_in_the_current_directory_does_no_harm(project: Path, tmp_path: Path) -> None:
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "__main__.py").write_text("raise SystemExit('somebody else')")
    assert _start(project, cwd=tmp_path).stdout == "started with ['start']\n"
    assert _start(project, cwd=tmp_path, PYTHONPATH=str(tmp_path)).stdout == "started with ['start']\n"


def test_an_interrupted_installation_is_taken_up_again(tmp_path: Path) -> None:
    project = _make_project(tmp_path / "project")
    running = subprocess.Popen(
        [project / "scripts" / "start"],
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("Installing packages"):
            break
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    running.stderr.close()
    assert (project / ".venv.lock").exists(), "it was not killed in the middle"

    again = _start(project)
    assert again.stdout == "started with ['start']\n", again.stderr
    assert not (project / ".venv.lock").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    project = _make_project(tmp_path / "project")
    (project / ".venv.lock").mkdir()  # as good as read-only, for every user
    done = _start(project)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("Could not write")


def test_two_first_starts_do_not_disturb_each_other(tmp_path: Path) -> None:
    project = _make_project(tmp_path / "project")
    both = [
        subprocess.Popen(
            [project / "scripts" / "start"],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=WAIT_S) for process in both]
    assert [output for output, _ in outputs] == ["started with ['start']\n"] * 2, outputs
    assert sum("Making" in errors for _, errors in outputs) == 1
    assert sum("Waiting for process" in errors for _, errors in outputs) == 1


def test_an_index_out_of_reach_gets_one_sentence(tmp_path: Path) -> None:
    project = _make_project(tmp_path / "project")
    lock = project / "locks" / "start.txt"
    lock.write_text(f"tts-launcher-has-no-such-package==1 --hash=sha256:{'0' * 64}\n")
    failed = _start(project, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert failed.returncode == 1
    assert "name a mirror, for example: PIP_INDEX_URL=https://" in failed.stderr
    assert "started" not in failed.stdout


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 3.9", "is Python 3.9: it must be Python 3.10, 3.11, 3.12 or 3.13."),
        ("exit 1", "is not a Python interpreter"),
        ('case "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac', "Python 3.12 lacks its venv module: install it"),
    ],
)
def test_an_unusable_python_gets_one_sentence(tmp_path: Path, script: str, sentence: str) -> None:
    project = _make_project(tmp_path / "project")
    python = tmp_path / "python-for-test"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    failed = _start(project, PYTHON=str(python))
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not (project / ".venv.lock").exists()


def test_a_path_without_python_gets_one_sentence(tmp_path: Path) -> None:
    project = _make_project(tmp_path / "project")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env", "cat", "cmp", "rm"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    failed = _start(project, PATH=str(tools), PYTHON="")
    assert failed.returncode == 1
    assert failed.stderr.startswith("No Python 3.10 to 3.13 was found on PATH")
