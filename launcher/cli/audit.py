"""``audit``: what a downloaded package really contains.

Invariant: the exit code is 0 when everything is clean, 1 when something is surplus or suspicious, 2 when something is
dangerous.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli.app import Context
from launcher.errors import FetchError
from launcher.progress import Progress

if TYPE_CHECKING:
    from launcher.audit.contents import Remark
    from launcher.audit.package import Report, Tell
    from launcher.config import Config

_HELP = """Show what models or folders really contain: training leftovers, datasets, scripts, pickles that would run
something, files that do not belong, and who sent them. Nothing is run and nobody is asked.

NAME is a model of the catalog (see: models), org/name or a folder; without one, every model that is here.

Exit code: 0 clean, 1 surplus or suspicious files, 2 something dangerous.
"""
_MARKS = {"clean": "ok", "surplus": "note", "suspicious": "WARN", "dangerous": "FAIL"}
_MOST_LINES = 30


@click.command(name="audit", help=_HELP)
@click.argument("names", nargs=-1, metavar="[NAME|DIR]...")
@click.pass_obj
def command(context: Context, *, names: tuple[str, ...]) -> int:
    """Reads, prints, returns the exit code."""
    from launcher.audit.package import exit_code

    config = context.load_config()
    count = itertools.count(1)
    reports = _reports(config, names, lambda path: context.output.progress(Progress("read", next(count), unit="files")))
    context.output.result(
        {"packages": [one.to_json() for one in reports], "exit_code": exit_code(reports)},
        lambda: "\n\n".join(map(_text, reports)) or "No model is here.",
    )
    return exit_code(reports)


def _reports(config: Config, names: Sequence[str], tell: Tell) -> list[Report]:
    """One for each repository or folder.

    Raises:
        FetchError: when a model that was named is not here.
    """
    from launcher.audit.package import audit_folder, audit_part, merged
    from launcher.cache.layout import hub_cache
    from launcher.config.home import whole_path
    from launcher.hub.catalog import catalog, lookup

    cache = hub_cache(config)
    reports: dict[Path, Report] = {}
    for name in names or [entry.name for entry in catalog()]:
        if names and (name.startswith((".", "/", "~")) or Path(name).is_dir()):
            found = [audit_folder(whole_path(name), tell)]
        else:
            parts = [audit_part(cache, part, tell) for part in merged(lookup(name).parts)]
            found = [one for one in parts if one is not None]
            if names and not found:
                raise FetchError(f"Nothing of {name} is in {cache}.", fix=f"Run: tts-launcher fetch {name}")
        reports.update({one.folder: one for one in found})
    return list(reports.values())


def _text(report: Report) -> str:
    at = f"@{report.commit[:12]}" if report.commit else ""
    lines = [
        f"{_MARKS[report.verdict]:<4}  {report.name}{at}: {report.verdict}, {report.files} files, "
        f"{report.size_bytes / 1e6:,.1f} MB",
        f"      {_origin(report)}",
    ]
    lines += [_line(remark) for remark in report.remarks[:_MOST_LINES]]
    if len(report.remarks) > _MOST_LINES:
        lines.append(f"      and {len(report.remarks) - _MOST_LINES} more (--json shows all)")
    return "\n".join(lines)


def _origin(report: Report) -> str:
    if report.unvouched and len(report.unvouched) == report.files:
        return "no receipt: nobody noted where these files came from"
    hosts = ", ".join(f"{url} ({size / 1e6:,.1f} MB)" for url, size in sorted(report.hosts.items()))
    text = f"from {hosts}" if hosts else "found on this disk, fetched by another program"
    if report.vouchers:
        text += f"; digests vouched for by {', '.join(report.vouchers)}"
    return text + (f"; {len(report.unvouched)} files have no receipt" if report.unvouched else "")


def _line(remark: Remark) -> str:
    size = f" ({remark.size_bytes / 1e6:,.1f} MB)" if remark.size_bytes >= 100_000 else ""
    # Names come from strangers: a terminal would obey control characters in them.
    text = "".join(letter if letter.isprintable() else "?" for letter in f"{remark.path}{size} {remark.detail}")
    return f"  {_MARKS[remark.verdict]:<4}  {text}"
