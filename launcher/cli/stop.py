"""``stop``: ends a running instance, or all of them, and makes sure that they are gone."""

from __future__ import annotations

from typing import Any

import click

from launcher.cache.layout import instance_paths
from launcher.cli.amounts import Seconds
from launcher.cli.app import Context
from launcher.config import Config
from launcher.errors import LauncherError, NotRunningError, StopError
from launcher.process.instance import Stopped, stop_instance
from launcher.process.instances import find_instances
from launcher.process.runfile import RunFile


@click.command(name="stop", help="Stop a running instance: ask, terminate, kill; then check that all is gone.")
@click.option(
    "--grace",
    "grace_s",
    type=Seconds(0, 600),
    metavar="S",
    help="Seconds before it is killed (LAUNCHER_STOP_GRACE_S).",
)
@click.option("--all", "every", is_flag=True, help="Every instance of the data folder.")
@click.pass_obj
def command(context: Context, *, grace_s: float | None, every: bool) -> None:
    """Stops the instance."""
    config = context.load_config()
    grace_s = config.stop_grace_s if grace_s is None else grace_s
    if every:
        _stop_all(context, config, grace_s)
        return
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    stopped = stop_instance(run_file, config.instance, grace_s)
    context.output.result(_as_json(config.instance, stopped), _as_text(config.instance, stopped))


def _stop_all(context: Context, config: Config, grace_s: float) -> None:
    """Stops every instance that runs; one that will not stop does not save the others."""
    done: dict[str, Stopped] = {}
    failed: dict[str, LauncherError] = {}
    for each in find_instances(config.data_dir):
        if each.state != "running":
            continue
        try:
            done[each.name] = stop_instance(each.run_file, each.name, grace_s)
        except NotRunningError:  # it ended by itself meanwhile
            continue
        except LauncherError as error:
            failed[each.name] = error
    if not done and not failed:
        raise NotRunningError(f"No instance runs in {config.data_dir}.", fix="Start one with `tts-launcher start`.")
    if failed:
        raise StopError(" ".join(error.message for error in failed.values()), fix=next(iter(failed.values())).fix)
    context.output.result(
        {"instances": [_as_json(name, stopped) for name, stopped in done.items()]},
        "\n".join(_as_text(name, stopped) for name, stopped in done.items()),
    )


def _as_json(instance: str, stopped: Stopped) -> dict[str, Any]:
    return {"instance": instance, "state": "stopped", **stopped.to_json()}


def _as_text(instance: str, stopped: Stopped) -> str:
    manner = " (killed)" if stopped.forced else ""
    done = f"Instance {instance!r} stopped in {stopped.elapsed_s:.1f} s{manner}; its port is free."
    return " ".join([done, *(gpu.sentence() for gpu in stopped.gpus)])
