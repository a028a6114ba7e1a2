"""Checks of what runs: the port, what an earlier run left, and the start with the machine."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from launcher.cache.layout import instance_paths
from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed
from launcher.process.runfile import RunFile

#: Where a start with the machine or the login may be noted, by the system; ``~`` is the user's folder.
AUTOSTART_FOLDERS = {
    "linux": (
        "~/.config/systemd/user",
        "/etc/systemd/system",
        "/etc/systemd/user",
        "~/.config/autostart",
    ),
    "darwin": ("~/Library/LaunchAgents", "/Library/LaunchAgents", "/Library/LaunchDaemons"),
    "win32": ("~/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup",),
}
_AUTOSTART_SUFFIXES = {".service", ".desktop", ".plist", ".bat", ".cmd", ".lnk"}
_OUR_WORDS = (b"tts-launcher", b"-m launcher", b"scripts/start", b"<string>launcher</string>")
_MAX_UNIT_BYTES = 65536


def _run_file(ground: Ground) -> RunFile:
    paths = instance_paths(ground.config)
    return RunFile(paths.run_file, paths.lock_file)


def check_port(ground: Ground) -> Finding:
    """The port is free, or our own instance holds it."""
    from launcher.process.identity import port_holder

    config, run_file = ground.config, _run_file(ground)
    record = run_file.read()
    if run_file.state() == "running" and record is not None:
        return Finding(
            "Port", OK, f"{record.port} on {record.host}, held by this instance (pid {record.supervisor_pid})"
        )
    if config.port == 0:
        return Finding("Port", OK, "a free one is taken at the start (LAUNCHER_PORT=auto)")
    holder = port_holder(config.host, config.port)
    if holder is None:
        return Finding("Port", OK, f"{config.port} on {config.host} is free")
    fix = "End that process, or choose another port: LAUNCHER_PORT=auto takes a free one."
    return Finding("Port", FAILED, f"{config.port} on {config.host} belongs to {holder.describe()}", fix)


def check_leftovers(ground: Ground) -> Finding:
    """Nothing of an earlier run is left: processes, or the run file of a crash."""
    from launcher.process.identity import find_leftovers

    config, run_file = ground.config, _run_file(ground)
    if run_file.state() == "running":
        return Finding("Leftovers", OK, f"instance {config.instance!r} runs; what it started belongs to it")
    record = run_file.read()
    found = find_leftovers(
        instance=config.instance, data_dir=str(config.data_dir), project_dirs=ground.project_dirs, record=record
    )
    if found.ours:
        fix = "Run: tts-launcher doctor --fix, which ends them; so does the next start."
        detail = f"of an earlier run: {listed([facts.describe() for facts, _ in found.ours], 2)}"
        return Finding("Leftovers", WARNING, detail, fix, lambda: _end(ground))
    if record is not None:
        fix = "Run: tts-launcher doctor --fix, which clears up; so does the next start."
        return Finding("Leftovers", WARNING, "the last run crashed and left its run file", fix, lambda: _end(ground))
    if found.alike:
        named = listed([f"{facts.describe()}: {verdict.reason}" for facts, verdict in found.alike], 2)
        return Finding("Leftovers", OK, f"none of ours; left alone: {named}")
    return Finding("Leftovers", OK, "none")


def _end(ground: Ground) -> str:
    """Ends what is ours and left over, as the next start would; holds the instance meanwhile."""
    from launcher.process.takeover import Claim, end_leftovers, remove_dead_sockets

    run_file = _run_file(ground)
    with run_file.lock():
        claim = Claim(ground.config.instance, str(ground.config.data_dir), ground.project_dirs, run_file.read())
        ended = end_leftovers(claim, lambda text: None)
        remove_dead_sockets(instance_paths(ground.config).runtime_dir)
        run_file.clear()
    return f"ended {ended} processes and cleared the run file"


def check_autostart(ground: Ground) -> Finding:
    """Whether something starts it with the machine, and whether what that runs is still there."""
    found = autostart_entries(
        [
            Path(os.path.expanduser(one))  # noqa: PTH111 - Path.expanduser raises without a home
            for one in AUTOSTART_FOLDERS.get(sys.platform, ())
        ]
    )
    if not found:
        return Finding("Autostart", OK, "not set up; it starts when you start it (or see: service install)")
    broken = [(path, program) for path in found if (program := _missing_program(path))]
    if broken:
        path, program = broken[0]
        fix = "Run: tts-launcher service install (writes it anew), or remove that entry."
        return Finding("Autostart", WARNING, f"{path} runs {program}, which is not there", fix)
    waits = [path for path in found if ".config/systemd/user" in path.as_posix()]
    if waits and not _lingers():
        fix = "Run: loginctl enable-linger (else it starts when you log in and ends when you log out)."
        return Finding("Autostart", WARNING, f"{waits[0]}, for your sessions only", fix)
    return Finding("Autostart", OK, listed([str(path) for path in found], 2))


def autostart_entries(folders: list[Path]) -> list[Path]:
    """The files in these folders that start a launcher."""
    found = []
    for folder in folders:
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix in _AUTOSTART_SUFFIXES)
        except OSError:
            continue
        for path in paths:
            try:
                with path.open("rb") as file:
                    text = file.read(_MAX_UNIT_BYTES).replace(b'"', b"")
            except OSError:
                continue
            if any(word in text for word in _OUR_WORDS):
                found.append(path)
    return found


def _missing_program(path: Path) -> str:
    """The absolute program of a systemd unit or desktop entry that is not there; empty when all is well."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() in ("ExecStart", "Exec"):
            try:
                words = shlex.split(value.strip().lstrip("-@:+!"))
            except ValueError:
                continue
            # systemd doubles its own signs.
            program = words[0].replace("%%", "%").replace("$$", "$") if words else ""
            if program.startswith("/") and not Path(program).exists():
                return program
    return ""


def _lingers() -> bool:
    """Whether systemd keeps this user's services without a session."""
    if os.name != "posix":
        return True
    import pwd

    return Path("/var/lib/systemd/linger", pwd.getpwuid(os.getuid()).pw_name).exists()
