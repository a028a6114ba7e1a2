"""All checks at once: in threads, each with its own failure, in the order of the screen.

Invariants: a check that fails unexpectedly is a failed line and nothing more; nothing is changed unless `repair` is
called.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from launcher.config import Config
from launcher.doctor import disks, graphics, machine, network, processes, software, speech
from launcher.doctor.finding import FAILED, OK, WARNING, Check, Finding, Ground
from launcher.errors import ConfigError, LauncherError

#: Mostly waiting for the disk and the system; more threads than this gain nothing.
_THREADS = 8

#: By the name of the line, in the order of the screen.
CHECKS: dict[str, Check] = {
    "Python": software.check_python,
    "Packages": software.check_packages,
    "Engine": speech.check_engine,
    "Weights": speech.check_weights,
    "GPU": graphics.check_gpu,
    "Driver": graphics.check_driver,
    "VRAM": graphics.check_vram,
    "Caches": disks.check_pinned,
    "Persistence": disks.check_persistent,
    "Free space": disks.check_free_space,
    "Disk": disks.check_disk_kind,
    "Port": processes.check_port,
    "Leftovers": processes.check_leftovers,
    "Autostart": processes.check_autostart,
    "Logs": disks.check_logs,
    "Clock": machine.check_clock,
    "File limits": machine.check_open_files,
    "ffmpeg": machine.check_ffmpeg,
}


def settings_finding(config: Config, error: ConfigError | None) -> Finding:
    """The line about the settings themselves.

    Args:
        config: as it was read.
        error: why it could not be; then ``config`` holds the defaults.
    """
    if error is not None:
        return Finding("Settings", FAILED, error.message, error.fix or "See: tts-launcher config")
    where = str(config.dotenv_path) if config.dotenv_path else "no .env; the environment and the defaults"
    if config.warnings:
        return Finding("Settings", WARNING, config.warnings[0], "See: tts-launcher config")
    return Finding("Settings", OK, where)


def examine(ground: Ground, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Runs every check and returns its finding, in the order of the table; mirrors and time come last."""
    chosen = CHECKS if checks is None else checks
    with ThreadPoolExecutor(_THREADS + 1) as pool:
        asked = pool.submit(network.check_mirrors, ground)
        waiting = [pool.submit(_look, name, check, ground) for name, check in chosen.items()]
        findings = [one.result() for one in waiting]
        try:
            return [*findings, *asked.result()]
        except LauncherError as error:
            return [*findings, Finding("Mirrors", FAILED, error.message, error.fix)]


def look_at(ground: Ground, checks: dict[str, Check]) -> list[Finding]:
    """Runs these checks one after the other and returns their findings."""
    return [_look(name, check, ground) for name, check in checks.items()]


def _look(name: str, check: Check, ground: Ground) -> Finding:
    try:
        return check(ground)
    except LauncherError as error:
        return Finding(name, FAILED, error.message, error.fix)
    except Exception as error:  # noqa: BLE001 - one odd machine must not take the whole checklist away
        what = f"cannot be checked: {type(error).__name__}: {error}"
        return Finding(name, WARNING, what, "Please report this line.")


def repair(findings: Sequence[Finding], ground: Ground) -> list[tuple[Finding, str]]:
    """Mends what can be mended safely.

    Args:
        findings: of `examine`.
        ground: as it got it.

    Returns:
        Each finding that had a repair, as it is afterwards, and what was done or why it was not.
    """
    done: list[tuple[Finding, str]] = []
    for finding in findings:
        if finding.repair is None:
            continue
        try:
            told = finding.repair()
        except (LauncherError, OSError) as error:
            done.append((finding, f"not mended: {error}"))
            continue
        check = CHECKS.get(finding.check)
        after = _look(finding.check, check, ground) if check else replace(finding, state=OK)
        done.append((after, told))
    return done
