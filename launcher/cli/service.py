"""``service``: the instance as a service that starts by itself.

Invariants: what would be overwritten is shown first; without a person to ask, ``--yes`` decides.
"""

from __future__ import annotations

import click

from launcher.cli.app import CommandEntry, Context, LazyGroup
from launcher.errors import ConfigError, NotRunningError
from launcher.service.install import (
    Platform,
    ServiceError,
    install,
    log_command,
    plan,
    remove,
    state,
    this_platform,
)
from launcher.service.spec import ServiceSpec, default_user, make_spec

_HERE = "launcher.cli.service"
_scope = click.option(
    "--user/--system", "user_scope", default=True, help="For your own session (default), or for the machine."
)
_run_as = click.option("--run-as", metavar="USER", help="Who a machine's service runs as; default: who called sudo.")
_socket = click.option("--socket", is_flag=True, help="Let systemd hold the port; the first visitor starts the page.")


def _service(context: Context, *, user_scope: bool, run_as: str | None, socket: bool) -> tuple[ServiceSpec, Platform]:
    config = context.load_config()
    user = run_as or default_user()
    spec = make_spec(config, system=not user_scope, socket=socket, user=user if not user_scope else "")
    return spec, this_platform(system=not user_scope)


def _installed(context: Context, *, user_scope: bool, run_as: str | None) -> tuple[ServiceSpec, Platform]:
    """The service as it was installed: with a socket when there is a socket unit."""
    config = context.load_config()
    platform = this_platform(system=not user_scope)
    # Whoever looks or removes need not say again as whom it runs; it does not decide about names.
    user = run_as or default_user() or ("nobody" if not user_scope else "")
    spec = make_spec(config, system=not user_scope, socket=False, user=user)
    if config.port and (platform.folder / f"{spec.name}.socket").exists():
        spec = make_spec(config, system=not user_scope, socket=True, user=user)
    return spec, platform


@click.command(name="install", help="Write the service's files, enable it and start it.")
@_scope
@_run_as
@_socket
@click.option("--print", "print_only", is_flag=True, help="Only show the files; change nothing.")
@click.option("--no-start", is_flag=True, help="Enable it without starting it now.")
@click.option("--yes", is_flag=True, help="Replace files that differ without asking.")
@click.pass_obj
def install_command(
    context: Context,
    *,
    user_scope: bool,
    run_as: str | None,
    socket: bool,
    print_only: bool,
    no_start: bool,
    yes: bool,
) -> None:
    """Installs the service."""
    spec, platform = _service(context, user_scope=user_scope, run_as=run_as, socket=socket)
    if socket and platform.kind != "systemd":
        raise ConfigError("--socket needs systemd.", fix="Leave it out on this system.")
    files = plan(spec, platform)
    if print_only:
        shown = "\n".join(f"# {file.path}\n{file.text}" for file in files)
        context.output.result({"files": {str(file.path): file.text for file in files}}, shown.rstrip())
        return
    changed = [file for file in files if file.difference and not file.new]
    for file in changed:
        context.output.note(file.difference)
    if changed and not yes and not context.output.confirm("Replace what is there by this?"):
        raise ServiceError(
            f"{changed[0].path} is there and differs; nothing was changed.", fix="Add --yes to replace it."
        )
    install(spec, platform, files, start=not no_start)
    context.output.result(
        {"name": spec.name, "files": [str(file.path) for file in files], "started": not no_start},
        f"Service {spec.name} is installed{'' if no_start else ' and started'}: "
        + ", ".join(str(file.path) for file in files),
    )
    if platform.kind == "systemd" and user_scope:
        context.output.note("It runs while you are logged in; `loginctl enable-linger` keeps it running without.")


@click.command(name="rm", help="Stop the service and remove its files; models and settings stay.")
@_scope
@click.pass_obj
def remove_command(context: Context, *, user_scope: bool) -> None:
    """Removes the service."""
    spec, platform = _installed(context, user_scope=user_scope, run_as=None)
    removed = remove(spec, platform)
    if not removed:
        raise NotRunningError(
            f"There is no service {spec.name} in {platform.folder}.", fix="Look with --system, or --instance NAME."
        )
    context.output.result(
        {"name": spec.name, "removed": [str(path) for path in removed]},
        f"Service {spec.name} is removed: " + ", ".join(map(str, removed)),
    )


@click.command(name="status", help="Show whether the service is installed, enabled and running.")
@_scope
@_run_as
@click.pass_obj
def status_command(context: Context, *, user_scope: bool, run_as: str | None) -> int:
    """Shows the service; exit code 4 when there is none."""
    spec, platform = _installed(context, user_scope=user_scope, run_as=run_as)
    found = state(spec, platform)
    if not found["installed"]:
        context.output.result(found, f"Service {spec.name} is not installed in {platform.folder}.")
        return NotRunningError.exit_code
    words = [str(found[word]) for word in ("enabled", "active") if found[word]]
    if not found["up_to_date"]:
        words.append("its files differ from what `service install` would write now")
    context.output.result(found, f"Service {spec.name}: {', '.join(words) or 'installed'}")
    return 0


@click.command(name="logs", help="Show what the service printed; `logs` has everything else.")
@_scope
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True, help="How many lines.")
@click.pass_obj
def logs_command(context: Context, *, user_scope: bool, lines: int) -> None:
    """Shows the service's output."""
    spec, platform = _installed(context, user_scope=user_scope, run_as=None)
    if platform.kind != "systemd":
        raise ConfigError("Only systemd keeps a service's output.", fix="Use `tts-launcher logs`.")
    code, said = platform.run(log_command(spec, lines=lines, follow=False))
    if code:
        raise ServiceError(f"journalctl failed: {said.rstrip('.')}.", fix="Use `tts-launcher logs`.")
    for line in said.splitlines():
        context.output.line(line)


command = LazyGroup(
    {
        "install": CommandEntry(f"{_HERE}:install_command", "Write the service's files, enable it and start it."),
        "rm": CommandEntry(f"{_HERE}:remove_command", "Stop the service and remove its files."),
        "status": CommandEntry(f"{_HERE}:status_command", "Show whether it is installed, enabled and running."),
        "logs": CommandEntry(f"{_HERE}:logs_command", "Show what the service printed."),
    },
    name="service",
    help="Run the page as a service: systemd on Linux, launchd on macOS, a task on Windows. See docs/service.md.",
)
