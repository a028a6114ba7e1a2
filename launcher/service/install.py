"""Putting a service in place, taking it away, and saying what it does: the one seam between rendering and a system.

Invariants: a file that is there and differs is shown as a difference before it is replaced; a file is written whole or
not at all; every command that is run is named when it fails; what runs commands is passed in.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.config.home import require_home
from launcher.errors import LauncherError, StorageError
from launcher.service import launchd, systemd, windows_task
from launcher.service.spec import ServiceSpec

#: Runs a command and returns its exit code and what it printed.
Run = Callable[[Sequence[str]], tuple[int, str]]
_COMMAND_TIMEOUT_S = 120


class ServiceError(LauncherError):
    """The system's service manager is not there or refused."""

    exit_code = 9


@dataclass(frozen=True)
class Platform:
    """What a system offers for services.

    Attributes:
        kind: ``systemd``, ``launchd`` or ``task``.
        folder: where files of the service lie.
        run: runs a command.
    """

    kind: str
    folder: Path
    run: Run


@dataclass(frozen=True)
class PlannedFile:
    """One file of a service.

    Attributes:
        path: where it belongs.
        text: what it will say.
        difference: against what is there, as a unified diff; empty when nothing changes.
        new: nothing is there yet.
    """

    path: Path
    text: str
    difference: str
    new: bool


def this_platform(*, system: bool, environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Platform:
    """What this machine offers."""
    home = Path(environ.get("HOME") or require_home())
    if platform == "darwin":
        return Platform("launchd", launchd.job_folder(system=system, home=home), run_command)
    if platform == "win32":
        return Platform("task", Path(environ.get("LOCALAPPDATA", str(home))) / "tts-launcher" / "tasks", run_command)
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return Platform("systemd", systemd.unit_folder(system=system, config_home=config_home), run_command)


def run_command(arguments: Sequence[str]) -> tuple[int, str]:
    """Runs a command with no input; exit code 127 when there is none of that name."""
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"{arguments[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, f"it took longer than {_COMMAND_TIMEOUT_S} s"
    return done.returncode, done.stdout.strip()


def plan(spec: ServiceSpec, platform: Platform) -> list[PlannedFile]:
    """The files of the service and how they differ from what is there."""
    render = {"systemd": systemd.units, "launchd": launchd.jobs, "task": windows_task.tasks}[platform.kind]
    files: list[PlannedFile] = []
    for name, text in render(spec).items():
        path = platform.folder / name
        before = _read(path)
        lines = difflib.unified_diff(
            (before or "").splitlines(), text.splitlines(), f"{path} (now)", f"{path} (new)", lineterm=""
        )
        files.append(PlannedFile(path, text, "\n".join(lines), before is None))
    return files


def install(spec: ServiceSpec, platform: Platform, files: Sequence[PlannedFile], *, start: bool) -> None:
    """Writes the files and tells the service manager.

    Raises:
        StorageError: when a file cannot be written.
        ServiceError: when the service manager refuses; the files stay, so that the same command can be tried again.
    """
    for file in files:
        _write(file)
    for arguments in _install_commands(spec, platform, start=start):
        _must(platform.run, arguments)


def remove(spec: ServiceSpec, platform: Platform) -> list[Path]:
    """Stops the service, takes it out of the service manager, removes its files and returns them."""
    files = [file.path for file in plan(spec, platform) if file.path.exists()]
    stray = platform.folder / f"{spec.name}.socket"
    if platform.kind == "systemd" and stray.exists() and stray not in files:
        files.append(stray)
    if not files:
        return []
    for arguments in _remove_commands(spec, platform, files):
        platform.run(arguments)  # a service that is not loaded any more is as good as removed
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from None
    if platform.kind == "systemd":
        platform.run([*_systemctl(spec), "daemon-reload"])
    return files


def state(spec: ServiceSpec, platform: Platform) -> dict[str, object]:
    """Whether it is installed, as it should be, enabled and running."""
    files = plan(spec, platform)
    installed = [file for file in files if not file.new]
    found: dict[str, object] = {
        "name": spec.name,
        "kind": platform.kind,
        "files": [str(file.path) for file in installed],
        "installed": bool(installed),
        "up_to_date": bool(installed) and not any(file.difference for file in files),
        "active": "",
        "enabled": "",
    }
    if platform.kind == "systemd" and installed:
        for word in ("active", "enabled"):
            found[word] = platform.run([*_systemctl(spec), f"is-{word}", f"{spec.name}.service"])[1].split("\n")[0]
    return found


def log_command(spec: ServiceSpec, *, lines: int, follow: bool) -> list[str]:
    """The command that shows what systemd kept of the service's output."""
    scope = ["-u", spec.name] if spec.system else ["--user", "-u", spec.name]
    return ["journalctl", *scope, "-n", str(lines), *(["-f"] if follow else ["--no-pager"])]


def _install_commands(spec: ServiceSpec, platform: Platform, *, start: bool) -> list[list[str]]:
    now = ["--now"] if start else []
    if platform.kind == "systemd":
        unit = f"{spec.name}.socket" if spec.listen else f"{spec.name}.service"
        return [[*_systemctl(spec), "daemon-reload"], [*_systemctl(spec), "enable", *now, unit]]
    path = str(platform.folder / next(iter(plan(spec, platform))).path.name)
    if platform.kind == "launchd":
        return [["launchctl", "bootstrap", _launchd_domain(spec), path]]
    create = ["schtasks", "/Create", "/F", "/TN", spec.name, "/XML", path]
    return [create, *([["schtasks", "/Run", "/TN", spec.name]] if start else [])]


def _remove_commands(spec: ServiceSpec, platform: Platform, files: Sequence[Path]) -> list[list[str]]:
    if platform.kind == "systemd":
        return [[*_systemctl(spec), "disable", "--now", *(path.name for path in files)]]
    if platform.kind == "launchd":
        return [["launchctl", "bootout", f"{_launchd_domain(spec)}/{launchd.label(spec)}"]]
    return [["schtasks", "/End", "/TN", spec.name], ["schtasks", "/Delete", "/F", "/TN", spec.name]]


def _systemctl(spec: ServiceSpec) -> list[str]:
    return ["systemctl"] if spec.system else ["systemctl", "--user"]


def _launchd_domain(spec: ServiceSpec) -> str:
    return "system" if spec.system else f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"


def _must(run: Run, arguments: Sequence[str]) -> None:
    code, said = run(arguments)
    if code:
        shown = " ".join(arguments)
        reason = said.splitlines()[-1].rstrip(".") if said else f"exit code {code}"
        raise ServiceError(
            f"`{shown}` failed: {reason}.",
            fix="The unit files are written; when the service manager runs, give the same command again.",
        )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding=_encoding(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError):
        return ""


def _write(file: PlannedFile) -> None:
    temporary = ""
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.path.parent, prefix=f".{file.path.name}.")
        with os.fdopen(descriptor, "w", encoding=_encoding(file.path), newline="\n") as sink:
            sink.write(file.text)
        os.chmod(temporary, 0o644)
        Path(temporary).replace(file.path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise _unwritable(file.path, error) from None


def _encoding(path: Path) -> str:
    return "utf-16" if path.suffix == ".xml" else "utf-8"


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be changed: {(error.strerror or str(error)).lower()}.",
        fix="Use --user, or call this with the rights of that folder's owner (sudo).",
    )
