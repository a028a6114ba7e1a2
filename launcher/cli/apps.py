"""``apps``: the profiles of other people's apps: shown, made for a folder, checked before a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher.cli.app import CommandEntry, Context, LazyGroup
from launcher.config import Config
from launcher.errors import LauncherError
from launcher.profiles.store import BUILTIN, find, names, profile_path, recognise, write_profile

#: Name to place.
COMMANDS: dict[str, CommandEntry] = {
    "ls": CommandEntry("launcher.cli.apps:list_command", "Show every app that `start --app` knows."),
    "show": CommandEntry("launcher.cli.apps:show_command", "Show an app's profile."),
    "init": CommandEntry("launcher.cli.apps:init_command", "Write a commented profile for an app's folder."),
    "check": CommandEntry("launcher.cli.apps:check_command", "Say for each part of a profile whether it would work."),
}
#: The exit code of a check whose worst line is a warning or a failure, as doctor's.
_CODES = {"ok": 0, "warning": 1, "failed": 2}
_MARKS = {"ok": "ok", "warning": "!!", "failed": "NO"}


command = LazyGroup(
    COMMANDS,
    name="apps",
    help="Show, make and check profiles of other apps: the official index-tts, HeyGem, any other. See docs/apps.md.",
)


@click.command(name="ls", help="Show every app that `start --app` knows.")
@click.pass_obj
def list_command(context: Context) -> None:
    """Prints a line for each."""
    config = context.load_config()
    rows: list[dict[str, Any]] = [
        {"name": BUILTIN, "title": "Our own page and engine", "directory": "", "source": "", "error": ""}
    ]
    rows += [_about(config, name) for name in names(config)]
    for row in rows:
        row["chosen"] = row["name"] == config.app
    width = max(len(str(row["name"])) for row in rows)
    lines = [
        f"{'*' if row['chosen'] else ' '} {row['name']:<{width}}  "
        + (str(row["error"]) or "  ".join(filter(None, [str(row["title"]), str(row["directory"])])))
        for row in rows
    ]
    context.output.result({"apps": rows}, "\n".join(lines))


def _about(config: Config, name: str) -> dict[str, Any]:
    path = profile_path(config, name)
    about: dict[str, Any] = {"name": name, "title": "", "directory": "", "source": str(path), "error": ""}
    try:
        profile = find(config, name)
    except LauncherError as error:
        return {**about, "error": str(error)}
    return {**about, "title": profile.title, "directory": profile.directory}


@click.command(name="show", help="Show an app's profile; without a name the one that LAUNCHER_APP names.")
@click.argument("name", default="")
@click.pass_obj
def show_command(context: Context, name: str) -> None:
    """Prints the file, or with ``--json`` what it says."""
    config = context.load_config()
    profile = find(config, _named(config, name))
    text = Path(profile.source).read_text(encoding="utf-8")
    context.output.result(profile.to_json(), f"# {profile.source}\n{text.rstrip()}")


@click.command(name="init", help="Write a commented profile for the app in DIRECTORY; never over one that exists.")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--name", default="", metavar="NAME", help="How to call it; index-tts and heygem take what comes along.")
@click.option("--script", default="", metavar="FILE", help="The script that starts it; usual names are found.")
@click.pass_obj
def init_command(context: Context, directory: Path, name: str, script: str) -> None:
    """Writes the profile."""
    path = write_profile(context.load_config(), directory, name, script)
    context.output.result({"name": path.stem, "path": str(path)}, str(path))
    context.output.note(
        f"Look it over, then: tts-launcher apps check {path.stem}; tts-launcher start --app {path.stem}"
    )


@click.command(
    name="check", help="Say for each part of a profile whether it would work; exit code 0, 1 (warnings) or 2."
)
@click.argument("name", default="")
@click.option("--app-dir", metavar="DIR", help="The app's folder (LAUNCHER_APP_DIR).")
@click.pass_obj
def check_command(context: Context, name: str, app_dir: str | None) -> int:
    """Prints a line for each part; returns the exit code."""
    from launcher.profiles.check import examine

    flags = {"LAUNCHER_APP_DIR": app_dir, "LAUNCHER_APP": name or None}
    config = context.load_config(flags)
    profile = find(config, _named(config, name))
    if not (config.app_dir or profile.directory) and recognise(config, Path.cwd()) == profile:
        config = context.load_config({**flags, "LAUNCHER_APP_DIR": str(Path.cwd())})
    lines = [*examine(config, profile), _port(config, profile.port)]
    worst = max((line.state for line in lines), key=lambda state: _CODES[state])
    context.output.result(
        {"name": profile.name, "state": worst, "checks": [vars(line) for line in lines]},
        "\n".join(_line(line.state, line.key, line.detail, line.fix) for line in lines),
    )
    return _CODES[worst]


def _port(config: Config, fixed: int) -> Any:
    from launcher.process.ports import port_holder
    from launcher.profiles.check import FAILED, OK, Line

    if fixed and fixed == config.port:
        return Line("port", FAILED, f"the app and LAUNCHER_PORT both want {fixed}", "Set LAUNCHER_PORT to another one.")
    wanted = [port for port in (config.port, fixed) if port]
    for port in wanted:
        holder = port_holder(config.host if port == config.port else "127.0.0.1", port)
        if holder is not None:
            return Line("port", FAILED, f"{port} belongs to {holder.describe()}", "End it, or use another port.")
    shown = ", ".join(f"{port} is free" for port in wanted)
    return Line("port", OK, shown or "a free one is taken", "")


def _line(state: str, key: str, detail: str, fix: str) -> str:
    return f"{_MARKS[state]}  {key:<12} {detail}" + (f"\n{'':17}{fix}" if fix else "")


def _named(config: Config, name: str) -> str:
    """The app that is meant; of ours there is no profile.

    Raises:
        ConfigError: when none is named.
    """
    from launcher.errors import ConfigError

    name = name or config.app
    if name == BUILTIN:
        raise ConfigError(
            "builtin is our own page and engine and has no profile.", fix="Name one of `tts-launcher apps ls`."
        )
    return name
