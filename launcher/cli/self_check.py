"""``self-check``: what an update of the launcher left to be done; asks no network and changes nothing.

Invariant: the exit code is 0 when all is up to date, 1 when something is not, 2 when something will not work.
"""

from __future__ import annotations

from pathlib import Path

import click

from launcher.cli.app import Context
from launcher.cli.doctor import screen, settings_or_defaults

_HELP = """Say what an update left to be done: packages, engines, settings, weights, a running instance.

Asks no network. Settings that are new are told once. Exit code: 0 all is up to date, 1 something is not, 2 something
will not work.
"""


@click.command(name="self-check", help=_HELP)
@click.pass_obj
def command(context: Context) -> int:
    """Compares, prints; returns the exit code."""
    from launcher.apps import project_dirs
    from launcher.doctor import Ground, exit_code
    from launcher.doctor.examination import look_at, settings_finding
    from launcher.doctor.update import CHECKS, note_seen

    config, error = settings_or_defaults(context)
    ground = Ground(config, False, project_dirs(), Path(__file__).resolve().parents[2])
    findings = [settings_finding(config, error), *look_at(ground, CHECKS)]
    context.output.result(
        {
            "state": max(findings, key=lambda one: exit_code([one])).state,
            "findings": [one.to_json() for one in findings],
        },
        lambda: screen(config, findings, {}, None),
    )
    if error is None and Path(config.data_dir).is_dir():
        note_seen(config.data_dir)
    return exit_code(findings)
