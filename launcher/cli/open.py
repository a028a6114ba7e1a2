"""``open``: shows the page in a browser, and starts the instance first when it does not run; what a double-click calls.

Invariants: a second call never starts a second instance; a failure is shown where a person without a terminal sees it,
as a page in the browser and as a notification, and is still this command's failure.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import webbrowser
from pathlib import Path

import click

from launcher.cache.folders import private_opener
from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.config import Config
from launcher.errors import LauncherError, NotRunningError, StartError
from launcher.process.instance import ask, find_running
from launcher.process.runfile import RunFile

#: Of the log, on the page that says what failed.
_LOG_LINES = 40
_FAILURE_PAGE = "failure.html"


@click.command(name="open", help="Open the page in a browser; start it in the background first if it does not run.")
@click.pass_obj
def command(context: Context) -> None:
    """Opens the page."""
    config: Config | None = None
    try:
        # The page is opened below, once; the background process must not open it too.
        config = context.load_config({"LAUNCHER_OPEN_BROWSER": "no"})
        _open(context, config)
    except LauncherError as error:
        _show_failure(context, config, error)
        raise


def _open(context: Context, config: Config) -> None:
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    url = _running_url(run_file, config.stop_grace_s)
    if url is None:
        from launcher.cli.detach import start_detached

        start_detached(context, config, {"LAUNCHER_OPEN_BROWSER": "no"}, run_file)
        url = _running_url(run_file, config.stop_grace_s)
        if url is None:
            raise StartError(f"Instance {config.instance!r} has just ended.", fix="See `tts-launcher logs`.")
    else:
        context.output.result({"event": "running", "already_running": True, "url": url}, url)
    if not webbrowser.open(url):
        context.output.note(f"No browser could be opened; open {url} yourself.")


def _running_url(run_file: RunFile, grace_s: float) -> str | None:
    """The address of the instance that runs; waits for one that is stopping to be gone.

    An instance that has failed counts as running: its page says why.
    """
    deadline = time.monotonic() + grace_s + 5.0
    while (record := find_running(run_file)) is not None:
        try:
            snapshot = ask(record, "status")
        except NotRunningError:
            if run_file.state() == "running":
                raise
            return None
        if snapshot["state"] != "stopping" or time.monotonic() >= deadline:
            return record.url
        time.sleep(0.05)
    return None


def _show_failure(context: Context, config: Config | None, error: LauncherError) -> None:
    """Shows why it failed; what cannot be shown is left out."""
    from launcher.process.log_reader import read_lines
    from launcher.shortcut.failure import render_failure

    instance, lines = "default", list[str]()
    if config is not None:
        instance = config.instance
        with contextlib.suppress(OSError):
            lines = read_lines(instance_paths(config).log_dir, last=_LOG_LINES)
    text = render_failure(instance, error.message, error.fix, lines)
    try:
        webbrowser.open(_kept(text, config).as_uri())
    except OSError as problem:
        context.output.note(f"The failure could not be shown in a browser: {problem.strerror or problem}.")
    if sys.platform.startswith("linux"):
        try:
            subprocess.run(
                ["notify-send", "--app-name=TTS Launcher", "TTS Launcher", str(error)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return  # no notifications here: the page has said it


def _kept(page: str, config: Config | None) -> Path:
    """Writes the page beside the logs, over the last one; elsewhere when the data folder is what is wrong.

    Raises:
        OSError: when it cannot be written anywhere.
    """
    if config is not None:
        folder = instance_paths(config).log_dir
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return _write(folder / _FAILURE_PAGE, page)
    return _write(Path(tempfile.mkdtemp(prefix="tts-launcher-")) / _FAILURE_PAGE, page)


def _write(path: Path, text: str) -> Path:
    with open(path, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(text)
    return path
