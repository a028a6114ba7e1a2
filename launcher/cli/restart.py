"""``restart``: starts the page, the engine or both anew; the port keeps answering."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.cli.waiting import POLL_S, wait_options
from launcher.errors import ConfigError, StartError
from launcher.process.instance import ask, require_running
from launcher.process.runfile import RunFile, RunRecord
from launcher.process.snapshot import ENGINE, kind_of

_COMPONENT = re.compile(r"page|app|engine(-\d{1,2})?|all")


@click.command(
    name="restart",
    help="Restart the page, an engine or all; earlier crashes are forgotten. COMPONENT is page, engine, all, or of "
    "several engines engine-2, engine-3...",
)
@click.argument("component", default="all")
@wait_options("ready again")
@click.pass_obj
def command(context: Context, component: str, wait: bool, timeout_s: float) -> None:
    """Restarts what ``component`` names."""
    if not _COMPONENT.fullmatch(component):
        raise ConfigError(f"{component!r:.60} cannot be restarted.", fix="Use page, engine, engine-2..., app or all.")
    config = context.load_config()
    paths = instance_paths(config)
    record = require_running(RunFile(paths.run_file, paths.lock_file), config.instance)
    names = (component,)
    if component == "all":
        shown = ask(record, "status")["components"]
        names = tuple(name for name in shown if kind_of(name) in ("page", "app", ENGINE))
    began = time.monotonic()
    ask(record, "restart", component=component)
    if wait:
        _wait_ready(record, names, began + timeout_s)
    elapsed_s = time.monotonic() - began
    context.output.result(
        {"instance": config.instance, "component": component, "ready": wait, "elapsed_s": round(elapsed_s, 3)},
        f"{', '.join(names).capitalize()} ready again after {elapsed_s:.1f} s."
        if wait
        else f"Restart of {component} asked for.",
    )


def _wait_ready(record: RunRecord, names: tuple[str, ...], deadline: float) -> None:
    """Returns when every named component is ready.

    Raises:
        StartError: when one fails or the time is over.
    """
    while True:
        components = ask(record, "status")["components"]
        states = {name: components[name]["state"] for name in names}
        for name, state in states.items():
            if state == "failed":
                raise _failed(name, components[name]["error"] or {})
        if all(state == "ready" for state in states.values()):
            return
        if time.monotonic() >= deadline:
            shown = ", ".join(f"{name} is {state}" for name, state in states.items())
            raise StartError(f"The restart is not over yet: {shown}.", fix="Follow it with `tts-launcher status`.")
        time.sleep(POLL_S)


def _failed(name: str, error: dict[str, Any]) -> StartError:
    return StartError(str(error.get("message") or f"The {name} failed."), fix=str(error.get("fix") or ""))
