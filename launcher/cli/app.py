"""The command line's entry: which commands there are, the options they share, and the exit code of every failure.

Invariants: a command's module is imported only when that command runs, so ``--help`` stays quick; every failure is
one sentence (JSON with ``--json``) and the exit code of its class, see `launcher.errors`; a traceback is shown only
with ``LAUNCHER_LOG_LEVEL=debug``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher import __version__
from launcher.cli.output import Output, UnwritableError
from launcher.errors import ConfigError, LauncherError

if TYPE_CHECKING:
    from launcher.config import Config

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
PROGRAM = "tts-launcher"


@dataclass(frozen=True)
class CommandEntry:
    """A command's place (``module:attribute``) and its line in ``--help``."""

    target: str
    summary: str


COMMANDS: dict[str, CommandEntry] = {
    "start": CommandEntry("launcher.cli.start:command", "Start the page and the speech engine."),
    "start-app": CommandEntry(
        "launcher.cli.start_app:command", "Start the page with the flags of the old start_app.sh."
    ),
    "open": CommandEntry("launcher.cli.open:command", "Open the page in a browser; start it first if need be."),
    "stop": CommandEntry("launcher.cli.stop:command", "Stop a running instance."),
    "restart": CommandEntry("launcher.cli.restart:command", "Restart the page, the engine or both."),
    "status": CommandEntry("launcher.cli.status:command", "Show what runs and how far it is."),
    "logs": CommandEntry("launcher.cli.logs:command", "Show the logs, or follow them."),
    "apps": CommandEntry("launcher.cli.apps:command", "Show, make and check profiles of other apps to start."),
    "say": CommandEntry("launcher.cli.say:command", "Turn text into speech."),
    "batch": CommandEntry("launcher.cli.batch:command", "Turn a list, table, text or subtitles into speech."),
    "engine": CommandEntry("launcher.cli.engine:command", "Show, install, load and unload speech engines."),
    "mirror": CommandEntry("launcher.cli.mirror:command", "Show, test and change where models come from."),
    "fetch": CommandEntry("launcher.cli.fetch:command", "Fetch models from the best mirrors."),
    "models": CommandEntry("launcher.cli.models:command", "Show which models there are and what of them is here."),
    "cache": CommandEntry("launcher.cli.cache:command", "Show, check, mend and clear what is kept here."),
    "doctor": CommandEntry("launcher.cli.doctor:command", "Check everything that a start needs."),
    "self-check": CommandEntry("launcher.cli.self_check:command", "Say what an update left to be done."),
    "audit": CommandEntry("launcher.cli.audit:command", "Show what downloaded models really contain."),
    "bundle": CommandEntry("launcher.cli.bundle:command", "Carry a model to a machine without a network."),
    "shortcut": CommandEntry("launcher.cli.shortcut:command", "Something to double-click, in menu and desktop."),
    "service": CommandEntry("launcher.cli.service:command", "Run as a service that starts by itself."),
    "config": CommandEntry("launcher.cli.config:command", "Show every setting and where it came from."),
}


@dataclass
class Context:
    """What every command gets as ``ctx.obj``.

    Attributes:
        output: the only way to print.
        flags: shared options that were given, by setting name.
        env_file: from ``--env-file``.
        words: the command's names as far as they are known, ``tts-launcher cache ls``.
    """

    output: Output
    flags: dict[str, str]
    env_file: Path | None = None
    words: str = PROGRAM

    def load_config(self, flags: Mapping[str, str | None] | None = None) -> Config:
        """The settings, with the command's own ``flags`` (setting name to text; ``None`` was not given) on top.

        Raises:
            ConfigError: naming every bad value.
        """
        from launcher.cache.layout import cache_dir, hub_cache
        from launcher.cache.sharing import adopt_umask
        from launcher.config import load

        given = {name: value for name, value in (flags or {}).items() if value is not None}
        config = load(os.environ, self.env_file, {**self.flags, **given})
        adopt_umask(cache_dir(config), hub_cache(config))
        return config


def _remember_flag(setting: str) -> Any:
    def callback(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.obj.flags[setting] = value

    return callback


def _remember_env_file(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.obj.env_file = Path(value)


def shared_options() -> list[click.Parameter]:
    """The options that may stand before or after a command's name."""
    return [
        # `main` has looked for --json before click parses, so that a parse error is JSON too.
        click.Option(["--json"], is_flag=True, expose_value=False, help="Print JSON."),
        click.Option(
            ["--instance"],
            metavar="NAME",
            expose_value=False,
            callback=_remember_flag("LAUNCHER_INSTANCE"),
            help="Instance to use (LAUNCHER_INSTANCE).",
        ),
        click.Option(
            ["--data-dir"],
            metavar="DIR",
            expose_value=False,
            callback=_remember_flag("LAUNCHER_DATA_DIR"),
            help="Folder that keeps everything (LAUNCHER_DATA_DIR).",
        ),
        click.Option(
            ["--env-file"],
            metavar="FILE",
            expose_value=False,
            callback=_remember_env_file,
            help="Settings file instead of ./.env.",
        ),
    ]


@click.pass_context
def _show_help(ctx: click.Context) -> None:
    """What happens without a command."""
    if ctx.invoked_subcommand is None and isinstance(ctx.command, LazyGroup):
        ctx.obj.output.result({"commands": ctx.command.summaries()}, ctx.get_help)


class LazyGroup(click.Group):
    """A group that imports a command's module when that command is asked for, and shows its help without one."""

    def __init__(self, commands: Mapping[str, CommandEntry], **arguments: Any) -> None:
        super().__init__(invoke_without_command=True, callback=_show_help, **arguments)
        self._entries = commands

    def summaries(self) -> dict[str, str]:
        """Every command's name and its line in ``--help``."""
        return {name: entry.summary for name, entry in self._entries.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with the shared options added; ``None`` when there is none of that name."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        from importlib import import_module

        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        taken = {option for param in command.params for option in param.opts}
        command.params += [param for param in shared_options() if not taken.intersection(param.opts)]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands' lines in ``--help``, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries().items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` starts with.

        Raises:
            ConfigError: when there is no such command, naming the nearest.
        """
        if args and args[0] not in self._entries and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self._entries, n=1)
            fix = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(self._entries)}."
            raise ConfigError(f"There is no command {args[0]!r}.", fix=fix)
        found = super().resolve_command(ctx, args)
        ctx.obj.words = f"{ctx.obj.words} {found[0]}"
        return found


def make_group(commands: Mapping[str, CommandEntry] = COMMANDS) -> LazyGroup:
    """The whole command line; ``commands`` maps a name to its place."""
    return LazyGroup(
        commands,
        name=PROGRAM,
        help="Start, supervise and stop a text-to-speech page.",
        epilog="Settings: docs/configuration.md, or: tts-launcher config",
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_show_version,
                help="Show the version and exit.",
            ),
            *shared_options(),
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.output.result({"version": __version__}, __version__)
        ctx.exit()


def main(argv: Sequence[str] | None = None, *, commands: Mapping[str, CommandEntry] = COMMANDS) -> int:
    """Runs the command line and returns its exit code; never raises.

    Args:
        argv: the arguments without the program's name; ``None`` takes `sys.argv`.
        commands: name to place; a command may return an exit code.
    """
    _fill_standard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    context = Context(Output(json="--json" in options, stdout=sys.stdout, stderr=sys.stderr, stdin=sys.stdin), {})
    if argv is None:  # this process is ours: no thread shows a traceback either
        threading.excepthook = lambda unhandled: context.output.note(
            f"Error: {_unexpected(unhandled.exc_value, context)}"
        )
    try:
        return _run(arguments, commands, context)
    except (BrokenPipeError, UnwritableError):  # nobody reads our words
        return LauncherError.exit_code
    finally:
        _let_go_of_words()


def _let_go_of_words() -> None:
    """Gives up what the standard streams would not take: Python would try again at its end, and end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fill_standard_streams() -> None:
    """Puts the null device where a standard stream was closed; else the next file to be opened takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - it stays open


def _run(arguments: list[str], commands: Mapping[str, CommandEntry], context: Context) -> int:
    try:
        code = make_group(commands).main(args=arguments, prog_name=PROGRAM, obj=context, standalone_mode=False)
    except LauncherError as error:
        with contextlib.suppress(UnwritableError):  # the exit code still says what it was
            context.output.error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _report_usage(error, context)
    except SystemExit as exit_request:  # click's answer to a closed pipe
        return exit_request.code if isinstance(exit_request.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a sentence, the log the traceback
        context.output.error(_unexpected(error, context))
        return LauncherError.exit_code
    return code if isinstance(code, int) else 0


def _report_usage(error: click.ClickException, context: Context) -> int:
    message = error.format_message().strip().replace("\n", " ")
    usage = ConfigError(message if message.endswith((".", "?")) else f"{message}.", fix=f"See {context.words} --help.")
    context.output.error(usage)
    return usage.exit_code


def _unexpected(error: BaseException | None, context: Context) -> LauncherError:
    """A bug as a sentence; its traceback is kept, or shown while debugging."""
    import traceback

    if (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and error.name.partition(".")[0] not in ("launcher", "webui")
    ):
        return LauncherError(
            f"The package {error.name} is not installed for {sys.executable}.",
            fix="Run scripts/start, which installs it, or use .venv/bin/tts-launcher.",
        )
    try:
        config = context.load_config()
    except LauncherError:
        config = None
    trace = _without_secrets("".join(traceback.format_exception(error)), config)
    what = _without_secrets(" ".join(traceback.format_exception_only(error)[-1].split()), config)
    if os.environ.get("LAUNCHER_LOG_LEVEL", "").lower() == "debug":
        context.output.note(trace)
        fix = "The lines above say where."
    else:
        path = _keep_trace(trace, config)
        fix = f"The details are in {path}." if path else "Set LAUNCHER_LOG_LEVEL=debug to see where."
    return LauncherError(f"Something unexpected went wrong: {what}.", fix=fix)


def _without_secrets(text: str, config: Config | None) -> str:
    from launcher.config.model import standard_secrets

    # The environment's as well: the settings may be what is wrong.
    secrets = {os.environ.get("LAUNCHER_TOKEN", ""), *standard_secrets(os.environ)}
    for secret in filter(None, {*secrets, *(config.secrets if config else ())}):
        text = text.replace(secret, "********")
    return text


def _keep_trace(trace: str, config: Config | None) -> Path | None:
    """Writes the traceback beside the logs, over the last one; ``None`` when that is not possible."""
    if config is None:
        return None
    from launcher.cache.folders import private_opener
    from launcher.cache.layout import instance_paths

    path = instance_paths(config).log_dir / "error.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=private_opener) as file:
            file.write(trace)
    except OSError:
        return None
    return path
