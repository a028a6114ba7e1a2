"""``start-app``: ``start`` under the old script's name and flags, those of ``start_app.sh`` and of ``webui.py``.

Invariants: a flag that means something here is translated; one that has no meaning any more is named and left out; one
that nobody knows is refused, so that a typing error is not lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from launcher.cli.app import Context
from launcher.errors import ConfigError
from launcher.profiles.store import BUILTIN, recognise

#: Flags with a value: name to setting.
_VALUES = {
    "--port": "LAUNCHER_PORT",
    "--server-port": "LAUNCHER_PORT",
    "--host": "LAUNCHER_HOST",
    "--server-name": "LAUNCHER_HOST",
    "--model-dir": "LAUNCHER_MODEL_DIR",
    "--device": "LAUNCHER_DEVICE",
    "--app": "LAUNCHER_APP",
}
#: Flags without one: name to setting and value.
_SWITCHES = {
    "--fp16": ("LAUNCHER_PRECISION", "fp16"),
    "--is-fp16": ("LAUNCHER_PRECISION", "fp16"),
    "--bf16": ("LAUNCHER_PRECISION", "bf16"),
    "--cpu": ("LAUNCHER_DEVICE", "cpu"),
    "--inbrowser": ("LAUNCHER_OPEN_BROWSER", "yes"),
    "--offline": ("LAUNCHER_OFFLINE", "yes"),
    "--verbose": ("LAUNCHER_LOG_LEVEL", "debug"),
}
#: Flags that are understood and need nothing here, with the reason; True when they have a value.
_NEEDLESS = {
    "--deepspeed": (False, "the engine is loaded in another way"),
    "--cuda-kernel": (False, "it is compiled in the background where nvcc and ninja are"),
    "--accel": (False, "the engine decides"),
    "--compile": (False, "the engine decides"),
    "--gui-seg-tokens": (True, "the page has a control for it"),
}


@dataclass
class Translation:
    """Old flags as settings.

    Attributes:
        settings: name to value.
        remarks: a sentence for each flag that was left out.
    """

    settings: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def translate(arguments: Sequence[str]) -> Translation:
    """What the old flags mean.

    Raises:
        ConfigError: for one that is not known, lacks its value, or would open the machine to everybody.
    """
    done = Translation()
    words = list(arguments)
    while words:
        written = words.pop(0)
        name, equals, given = written.partition("=")
        flag = name.replace("_", "-").lower()
        if flag in _VALUES:
            done.settings[_VALUES[flag]] = given if equals else _value(written, words)
        elif flag == "--gpu":
            # With or without a number.
            number = given if equals else (words.pop(0) if words and words[0].isdigit() else "0")
            done.settings["LAUNCHER_DEVICE"] = f"cuda:{number}"
        elif flag in _SWITCHES:
            setting, value = _SWITCHES[flag]
            done.settings[setting] = value
        elif flag in _NEEDLESS:
            has_value, why = _NEEDLESS[flag]
            if has_value and not equals:
                _value(written, words)
            done.remarks.append(f"{written} is not needed: {why}.")
        elif flag == "--share":
            raise ConfigError(
                "--share would put the page on the internet through somebody else's machine.",
                fix="Use --host 0.0.0.0 with LAUNCHER_TOKEN in .env, behind your own reverse proxy.",
            )
        else:
            known = ", ".join(sorted({*_VALUES, *_SWITCHES, *_NEEDLESS, "--gpu"}))
            raise ConfigError(f"{written!r:.60} is no flag of start_app or webui.py.", fix=f"Known are {known}.")
    return done


def _value(flag: str, words: list[str]) -> str:
    if not words or words[0].startswith("--"):
        raise ConfigError(f"{flag} needs a value.", fix=f"Write {flag} VALUE.")
    return words.pop(0)


@click.command(
    name="start-app",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": False},
    help=f"""Start the page with the flags of the old start_app.sh and webui.py.

    What they mean here: {", ".join(sorted({*_VALUES, *_SWITCHES, "--gpu"}))}. Not needed any more:
    {", ".join(sorted(_NEEDLESS))}. For all that there is, see: tts-launcher start --help
    """,
    options_metavar="[FLAGS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Starts an instance; returns the exit code."""
    from launcher.cli.start import command as start

    context: Context = ctx.obj
    done = translate(arguments)
    for remark in (*done.remarks, *about_folder(context, done.settings, Path.cwd())):
        context.output.note(remark)
    _export(done.settings, os.environ)
    code = ctx.invoke(start)
    return int(code or 0)


def about_folder(context: Context, settings: Mapping[str, str], folder: Path) -> list[str]:
    """A word about a folder that holds a page of its own, which the old script in it would have started."""
    if "LAUNCHER_APP" in settings or context.load_config().app != BUILTIN:
        return []
    profile = recognise(context.load_config(), folder)
    if profile is None:
        return []
    return [
        f"{folder} holds an app of its own ({profile.title}); this starts the launcher's own page. The app's page: "
        f"tts-launcher start --app {profile.name}"
    ]


def _export(settings: Mapping[str, str], environ: dict[str, str] | os._Environ[str]) -> None:
    """As the environment of this process: it wins over ``.env``, as the old flags did."""
    environ.update(settings)
