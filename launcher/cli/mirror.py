"""``mirror``: where models come from, what each place is worth, and which one served what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import Seconds
from launcher.cli.app import CommandEntry, Context, LazyGroup
from launcher.config.mirror_list import KINDS, MAX_CONNECTIONS, MirrorEntry
from launcher.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.hub.endpoints import Endpoint
    from launcher.hub.probe import ProbeReport

#: Measured with when nothing else is named: the models that most people come for.
DEFAULT_REPO = "IndexTeam/IndexTTS-2"
_HERE = "launcher.cli.mirror"
_COMMANDS = {
    "ls": CommandEntry(f"{_HERE}:list_command", "Show the mirrors in use and where each was set."),
    "test": CommandEntry(f"{_HERE}:test_command", "Measure every mirror: does it hold a repository, how fast is it."),
    "add": CommandEntry(f"{_HERE}:add_command", "Add a mirror to the mirrors file."),
    "rm": CommandEntry(f"{_HERE}:remove_command", "Remove a mirror from the mirrors file."),
    "explain": CommandEntry("launcher.cli.explain:command", "Show which host would serve a file, and which one did."),
}


command = LazyGroup(
    _COMMANDS,
    name="mirror",
    help="Show, test and change where models come from. See docs/mirrors.md.",
)


def split_repo(text: str, revision: str | None, file: str = "") -> tuple[str, str]:
    """The repository and the revision that a name means.

    Args:
        text: ``org/name[@revision]``, or a model of the catalog, which means its first repository that may hold
            ``file``.
        revision: the option's, which wins.
        file: path inside the repository; empty for any.

    Raises:
        ConfigError: when it is no such name.
    """
    from launcher.hub.catalog import lookup
    from launcher.hub.selection import matches

    parts = lookup(text).parts
    part = next((one for one in parts if file and matches(file, one.include)), parts[0])
    return part.repo, revision or part.revision


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def endpoints_in_use(config: Config) -> tuple[Endpoint, ...]:
    """Every endpoint.

    Raises:
        ConfigError: when there is none.
    """
    from launcher.hub.endpoints import parse_endpoints

    found = parse_endpoints(config)
    if not found:
        raise ConfigError("No mirror is listed.", fix="Run: tts-launcher mirror add URL, or remove LAUNCHER_MIRRORS.")
    return found


# ls


@click.command(name="ls", help="Show the mirrors in use, in order, and where each was set.")
@click.pass_obj
def list_command(context: Context) -> None:
    """Prints the endpoints."""
    from launcher.hub.endpoints import mirrors_file
    from launcher.hub.ranking import Ranking

    config = context.load_config()
    endpoints, speeds = endpoints_in_use(config), Ranking.load(config).speeds()
    file = mirrors_file(config)
    context.output.result(
        {
            "mirrors": [_endpoint_json(one, speeds.get(one.url)) for one in endpoints],
            "file": str(file) if file else None,
        },
        lambda: table(
            [
                ("URL", "KIND", "CONNECTIONS", "WEIGHT", "TOKEN", "TRUSTED", "MB/S", "SET BY"),
                *(_endpoint_row(one, speeds.get(one.url)) for one in endpoints),
            ]
        ),
    )
    context.output.warnings(config.warnings)


def _endpoint_json(endpoint: Endpoint, bytes_per_s: float | None) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "kind": endpoint.kind,
        "connections": endpoint.connections,
        "weight": endpoint.weight,
        "has_token": bool(endpoint.token),
        "trusted": endpoint.trusted,
        "source": endpoint.source,
        "bytes_per_s": bytes_per_s,
    }


def _endpoint_row(endpoint: Endpoint, bytes_per_s: float | None) -> tuple[str, ...]:
    return (
        endpoint.url,
        endpoint.kind,
        str(endpoint.connections),
        f"{endpoint.weight:g}",
        "yes" if endpoint.token else "-",
        "yes" if endpoint.trusted else "-",
        shown_speed(bytes_per_s),
        endpoint.source,
    )


def shown_speed(bytes_per_s: float | None) -> str:
    """MB/s with one digit; ``-`` when it is not known."""
    return f"{bytes_per_s / 1e6:.1f}" if bytes_per_s else "-"


# test


@click.command(name="test", help=f"Measure every mirror with REPO (default {DEFAULT_REPO}), all at the same time.")
@click.argument("repo", default=DEFAULT_REPO, metavar="[NAME|REPO[@REVISION]]")
@click.option("--revision", metavar="REV", help="Branch, tag or commit; main by default.")
@click.option(
    "--timeout",
    "round_s",
    type=Seconds(1, 120),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Longest wait for each answer, in seconds.",
)
@click.pass_obj
def test_command(context: Context, repo: str, revision: str | None, round_s: float) -> int:
    """Probes, keeps the ranking, prints it; the exit code says whether any mirror can serve."""
    from launcher.hub.probe import probe
    from launcher.hub.ranking import Ranking, rank

    config = context.load_config()
    if config.is_offline:
        raise ConfigError(
            "mirror test asks the mirrors, and no network may be used.",
            fix="Unset LAUNCHER_OFFLINE and HF_HUB_OFFLINE for this command.",
        )
    endpoints = endpoints_in_use(config)
    name, wanted = split_repo(repo, revision)
    reports = rank(probe(endpoints, name, wanted, config.standard, round_s=round_s), endpoints)
    Ranking.load(config).keep(reports)
    data = [{**report.to_json(), "usable": report.is_usable} for report in reports]
    context.output.result(
        {"repo": name, "revision": wanted, "mirrors": data}, lambda: _reports_text(name, wanted, reports)
    )
    return 0 if any(report.is_usable for report in reports) else FetchError.exit_code


def _reports_text(repo: str, revision: str, reports: Sequence[ProbeReport]) -> str:
    rows = [("", "URL", "MS", "MB/S", "COMMIT", "BYTES FROM", "XET", "VERDICT"), *map(_report_row, reports)]
    sampled = next((report for report in reports if report.path), None)
    lines = [f"{repo} at {revision}" + (f", measured with {sampled.path}" if sampled else ""), "", table(rows)]
    notes = [f"  {report.url} {note}." for report in reports for note in report.notes]
    return "\n".join([*lines, "", *notes] if notes else lines)


def _report_row(report: ProbeReport) -> tuple[str, ...]:
    return (
        "+" if report.is_usable else "x",
        report.url,
        f"{report.latency_s * 1000:.0f}" if report.latency_s is not None else "-",
        shown_speed(report.bytes_per_s),
        report.commit[:8] or "-",
        report.origin.partition("://")[2] or "-",
        report.xet or "-",
        report.rejected or "usable",
    )


# add and rm


def _file_to_change(config: Config) -> Path:
    from launcher.hub.endpoints import mirrors_file

    file = mirrors_file(config)
    if file is None:
        raise ConfigError(
            "LAUNCHER_MIRRORS is a list, which this command does not change.",
            fix="Edit the list, or remove the setting to use a mirrors file.",
        )
    return file


@click.command(name="add", help="Add a mirror to the mirrors file, once it has answered.")
@click.argument("url")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="hub",
    show_default=True,
    help="What it speaks; private is trusted, too.",
)
@click.option("--token-file", default="", metavar="FILE", help="File that holds the token for this mirror alone.")
@click.option(
    "--weight",
    type=click.FloatRange(0.01, 100),
    default=1.0,
    show_default=True,
    metavar="X",
    help="2 prefers it, 0.1 keeps it as a reserve.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, MAX_CONNECTIONS),
    default=8,
    show_default=True,
    metavar="N",
    help="Connections at the same time.",
)
@click.option("--trusted/--untrusted", default=None, help="Whether its word on digests counts alone.")
@click.option("--no-check", is_flag=True, help="Add it even if it does not answer now.")
@click.pass_obj
def add_command(context: Context, /, url: str, no_check: bool, **options: Any) -> None:
    """Checks the entry and the address, then writes the file."""
    from launcher.config.home import whole_path
    from launcher.config.mirror_list import entry
    from launcher.config.parsers import BadValue
    from launcher.hub.endpoints import BUILT_IN, check_encryption, endpoint_from
    from launcher.hub.mirrors_file import add_mirror
    from launcher.hub.probe import answers

    config = context.load_config()
    file = _file_to_change(config)
    if options["token_file"]:  # the file is read from anywhere later
        options["token_file"] = str(whole_path(options["token_file"]))
    try:
        new: MirrorEntry = entry({"url": url, **options})
    except BadValue as bad:
        raise ConfigError(f"The mirror {bad.problem}", fix=bad.fix) from None
    endpoint = endpoint_from(new, "mirror add", Path.cwd())
    check_encryption(endpoint, config)
    if not no_check and not config.is_offline:
        problem = answers(endpoint, config.standard)
        if problem:
            raise FetchError(f"{new.url} {problem}.", fix="Check the address, or add it anyway with --no-check.")
    named = config.standard.get("HF_ENDPOINT", "")
    # A private network keeps its traffic: see `launcher.hub.endpoints`.
    keep_built_in = not named or named in {one.url for one in BUILT_IN.values()}
    add_mirror(file, new, keep_built_in=keep_built_in)
    context.output.result({"added": new.url, "file": str(file)}, f"Added {new.url} to {file}.")


@click.command(name="rm", help="Remove a mirror from the mirrors file, or take a built-in one out of use.")
@click.argument("url")
@click.pass_obj
def remove_command(context: Context, url: str) -> None:
    """Writes the file without the mirror."""
    from launcher.config.mirror_list import normal_url
    from launcher.config.parsers import BadValue
    from launcher.hub.endpoints import BUILT_IN
    from launcher.hub.mirrors_file import remove_mirror

    config = context.load_config()
    file = _file_to_change(config)
    try:
        wanted = BUILT_IN[url].url if url in BUILT_IN else normal_url(url)
    except BadValue as bad:
        raise ConfigError(f"The mirror {bad.problem}", fix=bad.fix) from None
    if wanted == config.standard.get("HF_ENDPOINT"):
        raise ConfigError(f"{wanted} is set by HF_ENDPOINT.", fix="Remove that setting.")
    remove_mirror(file, wanted, {word: endpoint.url for word, endpoint in BUILT_IN.items()})
    context.output.result({"removed": wanted, "file": str(file)}, f"Removed {wanted} from {file}.")
