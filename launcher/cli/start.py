"""``start``: the page and the engine, in the foreground or, with ``--detach``, in the background.

Invariants: an instance that runs is shown and left alone unless ``--replace`` is given; the address is printed as soon
as the port answers; secrets come from the environment or ``.env`` and never from an option.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from launcher.apps import check_offline
from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.config import Config
from launcher.engines.choice import choose
from launcher.engines.environments import EMBEDDED_ENGINE
from launcher.errors import ConfigError, NotRunningError, StartError
from launcher.process.instance import ask, find_running, stop_instance
from launcher.process.runfile import AlreadyRunningError, RunFile, RunRecord
from launcher.profiles.store import BUILTIN, find, recognises, resolve

#: How long an instance that is stopping may take to be gone, beyond its own grace.
_CLEARING_S = 5.0


@click.command(name="start", help="Start the page and the speech engine; an instance that runs already is shown.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (LAUNCHER_HOST).")
@click.option(
    "--insecure", is_flag=True, help="Let everybody who reaches --host in, without a token (LAUNCHER_INSECURE)."
)
@click.option("--port", metavar="N", help="Port of the page and the API; auto takes a free one (LAUNCHER_PORT).")
@click.option("--app", metavar="NAME", help="builtin, index-tts, heygem or your own; see `apps ls` (LAUNCHER_APP).")
@click.option("--app-dir", metavar="DIR", help="The app's folder (LAUNCHER_APP_DIR).")
@click.option("--engine", metavar="NAME", help="Speech engine (LAUNCHER_ENGINE).")
@click.option("--device", metavar="NAME", help="auto, cpu or cuda:N (LAUNCHER_DEVICE).")
@click.option("--gpu", metavar="N,M", help="Spread engines over these GPUs, one each (LAUNCHER_GPU).")
@click.option("--engines", metavar="N", help="So many engines side by side (LAUNCHER_ENGINES).")
@click.option("--install", is_flag=True, help="Install the engine when it is missing, without asking.")
@click.option(
    "--offline", is_flag=True, help="Use no network at all; fail when something is missing (LAUNCHER_OFFLINE)."
)
@click.option("--open/--no-open", "open_browser", default=None, help="Open the page in a browser.")
@click.option("--replace", is_flag=True, help="Stop the running instance first.")
@click.option("--detach", is_flag=True, help="Return as soon as the instance runs in the background.")
@click.option("--background", is_flag=True, hidden=True, help="This is the process that --detach has started.")
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    insecure: bool,
    install: bool,
    offline: bool,
    open_browser: bool | None,
    replace: bool,
    detach: bool,
    background: bool,
    **settings: str | None,
) -> int:
    """Starts an instance; returns the exit code. ``settings`` are options with the name of a setting."""
    flags = {
        **{f"LAUNCHER_{name.upper()}": value for name, value in settings.items()},
        "LAUNCHER_INSECURE": "yes" if insecure else None,
        "LAUNCHER_OFFLINE": "yes" if offline else None,
        "LAUNCHER_OPEN_BROWSER": None if open_browser is None else ("yes" if open_browser else "no"),
    }
    config = context.load_config(flags)
    context.output.warnings(config.warnings)
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    if replace and run_file.state() == "running":
        _replace(context, config, run_file)
    if _show_running(context, config, run_file):
        return 0
    if config.app != BUILTIN:
        config = _settle_app(context, config, flags)
    if config.is_offline:
        check_offline(config)
    if config.app == BUILTIN and config.engine not in ("auto", EMBEDDED_ENGINE) and not background:
        _check_engine(context, config, install=install)
    if detach:
        from launcher.cli.detach import start_detached

        start_detached(context, config, {name: value for name, value in flags.items() if value is not None}, run_file)
        return 0
    _run(context, config, run_file, detached=background)
    return 0


def _run(context: Context, config: Config, run_file: RunFile, *, detached: bool) -> None:
    """Runs the instance in this process until it is stopped."""
    from launcher.cli.foreground import run

    try:
        run(context, config, run_file, detached=detached)
    except AlreadyRunningError:
        # Another `start` was quicker between our look and our lock.
        if not _show_running(context, config, run_file):
            raise


def _settle_app(context: Context, config: Config, flags: dict[str, str | None]) -> Config:
    """Makes sure that the app can be started, from the current folder when that is surely the app's.

    Raises:
        ConfigError: when it cannot.
    """
    profile = find(config, config.app)
    if not (config.app_dir or profile.directory) and recognises(profile, Path.cwd()):
        flags["LAUNCHER_APP_DIR"] = str(Path.cwd())
        config = context.load_config(flags)
    app = resolve(config)
    if app.profile.port and config.port == app.profile.port:
        raise ConfigError(
            f"The app {config.app} always takes port {app.profile.port}, which LAUNCHER_PORT={config.port} takes, too.",
            fix="Start with another --port, or put {port} into the profile's command.",
        )
    return config


def _check_engine(context: Context, config: Config, *, install: bool) -> None:
    """Offers to install an engine that was named and is not there."""
    choice = choose(config)
    if not choice.missing:
        return
    if config.is_offline:
        choice.require()
    from launcher.cli.engine_install import offer

    offer(context, config, choice, assume_yes=install)


def _replace(context: Context, config: Config, run_file: RunFile) -> None:
    try:
        stopped = stop_instance(run_file, config.instance, config.stop_grace_s)
    except NotRunningError:  # it ended by itself meanwhile
        return
    context.output.note(f"Stopped the running instance in {stopped.elapsed_s:.1f} s.")


def _show_running(context: Context, config: Config, run_file: RunFile) -> bool:
    """Prints the address of the instance that runs; false when none does."""
    deadline = time.monotonic() + config.stop_grace_s + _CLEARING_S
    while (record := find_running(run_file)) is not None:
        snapshot = _ask_status(record, run_file)
        if snapshot is None or snapshot["state"] == "stopping":
            if time.monotonic() >= deadline:
                raise StartError(
                    f"Instance {config.instance!r} is stopping and does not come to an end.",
                    fix="Start with --replace, which ends it.",
                )
            time.sleep(0.05)
            continue
        if snapshot["state"] == "failed":
            raise _failed(config.instance, record, snapshot["components"])
        context.output.result(
            {
                "event": "running",
                "already_running": True,
                **{name: snapshot[name] for name in ("instance", "url", "host", "port", "pid", "state")},
            },
            f"{record.url}",
        )
        context.output.note(f"Instance {config.instance!r} runs already (pid {record.supervisor_pid}).")
        asked = any(value.name == "LAUNCHER_PORT" and value.source != "default" for value in config.values)
        if asked and config.port not in (0, record.port):
            context.output.note(f"It keeps port {record.port}; --replace moves it to port {config.port}.")
        return True
    return False


def _ask_status(record: RunRecord, run_file: RunFile) -> dict[str, Any] | None:
    """The snapshot; ``None`` when it ended just now.

    Raises:
        StartError: when it lives and does not answer.
    """
    try:
        return ask(record, "status")
    except NotRunningError as error:
        if run_file.state() != "running":
            return None
        raise StartError(error.message, fix="Start with --replace, which ends it and starts anew.") from None


def _failed(instance: str, record: RunRecord, components: dict[str, Any]) -> StartError:
    errors = [each["error"] for each in components.values() if each["state"] == "failed"]
    error = errors[0] if errors and isinstance(errors[0], dict) else {"message": "A component failed.", "fix": ""}
    return StartError(
        f"Instance {instance!r} runs at {record.url}, but: {error['message']}",
        fix=str(error["fix"]) or "Mend the cause, then start with --replace.",
    )
