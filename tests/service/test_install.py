"""Installing and removing a service: real files, and a service manager that writes down what it was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import StorageError
from launcher.service.install import Platform, ServiceError, install, plan, remove, run_command, state
from launcher.service.spec import ServiceSpec

ROOT = Path(__file__).resolve().parents[2]


class WritingSystem:
    """Answers like a service manager and keeps what it was told."""

    def __init__(self, *, refuses: str = "") -> None:
        self.told: list[str] = []
        self._refuses = refuses

    def __call__(self, arguments: Sequence[str]) -> tuple[int, str]:
        self.told.append(" ".join(arguments))
        if self._refuses and self._refuses in arguments:
            return 1, "Failed to connect to bus"
        return 0, "active" if "is-active" in arguments else "enabled"


@pytest.fixture
def spec(tmp_path: Path) -> ServiceSpec:
    return ServiceSpec("default", False, ("/usr/bin/python3", "-m", "launcher"), tmp_path, tmp_path / "data")


@pytest.fixture
def told_system() -> WritingSystem:
    return WritingSystem()


@pytest.fixture
def platform(tmp_path: Path, told_system: WritingSystem) -> Platform:
    return Platform("systemd", tmp_path / "units", told_system)


def test_install_status_and_removal(spec: ServiceSpec, platform: Platform, told_system: WritingSystem) -> None:
    assert state(spec, platform)["installed"] is False
    install(spec, platform, plan(spec, platform), start=True)
    assert (platform.folder / "tts-launcher.service").is_file()
    assert told_system.told == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now tts-launcher.service",
    ]
    found = state(spec, platform)
    assert (found["up_to_date"], found["active"], found["enabled"]) == (True, "active", "enabled")
    assert not [file for file in plan(spec, platform) if file.difference]
    assert remove(spec, platform) == [platform.folder / "tts-launcher.service"]
    assert not list(platform.folder.iterdir())
    assert "systemctl --user disable --now tts-launcher.service" in told_system.told
    assert remove(spec, platform) == []


def test_a_unit_that_somebody_changed_is_shown_as_a_difference(spec: ServiceSpec, platform: Platform) -> None:
    install(spec, platform, plan(spec, platform), start=False)
    unit = platform.folder / "tts-launcher.service"
    unit.write_text(unit.read_text().replace("RestartSec=2", "RestartSec=9"))
    (file,) = plan(spec, platform)
    assert "-RestartSec=9" in file.difference
    assert "+RestartSec=2" in file.difference
    assert state(spec, platform)["up_to_date"] is False


def test_a_refusal_names_the_command(spec: ServiceSpec, tmp_path: Path) -> None:
    platform = Platform("systemd", tmp_path / "units", WritingSystem(refuses="daemon-reload"))
    with pytest.raises(
        ServiceError, match="`systemctl --user daemon-reload` failed: Failed to connect to bus"
    ) as caught:
        install(spec, platform, plan(spec, platform), start=True)
    assert "same command again" in caught.value.fix


def test_a_folder_that_cannot_be_written(spec: ServiceSpec, tmp_path: Path, told_system: WritingSystem) -> None:
    (tmp_path / "file").write_text("")
    platform = Platform("systemd", tmp_path / "file" / "units", told_system)
    with pytest.raises(StorageError, match="cannot be changed"):
        install(spec, platform, plan(spec, platform), start=True)
    assert told_system.told == []


@pytest.mark.parametrize(("kind", "name"), [("launchd", "launchctl"), ("task", "schtasks")])
def test_other_systems(spec: ServiceSpec, tmp_path: Path, told_system: WritingSystem, kind: str, name: str) -> None:
    platform = Platform(kind, tmp_path / "jobs", told_system)
    install(spec, platform, plan(spec, platform), start=True)
    assert len(list(platform.folder.iterdir())) == 1
    assert all(told.startswith(name) for told in told_system.told)
    assert state(spec, platform)["up_to_date"] is True
    remove(spec, platform)
    assert not list(platform.folder.iterdir())


def test_a_missing_program_is_an_exit_code(tmp_path: Path) -> None:
    assert run_command(["no-such-program-here"])[0] == 127
    assert run_command([sys.executable, "-c", "print('said'); raise SystemExit(3)"]) == (3, "said")


def command_line(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "LAUNCHER_DATA_DIR": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "service", *arguments, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_command_line(tmp_path: Path) -> None:
    code, answer = command_line(tmp_path, "status")
    assert (code, answer["installed"]) == (4, False)
    code, answer = command_line(tmp_path, "install", "--print")
    path = tmp_path / "config" / "systemd" / "user" / "tts-launcher.service"
    assert code == 0
    assert list(answer["files"]) == [str(path)]
    assert not path.exists()
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")
    code, answer = command_line(tmp_path, "install")
    assert code == 9
    assert "differs" in answer["error"]["message"]
    assert path.read_text() == "[Service]\nExecStart=/bin/true\n"
    code, answer = command_line(tmp_path, "install", "--system")
    assert code == 2
    assert "--run-as" in answer["error"]["fix"]
