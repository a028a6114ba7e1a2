"""``doctor``: the whole checklist on one screen, each line with its fix.

Invariant: the exit code is 0 when all is well, 1 when something may surprise, 2 when something will not work.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli.app import Context
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.doctor import Finding

_HELP = """Check everything that a start needs, and say what to do about what is not well.

Exit code: 0 all is well, 1 something may surprise, 2 something will not work.
"""
_MARKS = {"ok": "ok", "warning": "WARN", "failed": "FAIL"}
_NAME_WIDTH = 12
_INDENT = 2 + 4 + 2 + _NAME_WIDTH + 1


@click.command(name="doctor", help=_HELP)
@click.option("--fix", "mend", is_flag=True, help="Mend what is safe: folders, leftovers of a crash, surplus logs.")
@click.option("--offline", is_flag=True, help="Ask no mirror.")
@click.pass_obj
def command(context: Context, *, mend: bool, offline: bool) -> int:
    """Examines, mends when asked to, prints; returns the exit code."""
    from launcher.apps import project_dirs
    from launcher.doctor import Ground, exit_code
    from launcher.doctor.examination import examine, repair, settings_finding

    began = time.monotonic()
    config, error = settings_or_defaults(context)
    ground = Ground(config, not offline and not config.is_offline, project_dirs(), Path(__file__).resolve().parents[2])
    findings = [settings_finding(config, error), *examine(ground)]
    mended = repair(findings, ground) if mend else []
    after = {finding.check: finding for finding, _ in mended}
    findings = [after.get(finding.check, finding) for finding in findings]
    seconds = time.monotonic() - began
    told = {finding.check: text for finding, text in mended}
    context.output.result(
        {
            "instance": config.instance,
            "state": max(findings, key=lambda one: exit_code([one])).state,
            "findings": [{**one.to_json(), "mended": told.get(one.check, "")} for one in findings],
            "seconds": round(seconds, 3),
        },
        lambda: screen(config, findings, told, seconds),
    )
    return exit_code(findings)


def settings_or_defaults(context: Context) -> tuple[Config, ConfigError | None]:
    """The settings; when they are wrong, the defaults (with the flags, if those are right) and the reason."""
    from launcher.config import load

    try:
        return context.load_config(), None
    except ConfigError as error:
        reason = error
    for flags in (context.flags, {}):
        with contextlib.suppress(ConfigError):
            return load({}, Path(os.devnull), flags), reason
    raise reason


def screen(config: Config, findings: Sequence[Finding], told: dict[str, str], seconds: float | None) -> str:
    """The findings for a person.

    Args:
        config: the settings.
        findings: in the order of the screen.
        told: what was mended, by the name of the check.
        seconds: how long it took; ``None`` leaves that out.
    """
    lines = [f"Instance {config.instance}, {config.data_dir}", ""]
    for one in findings:
        lines += _wrapped(f"  {_MARKS[one.state]:<4}  {one.check:<{_NAME_WIDTH}} ", one.detail)
        if told.get(one.check):
            lines += _wrapped(" " * _INDENT, f"mended: {told[one.check]}")
        if one.fix:
            lines += _wrapped(" " * _INDENT, f"-> {one.fix}")
    counts = {state: sum(one.state == state for one in findings) for state in _MARKS}
    lines += ["", _verdict(counts, seconds)]
    if not told and any(one.repair and one.state != "ok" for one in findings):
        lines.append("Some of this mends itself: tts-launcher doctor --fix")
    return "\n".join(lines)


def _wrapped(head: str, text: str) -> list[str]:
    """A text behind ``head``, in as many lines as the terminal's width asks for; paths stay whole."""
    from shutil import get_terminal_size
    from textwrap import wrap

    room = max(get_terminal_size((120, 24)).columns - _INDENT, 40)
    first, *others = wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [head + first, *(" " * _INDENT + line for line in others)]


def _verdict(counts: dict[str, int], seconds: float | None) -> str:
    failed, warnings = counts["failed"], counts["warning"]
    took = "" if seconds is None else f" ({seconds:.1f} s)"
    if not failed and not warnings:
        return f"All {counts['ok']} checks are well{took}."
    parts = [f"{failed} failed"] * bool(failed) + [f"{warnings} to look at"] * bool(warnings)
    return f"{', '.join(parts)}, {counts['ok']} well{took}."
