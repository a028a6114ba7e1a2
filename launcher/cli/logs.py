"""``logs``: what supervisor, page, engine and weights have said, and with ``-f`` what they say from now on.

With ``--crash``: the report of the last crash, and a line for each earlier one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.errors import ConfigError, StorageError
from launcher.process.crash import crash_line, read_reports
from launcher.process.log_files import log_path
from launcher.process.log_reader import follow, parse_line, read_lines, wanted
from launcher.process.runfile import OTHER_USER_FIX

COMPONENTS = ("supervisor", "page", "engine", "weights", "app")
_COMPONENT = re.compile(rf"({'|'.join(COMPONENTS)})|engine-\d{{1,2}}")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command(name="logs", help="Show the logs, or follow them with -f; they are kept after a stop.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with every line as it comes, until Ctrl-C.")
@click.option("--component", metavar="NAME", help=f"Only this one's lines: {', '.join(COMPONENTS)}, or engine-2...")
@click.option("--since", metavar="WHEN", help="Only younger lines: 90s, 10m, 2h, 1d, or 2026-01-31T12:00.")
@click.option("--grep", "pattern", metavar="REGEX", help="Only lines in which this is found; case does not matter.")
@click.option("--crash", "crashes", is_flag=True, help="The last crash's report, and a line for each earlier one.")
@click.option("-n", "--lines", type=click.IntRange(0), default=200, show_default=True, help="How many old lines.")
@click.pass_obj
def command(
    context: Context,
    *,
    following: bool,
    component: str | None,
    since: str | None,
    pattern: str | None,
    crashes: bool,
    lines: int,
) -> None:
    """Prints log lines; with ``--json`` each as an object."""
    if component is not None and not _COMPONENT.fullmatch(component):
        raise ConfigError(
            f"--component {component!r:.60} is no component.", fix=f"Use {', '.join(COMPONENTS)}, or engine-2..."
        )
    log_dir = instance_paths(context.load_config()).log_dir
    _check_readable(log_path(log_dir, 0))
    if crashes:
        _show_crashes(context, log_dir, component, lines)
        return
    test = wanted(component=component, since=_moment(since), pattern=_compiled(pattern))
    if following:
        for line in follow(log_dir, test=test, stop=threading.Event(), last=lines):
            context.output.result(asdict(parse_line(line)), line)
        return
    found = read_lines(log_dir, test=test, last=lines) if lines else []
    for line in found:
        context.output.result(asdict(parse_line(line)), line)
    if not found:
        context.output.note(f"There are no such lines in {log_dir}.")


def _check_readable(log: Path) -> None:
    """Makes sure that no lines means that there are none.

    Raises:
        StorageError: when the log is there and may not be read.
    """
    try:
        log.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(f"The log {log} cannot be read: {error.strerror}.", fix=OTHER_USER_FIX) from None


def _show_crashes(context: Context, log_dir: Path, component: str | None, lines: int) -> None:
    reports = read_reports(log_dir, component=component)
    if not reports:
        context.output.result({"crashes": []}, f"No crash is on record in {log_dir}.")
        return
    context.output.result({"crashes": reports}, lambda: "\n".join(_report_lines(reports, lines)))


def _report_lines(reports: list[dict[str, Any]], lines: int) -> Iterator[str]:
    newest, *older = reports
    yield crash_line(newest)
    memory = newest.get("peak_bytes")
    yield f"stage {newest.get('stage') or 'unknown'}, pid {newest.get('pid')}, ran {newest.get('ran_s', 0):.0f} s, " + (
        f"at most {memory / 1e6:.0f} MB of memory" if memory else "memory unknown"
    )
    yield from (f"    {text}" for text in (newest.get("lines") or [])[-lines:] if lines)
    yield f"This report: {newest['path']}"
    if older:
        yield "Earlier:"
        yield from (f"  {crash_line(report)}" for report in older)


def _moment(since: str | None) -> str:
    """A moment as the log's times begin; empty when none is given."""
    if since is None:
        return ""
    age = _AGE.fullmatch(since.strip())
    try:
        if age is not None:
            moment = datetime.now(timezone.utc) - timedelta(seconds=float(age[1]) * _UNIT_S[age[2]])
        else:
            moment = datetime.fromisoformat(since.strip())
    except (ValueError, OverflowError):
        raise ConfigError(
            f"--since {since!r:.60} is neither an age nor a time.", fix="Write 90s, 10m, 2h, 1d or 2026-01-31T12:00."
        ) from None
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(
            f"--grep {pattern!r:.60} is no regular expression: {error}.", fix="Write \\ before . ( [ *."
        ) from None
