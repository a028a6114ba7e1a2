"""``shortcut``: something to double-click, in the menu and on the desktop."""

from __future__ import annotations

import click

from launcher.cli.app import CommandEntry, Context, LazyGroup
from launcher.errors import NotRunningError
from launcher.shortcut.install import Desktop, install, installed, paths, remove, run_quietly, this_desktop, up_to_date
from launcher.shortcut.spec import ShortcutSpec, make_spec

_HERE = "launcher.cli.shortcut"


def _shortcut(context: Context) -> tuple[ShortcutSpec, Desktop]:
    desktop = this_desktop(run_quietly)
    return make_spec(context.load_config(), desktop.icons / desktop.icon_name), desktop


@click.command(name="install", help="Put a shortcut into the menu and on the desktop; a double-click opens the page.")
@click.pass_obj
def install_command(context: Context) -> None:
    """Writes the shortcuts."""
    spec, desktop = _shortcut(context)
    places = install(spec, desktop)
    context.output.result({"shortcuts": [str(place) for place in places]}, "\n".join(map(str, places)))


@click.command(name="rm", help="Remove the shortcuts.")
@click.pass_obj
def remove_command(context: Context) -> None:
    """Removes the shortcuts; exit code 4 when there were none."""
    spec, desktop = _shortcut(context)
    gone = remove(spec, desktop)
    if not gone:
        raise NotRunningError(f"There is no shortcut of instance {spec.instance!r}.", fix="Look with --instance NAME.")
    context.output.result({"removed": [str(place) for place in gone]}, "\n".join(f"Removed {place}" for place in gone))


@click.command(name="status", help="Show where shortcuts are.")
@click.pass_obj
def status_command(context: Context) -> int:
    """Shows the shortcuts; exit code 4 when there are none."""
    spec, desktop = _shortcut(context)
    found = {str(place): up_to_date(spec, place, desktop) for place in installed(spec, desktop)}
    if not found:
        where = ", ".join(str(place.parent) for place in paths(spec, desktop))
        context.output.result({"shortcuts": {}}, f"There is no shortcut in {where}.")
        return NotRunningError.exit_code
    old = " (of an earlier version: install it again)"
    lines = [f"{place}{old if current is False else ''}" for place, current in found.items()]
    context.output.result({"shortcuts": found}, "\n".join(lines))
    return 0


command = LazyGroup(
    {
        "install": CommandEntry(f"{_HERE}:install_command", "Put a shortcut into the menu and on the desktop."),
        "rm": CommandEntry(f"{_HERE}:remove_command", "Remove the shortcuts."),
        "status": CommandEntry(f"{_HERE}:status_command", "Show where shortcuts are."),
    },
    name="shortcut",
    help="Something to double-click. See docs/service.md.",
)
