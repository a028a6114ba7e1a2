"""Wheels made of what is installed: installable without an index, and the same files again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from launcher.bundle import first_step
from launcher.bundle.environment import make_environment
from launcher.bundle.install import Installer, open_bundle
from launcher.bundle.make import Piece, pack_wheels, write
from launcher.bundle.wheels import installed_in, make_wheel, needed, normal, own_wheel
from launcher.config import Config, load
from launcher.engines.environments import STAMP, engine_dir, installed
from launcher.engines.uv import find_uv
from launcher.errors import EngineError

ROOT = Path(__file__).parents[2]


def config(folder: Path) -> Config:
    (folder / "empty.env").touch()
    return load({"LAUNCHER_DATA_DIR": str(folder / "data")}, folder / "empty.env", {})


def virtual_environment(folder: Path, *packages: Path) -> Path:
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    subprocess.run([find_uv(), "venv", "--quiet", "--offline", "--python", sys.executable, folder], check=True)
    for path in packages:
        command = [
            find_uv(),
            "pip",
            "install",
            "--quiet",
            "--offline",
            "--no-index",
            "--no-deps",
            "--python",
            python,
            path,
        ]
        subprocess.run(command, check=True)
    return python


def imported(python: Path, script: str) -> str:
    done = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_package_goes_round(tmp_path: Path) -> None:
    wheel = make_wheel(metadata.distribution("click"), tmp_path, pytest.fail)
    assert make_wheel(metadata.distribution("click"), tmp_path, pytest.fail).read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names[-1].endswith("RECORD") and not [name for name in names if name.endswith((".pyc", "INSTALLER"))]
    python = virtual_environment(tmp_path / "venv", wheel)
    assert imported(python, "import click; print(click.__file__)").startswith(str(tmp_path / "venv"))
    (again,) = [one for one in installed_in(python) if normal(one.metadata["Name"]) == "click"]
    for file in again.files or ():
        Path(str(again.locate_file(file))).chmod(0o600)  # as somebody careful installs it
    assert make_wheel(again, tmp_path / "venv", pytest.fail).read_bytes() == wheel.read_bytes()


def test_binaries_scripts_and_changed_files(tmp_path: Path) -> None:
    wheel = make_wheel(metadata.distribution("numpy"), tmp_path, lambda text: None)
    assert wheel.name.split("-")[2].startswith("cp") and wheel.stat().st_size > 5_000_000
    click = make_wheel(metadata.distribution("click"), tmp_path, pytest.fail)
    python = virtual_environment(tmp_path / "venv", click)
    (found,) = installed_in(python)
    source = Path(str(found.locate_file("click/core.py")))
    source.write_text(source.read_text() + "# mine\n")
    told: list[str] = []
    with zipfile.ZipFile(make_wheel(found, tmp_path / "venv", told.append)) as archive:
        assert archive.read("click/core.py").endswith(b"# mine\n")
    assert len(told) == 1 and "core.py was changed" in told[0]


def test_what_is_needed_is_followed(tmp_path: Path) -> None:
    found = needed(["huggingface_hub>=1", "never-there; python_version < '3'"])
    assert {"huggingface-hub", "filelock", "packaging"} <= set(found) and "pytest" not in found
    with pytest.raises(EngineError, match="never-there"):
        needed(["never-there"])


def test_the_launcher_itself(tmp_path: Path) -> None:
    wheel = own_wheel(ROOT, tmp_path, pytest.fail)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "launcher/__main__.py",
        "launcher/bundle/first_step.py",
        "launcher/hub/catalog.json",
        "webui/webui.py",
    } <= names
    assert list(tmp_path.iterdir()) == [wheel]


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one Python that is sure to be found is this one."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))


@pytest.mark.usefixtures("empty_path")
def test_an_engine_moves_to_another_machine(tmp_path: Path) -> None:
    """An installed engine's packages become wheels, a bundle, and an installed engine elsewhere; no network."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    source, target = config(here), config(there)
    folder = engine_dir(source, "indextts2")
    folder.mkdir(parents=True)
    click = make_wheel(metadata.distribution("click"), here, pytest.fail)
    virtual_environment(folder / "env-1", click)
    stamp = {
        "folder": "env-1",
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "versions": {"click": metadata.version("click")},
        "build": "cpu",
        "lock_digest": "d",
        "checked": True,
        "installed_at": 1.0,
    }
    (folder / STAMP).write_text(json.dumps(stamp))
    environments, pieces = pack_wheels(
        source, ["kokoro", "indextts2"], ROOT, here, requirements=["click"], note=lambda text: None
    )
    assert [one.name for one in environments] == ["launcher", "indextts2"]
    pieces["install.py"] = Piece(Path(first_step.__file__).read_bytes())
    made = write(
        tmp_path / "x.bundle", "x", models=[], environments=environments, pieces=pieces, watch=lambda done, total: None
    )
    placed = Installer(open_bundle(made.path), there / "hub", target.data_dir, lambda done, total: None).install()
    assert not (placed.folder / "wheels" / "launcher").exists(), "whoever installs has the launcher already"
    wheels = sorted((placed.folder / "wheels" / "indextts2").glob("*.whl"))
    python = make_environment(target, placed.manifest.environments[1], wheels, lambda progress: None)
    found = installed(target, "indextts2")
    assert found is not None and found.python == python and found.checked and found.installed_at > time.time() - 600
    assert imported(python, "import click; print(click.__file__)").startswith(str(there))

    other = placed.manifest.environments[1].__class__("indextts2", "3.11", "other-system")
    with pytest.raises(EngineError, match="other-system"):
        make_environment(target, other, wheels, lambda progress: None)

    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    first_step.unpack(made.path, unpacked)
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {"tts_launcher", "click"}
    data = bytearray(made.path.read_bytes())
    data[data.index(b"wheels/launcher/click") + 5000] ^= 1
    made.path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        first_step.unpack(made.path, unpacked)
