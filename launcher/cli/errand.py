"""One errand in a process of its own: `python -m launcher.cli.errand`, started by the supervisor.

Its settings are one JSON line on standard input: ``{"config", "kind", "model"}``. It does what the command of that
name does, and says on standard output, a JSON object a line, how far it is, what it found or why it failed.

Invariants: the end of standard input ends it at once; what it says of a result is short, whatever the cache holds.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from launcher.cli.app import Context, make_group
from launcher.cli.output import Output
from launcher.errors import ConfigError, LauncherError, StorageError

if TYPE_CHECKING:
    from launcher.config import Config

#: A page shows a screenful.
_MOST = 50


@dataclass
class _Given(Context):
    """A command's context whose settings are those of the instance."""

    config: Config | None = None

    def load_config(self, flags: Mapping[str, str | None] | None = None) -> Config:
        """The settings of the instance, whatever the environment says."""
        assert self.config is not None and not flags
        return self.config


def run(config: Config, kind: str, model: str, say: TextIO) -> dict[str, Any]:
    """Does the work and returns what the page shows of it.

    Args:
        config: of the instance.
        kind: ``look``, ``verify`` or ``fetch``.
        model: a name of the catalog or a repository; empty for everything.
        say: gets progress, and remarks as plain lines.

    Raises:
        LauncherError: why it cannot be done.
    """
    if kind == "look":
        return _look(config, say)
    if kind == "verify":
        return _verified(_command(config, ["cache", "verify", *filter(None, [model])], say))
    if kind == "fetch":
        return _fetched(_command(config, ["fetch", model], say))
    raise ConfigError(f"There is no errand {kind!r}.")


def _command(config: Config, arguments: list[str], say: TextIO) -> dict[str, Any]:
    """What a command prints with ``--json``."""
    printed = io.StringIO()
    context = _Given(Output(json=True, stdout=printed, stderr=say), {}, config=config)
    try:
        make_group().main(args=arguments, prog_name="tts-launcher", obj=context, standalone_mode=False)
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from None
    value: dict[str, Any] = json.loads(printed.getvalue().splitlines()[-1])
    return value


def _look(config: Config, say: TextIO) -> dict[str, Any]:
    found: dict[str, Any] = {"mirrors": [], "models": [], "repos": [], "cache": "", "offline": config.is_offline}
    try:
        mirrors = _command(config, ["mirror", "ls"], say)["mirrors"]
        found["mirrors"] = [{key: one[key] for key in ("url", "kind", "trusted", "bytes_per_s")} for one in mirrors]
    except ConfigError as error:
        found["mirrors_error"] = {"message": error.message, "fix": error.fix}
    models = _command(config, ["models"], say)["models"]
    wanted = ("name", "title", "engines", "state", "size_bytes", "present_bytes")
    found["models"] = [{key: one[key] for key in wanted} for one in models]
    try:
        cache = _command(config, ["cache", "ls"], say)
    except StorageError as error:
        return {**found, "cache_error": {"message": error.message, "fix": error.fix}}
    repos = sorted(cache["repos"], key=lambda one: -int(one["size_bytes"]))
    shown = [
        {key: one[key] for key in ("name", "kind", "size_bytes", "used_at", "catalog")}
        | {"flaws": len(one["flaws"]), "needed": any(each["needed"] for each in one["revisions"])}
        for one in repos[:_MOST]
    ]
    return {**found, "cache": cache["cache"], "repos": shown, "more_repos": max(0, len(repos) - _MOST)}


def _verified(data: dict[str, Any]) -> dict[str, Any]:
    findings = data["findings"]
    return {
        "ok": data["ok"],
        "checked_files": data["checked_files"],
        "checked_bytes": data["checked_bytes"],
        "seconds": data["seconds"],
        "damaged": len(findings),
        "findings": [{key: one[key] for key in ("repo", "path", "reason")} for one in findings[:_MOST]],
    }


def _fetched(data: dict[str, Any]) -> dict[str, Any]:
    repos = data["repos"]
    hosts: dict[str, int] = {}
    for one in repos:
        for host, size in (one.get("hosts") or {}).items():
            hosts[host] = hosts.get(host, 0) + size
    return {
        "repos": [one["repo"] for one in repos][:_MOST],
        "files": sum(len(one.get("fetched") or ()) for one in repos),
        "hosts": hosts,
        "seconds": round(sum(one.get("seconds") or 0.0 for one in repos), 1),
    }


def _end_with_supervisor() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # every byte that counts is on record


def main() -> int:
    """Runs with the settings from standard input; returns the exit code."""
    from launcher.config import Config

    say = sys.stdout
    try:
        settings = json.loads(sys.stdin.buffer.readline())
        config, kind, model = Config.from_json(settings["config"]), str(settings["kind"]), str(settings["model"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ConfigError.exit_code
    threading.Thread(target=_end_with_supervisor, name="supervisor's end", daemon=True).start()
    output = Output(json=True, stdout=say, stderr=say)
    try:
        output.result({"result": run(config, kind, model, say)}, "")
    except LauncherError as error:
        output.error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not sys.exit: it would wait for the thread that waits for the supervisor's end.
    os._exit(code)
