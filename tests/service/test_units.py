"""What a service's files say, judged by systemd's own tools where they are installed."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config import Config, load
from launcher.errors import ConfigError
from launcher.service import launchd, systemd, windows_task
from launcher.service.spec import STATE_FOLDER, ServiceSpec, make_spec

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")

AWKWARD = 'a b"c$HOME%n\\d;e'


@pytest.fixture
def spec(tmp_path: Path) -> ServiceSpec:
    return ServiceSpec(
        instance="studio",
        system=False,
        command=(sys.executable, "-m", "launcher", "start", "--env-file", f"/opt/{AWKWARD}/.env"),
        folder=tmp_path,
        data_dir=tmp_path / "data",
        environment={"PYTHONPATH": "/opt/tts", "LAUNCHER_DATA_DIR": f"/opt/{AWKWARD}"},
        listen="127.0.0.1:7860",
    )


def config_of(tmp_path: Path, **flags: str) -> Config:
    return load({"HOME": str(tmp_path)}, None, {"LAUNCHER_DATA_DIR": str(tmp_path), **flags})


def analyze(arguments: list[str], units: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    for name, text in units.items():
        (folder / name).write_text(text)
    return subprocess.run(
        ["systemd-analyze", *arguments, *(str(folder / name) for name in units)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_systemd
@pytest.mark.parametrize("system", [True, False])
def test_systemd_finds_nothing_wrong(spec: ServiceSpec, tmp_path: Path, system: bool) -> None:
    spec = replace(spec, system=system, user="daemon" if system else "")
    done = analyze(["verify"], dict(systemd.units(spec)), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_a_wrong_unit_would_be_noticed(spec: ServiceSpec, tmp_path: Path) -> None:
    broken = systemd.render_service(spec).replace("Type=notify", "Type=no-such-type")
    assert "no-such-type" in analyze(["verify"], {"broken.service": broken}, tmp_path).stderr


@needs_systemd
def test_the_machines_service_is_well_sandboxed(spec: ServiceSpec, tmp_path: Path) -> None:
    spec = replace(spec, system=True, user="daemon")
    units = {"hard.service": systemd.render_service(spec)}
    done = analyze(["security", "--offline=true", "--no-pager", "--threshold=20"], units, tmp_path)
    assert done.returncode == 0, done.stdout.splitlines()[-1]  # at most 2.0


def test_values_stay_what_they_are(spec: ServiceSpec) -> None:
    text = systemd.render_service(spec)
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert r'"/opt/a b\"c$$HOME%%n\\d;e/.env"' in command
    assert r'Environment="LAUNCHER_DATA_DIR=/opt/a b\"c$HOME%%n\\d;e"' in text
    assert "Requires=tts-launcher-studio.socket" in text
    assert "User=" not in text
    assert "CapabilityBoundingSet" not in text  # a user's manager may not


def test_a_machines_service_writes_into_its_own_state_folder_only(spec: ServiceSpec) -> None:
    own = systemd.render_service(replace(spec, system=True, user="tts", data_dir=STATE_FOLDER))
    assert "StateDirectory=tts-launcher\n" in own
    assert "ReadWritePaths" not in own
    assert "User=tts\n" in own
    elsewhere = systemd.render_service(replace(spec, system=True, user="tts"))
    assert f'ReadWritePaths="{spec.data_dir}"' in elsewhere
    assert "DeviceAllow=char-nvidia rw" in elsewhere


def test_home_folders_are_hidden_unless_something_lies_there() -> None:
    outside = ServiceSpec("x", True, ("/usr/bin/python3",), Path("/opt/x"), Path("/var/lib/x"), {}, "tts")
    assert "ProtectHome=yes" in systemd.render_service(outside)
    for inside in (replace(outside, folder=Path("/home") / "me"), replace(outside, reads=(Path("/root") / "x",))):
        assert "ProtectHome=read-only" in systemd.render_service(inside)


def test_launchd_restarts_after_a_crash_only(spec: ServiceSpec) -> None:
    ((name, text),) = launchd.jobs(spec).items()
    job = plistlib.loads(text.encode())
    assert name == "tts-launcher.studio.plist"
    assert job["ProgramArguments"] == list(spec.command)
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    assert job["EnvironmentVariables"] == spec.environment


def test_the_windows_task_runs_the_command(spec: ServiceSpec) -> None:
    task = ET.fromstring(windows_task.render_task(spec).partition("\n")[2])
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    arguments = task.findtext("t:Actions/t:Exec/t:Arguments", namespaces=space)
    assert arguments is not None
    assert 'set "PYTHONPATH=/opt/tts" && ' in arguments
    assert "-m launcher start" in arguments
    assert task.find("t:Triggers/t:LogonTrigger", namespaces=space) is not None
    assert task.findtext("t:Settings/t:ExecutionTimeLimit", namespaces=space) == "PT0S"


def test_the_service_finds_the_same_settings(tmp_path: Path) -> None:
    dotenv = tmp_path / "my settings" / ".env"
    dotenv.parent.mkdir()
    dotenv.write_text("LAUNCHER_TOKEN=0123456789abcdef0123\n")
    config = load({"HOME": str(tmp_path)}, dotenv, {"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_PORT": "7999"})
    made = make_spec(config, system=False, socket=True, user="")
    assert made.command[-2:] == ("--env-file", str(dotenv))
    assert made.environment["LAUNCHER_PORT"] == "7999"
    assert made.listen == "127.0.0.1:7999"
    assert "0123456789abcdef" not in "".join(systemd.units(made).values())


def test_what_does_not_suit_a_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a number"):
        make_spec(config_of(tmp_path, LAUNCHER_PORT="auto"), system=False, socket=True, user="")
    with pytest.raises(ConfigError, match="--run-as"):
        make_spec(config_of(tmp_path), system=True, socket=False, user="")
    with pytest.raises(ConfigError, match="not there yet"):
        make_spec(config_of(tmp_path / "none"), system=True, socket=False, user="tts")
    with pytest.raises(ConfigError, match=r"LAUNCHER_TOKEN.*must not hold it"):
        config = load({"LAUNCHER_TOKEN": "0123456789abcdef0123"}, None, {"LAUNCHER_DATA_DIR": str(tmp_path)})
        make_spec(config, system=False, socket=False, user="")


def test_an_apps_folder_is_writable_for_a_machines_service(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    data = tmp_path / "data"
    data.mkdir()
    flags = {"LAUNCHER_DATA_DIR": str(data), "LAUNCHER_APP": "index-tts"}
    found = make_spec(
        config_of(tmp_path, **flags, LAUNCHER_APP_DIR=str(clone)), system=True, socket=False, user="daemon"
    )
    text = systemd.render_service(found)
    assert f'ReadWritePaths="{clone}"' in text and "LAUNCHER_APP=index-tts" in text
    with pytest.raises(ConfigError, match="no folder yet"):
        make_spec(config_of(tmp_path, **flags), system=True, socket=False, user="daemon")
