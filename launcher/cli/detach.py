"""``start --detach``: the same start in a process of its own, watched until it runs or says why not.

Invariants: the background process belongs to no terminal; what it prints is kept beside the logs; its failure is
this command's failure, with the same sentence and exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.cache.folders import make_folder, storage_error, write_probe
from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.cli.browser import open_page
from launcher.config import Config
from launcher.errors import LauncherError, NotRunningError, StartError
from launcher.process.child import describe_exit
from launcher.process.instance import ask, find_running
from launcher.process.runfile import RunFile

#: From the command to the first child; covers ending what an earlier run left.
_PATIENCE_S = 60.0


def start_detached(context: Context, config: Config, flags: Mapping[str, str], run_file: RunFile) -> None:
    """Starts an instance in the background and prints its address.

    Args:
        context: where to print; holds the shared flags.
        config: the settings.
        flags: this command's settings by name.
        run_file: the instance's.

    Raises:
        LauncherError: what the background process failed with.
    """
    paths = instance_paths(config)
    make_folder(paths.log_dir, "LAUNCHER_DATA_DIR")
    said = paths.log_dir / "start.log"
    process = _spawn(context, config, flags, said)
    snapshot = _wait(process, run_file, said)
    shown = {name: snapshot[name] for name in ("instance", "url", "host", "port", "pid", "state")}
    context.output.result(
        {"event": "running", "already_running": snapshot["pid"] != process.pid, **shown}, shown["url"]
    )
    context.output.note(
        f"Instance {config.instance!r} runs in the background (pid {shown['pid']}): "
        "`tts-launcher status`, `logs -f` and `stop` are yours."
    )
    open_page(config.open_browser, shown["url"], context.output.note)


def _spawn(context: Context, config: Config, flags: Mapping[str, str], said: Path) -> subprocess.Popen[bytes]:
    arguments = ["--json", "start", "--background"]
    if config.dotenv_path is not None:
        arguments += ["--env-file", str(config.dotenv_path)]
    # As environment, which a flag's value may take the place of: it wins over .env in the same way.
    environment = {**os.environ, **context.flags, **flags}
    here = str(Path(__file__).resolve().parent.parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [here, environment.get("PYTHONPATH", "")]))
    isolation: dict[str, Any] = (
        {"creationflags": getattr(subprocess, "DETACHED_PROCESS", 0)}
        if os.name == "nt"
        else {"start_new_session": True}
    )
    try:
        write_probe(said.parent)  # a full disk would leave the background process without words
        with said.open("wb") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "launcher", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=environment,
                **isolation,
            )
    except OSError as error:
        raise storage_error(error, "LAUNCHER_DATA_DIR", said) from None


def _wait(process: subprocess.Popen[bytes], run_file: RunFile, said: Path) -> dict[str, Any]:
    """The snapshot once the port answers and the page was started."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        code = process.poll()
        if code:
            raise _failure(code, said)
        record = find_running(run_file)
        if record is not None:
            try:
                snapshot = ask(record, "status")
            except (NotRunningError, StartError):
                snapshot = {}
            components = snapshot.get("components", {})
            page = components.get("app", components.get("page", {}))
            waits = "app" in components and "weights" in components
            if waits or page.get("pid") is not None or page.get("state") in ("restarting", "failed"):
                return snapshot
        elif code == 0:
            raise _failure(StartError.exit_code, said)
        time.sleep(0.03)
    raise StartError(
        f"The instance has not begun to start its page within {_PATIENCE_S:.0f} s.",
        fix=f"See {said} and `tts-launcher status`.",
    )


def _failure(code: int, said: Path) -> LauncherError:
    """The background process's own error, found in what it printed."""
    try:
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    see = f"See {said}." if lines else "Run `tts-launcher start` without --detach to see why."
    error: LauncherError = StartError(f"The background process {describe_exit(code)}.", fix=see)
    if code < 0:  # a signal is no exit code of ours, and what it printed before is not why it ended
        return error
    for line in lines:
        try:
            body = json.loads(line)["error"]
            error = LauncherError(str(body["message"]), fix=str(body["fix"]))
        except (ValueError, KeyError, TypeError):
            continue
    error.exit_code = code
    return error
