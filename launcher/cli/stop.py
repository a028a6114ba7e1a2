"""``stop``: ends a running instance and makes sure that it is gone."""

from __future__ import annotations

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.process.instance import stop_instance
from launcher.process.runfile import RunFile


@click.command(name="stop", help="Stop a running instance: ask, terminate, kill; then check that all is gone.")
@click.option("--grace", "grace_s", type=click.FloatRange(0, 600), metavar="S", help="Seconds before it is killed.")
@click.pass_obj
def command(context: Context, grace_s: float | None) -> None:
    """Stops the instance."""
    config = context.load_config()
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    stopped = stop_instance(run_file, config.instance, config.stop_grace_s if grace_s is None else grace_s)
    manner = " (killed)" if stopped.forced else ""
    context.output.result(
        {"instance": config.instance, "state": "stopped", **stopped.to_json()},
        f"Instance {config.instance!r} stopped in {stopped.elapsed_s:.1f} s{manner}; its port is free.",
    )
