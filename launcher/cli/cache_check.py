"""``cache verify`` and ``cache repair``: is every file what it should be, and if not, fetch just that one again."""

from __future__ import annotations

import contextlib
import glob
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import size_text
from launcher.cli.app import Context
from launcher.cli.cache_show import cache_option
from launcher.errors import ConfigError, FetchError, LauncherError, StorageError

if TYPE_CHECKING:
    from launcher.cache.repair import Fetch, Repaired
    from launcher.cache.usage import Repo, Revision, Usage
    from launcher.cache.verify import Expected, Report
    from launcher.cli.cache_needs import Named
    from launcher.config import Config
    from launcher.hub.remote_files import RemoteFile

#: A longer list says its length instead of every name.
_MOST_NAMES = 5

_names = click.argument("names", nargs=-1, metavar="[NAME|REPO]...")
_online = click.option("--online", is_flag=True, help="Also compare with what the mirrors list for each commit.")
_quick = click.option("--quick", is_flag=True, help="Compare names, sizes and shapes; read no contents.")


@click.command(
    name="verify",
    help="Check files against receipts, the names of their blobs and their shape. Exit code 0: all is well, "
    "5: something is damaged, 10: with --online, nobody answers for a repository.",
)
@_names
@_online
@_quick
@cache_option
@click.pass_obj
def verify_command(context: Context, *, names: tuple[str, ...], online: bool, quick: bool, cache: Path | None) -> int:
    """Checks a cache; changes nothing."""
    from launcher.cache.leftovers import find_leftovers
    from launcher.cli.cache_needs import load_usage

    config = context.load_config()
    usage = load_usage(config, cache)
    chosen = _chosen(usage, names)
    report, silent = _check(context, config, chosen, online=online, contents=not quick)
    _remember(config, chosen, [finding.repo for finding in report.findings])
    leftovers = find_leftovers(usage, time.time()) if not names else ()
    size = sum(one.size for one in leftovers)
    left = {"leftovers": len(leftovers), "leftover_bytes": size}
    data = {"cache": str(usage.cache), **_report_json(report), "not_compared": silent, **left}
    context.output.result(data, lambda: _report_text(report, "Mend them with: tts-launcher cache repair"))
    if leftovers:
        context.output.note(f"There are {len(leftovers)} leftovers, {size_text(size)}; see: cache prune --leftovers")
    context.output.warnings(f"{name} could not be compared: {reason}" for name, reason in silent.items())
    context.output.warnings(f"{flaw.path} {flaw.reason}." for flaw in usage.flaws)
    if report.findings or any(flaw.kind == "unreadable" for flaw in usage.flaws):
        return StorageError.exit_code
    return FetchError.exit_code if silent else 0


@click.command(
    name="repair",
    help="Check, and fetch the damaged files again; the old ones stay until the new ones are verified.",
)
@_names
@_online
@_quick
@cache_option
@click.pass_obj
def repair_command(context: Context, *, names: tuple[str, ...], online: bool, quick: bool, cache: Path | None) -> int:
    """Mends a cache."""
    from launcher.cache.repair import repair
    from launcher.cli.cache_needs import chosen_cache, load_usage

    config = context.load_config()
    usage = load_usage(config, cache)
    setting = chosen_cache(config, cache)[1]
    chosen = _chosen(usage, names)
    with _locked(context, usage.cache, [named.repo for named in chosen], setting):
        report, silent = _check(context, config, chosen, online=online, contents=not quick)
        if config.is_offline and any(finding.path for finding in report.findings):
            raise FetchError(
                f"{len(report.findings)} damaged files must be fetched, and the network is switched off.",
                fix="Unset LAUNCHER_OFFLINE and HF_HUB_OFFLINE for this command.",
            )
        repos = [named.repo for named in chosen]
        done = repair(repos, report.findings, _fetch_for(context, config, usage.cache), setting)
    _remember(config, chosen, [finding.repo for finding in report.findings] if done.failed else [])
    data = {
        "cache": str(usage.cache),
        **_report_json(report),
        "not_compared": silent,
        "repaired": list(done.files),
        "removed_refs": list(done.refs),
        "failed": done.failed,
    }
    context.output.result(data, lambda: _repaired_text(report, done))
    return FetchError.exit_code if done.failed else 0


def _remember(config: Config, chosen: Sequence[Named], damaged: Sequence[str]) -> None:
    """Lets the alarms know."""
    from launcher.alarms.events import note_verification
    from launcher.cache.layout import cache_dir

    note_verification(cache_dir(config), [named.repo.full_name for named in chosen], damaged)


def _chosen(usage: Usage, names: tuple[str, ...]) -> list[Named]:
    from launcher.cli.cache_needs import Named, select_named

    return select_named(usage, names) if names else [Named(repo) for repo in usage.repos]


def _check(
    context: Context, config: Config, chosen: Sequence[Named], *, online: bool, contents: bool
) -> tuple[Report, dict[str, str]]:
    """The report, and the repositories that no mirror could tell about."""
    from launcher.cache.verify import Verifier

    if online and config.is_offline:
        raise ConfigError("--online needs the network, which is switched off.", fix="Leave out --online.")
    revisions = [
        (named.repo, revision)
        for named in chosen
        for revision in named.repo.revisions
        if named.commit in ("", revision.commit)
    ]
    silent: dict[str, str] = {}
    trees = _online_trees(context, config, revisions, silent) if online else {}

    def knowledge(repo: Repo, revision: Revision) -> Mapping[str, Expected]:
        return {**_known(repo, revision), **trees.get((repo.full_name, revision.commit), {})}

    verifier = Verifier(knowledge, contents=contents, progress=context.output.progress)
    # A name in two lists is checked once.
    unique = list({(repo.folder, one.commit): (repo, one) for repo, one in revisions}.values())
    return verifier.check(unique, [named.repo for named in chosen if not named.commit]), silent


def _known(repo: Repo, revision: Revision) -> dict[str, Expected]:
    """What this disk knows of a revision's files: its receipt, and the library's record."""
    from launcher.cache.verify import Expected
    from launcher.hub.placement import RepoFolder
    from launcher.hub.receipts import known_tree, read_receipt

    folder = RepoFolder(repo.folder.parent, repo.full_name)
    receipt = read_receipt(folder, revision.commit)
    tree = known_tree(folder, repo.full_name, revision.commit)
    by = "the library's record" if receipt is None else "its receipt"
    found = _expected_files(tree.files if tree else (), by)
    for path, one in (receipt.files if receipt else {}).items():
        etag = found[path].etag if path in found else ""
        found[path] = Expected(one.size, etag, one.sha256, by, is_required=True)
    return found


def _expected_files(files: Sequence[RemoteFile], source: str) -> dict[str, Expected]:
    from launcher.cache.verify import Expected

    return {file.path: Expected(file.size, file.etag, file.sha256 or "", source) for file in files}


def _online_trees(
    context: Context, config: Config, revisions: Sequence[tuple[Repo, Revision]], silent: dict[str, str]
) -> dict[tuple[str, str], dict[str, Expected]]:
    from launcher.hub.endpoints import parse_endpoints
    from launcher.hub.fetch import Fetcher, Reporting, Wanted
    from launcher.hub.ranking import Ranking

    endpoints, ranking = parse_endpoints(config), Ranking.load(config)
    trees: dict[tuple[str, str], dict[str, Expected]] = {}
    for repo, revision in revisions:
        where = f"{repo.full_name}@{revision.commit[:12]}"
        order = ranking.order(endpoints, repo.full_name, revision.commit)
        fetcher = Fetcher(repo.folder.parent, order, config.standard, reporting=Reporting(context.output.progress))
        try:
            state, _ = fetcher.plan(Wanted(repo.full_name, revision.commit), update=True)
        except LauncherError as error:
            silent[where] = error.message
            continue
        required = {path for path, one in _known(repo, revision).items() if one.is_required}
        trees[repo.full_name, revision.commit] = {
            path: replace(one, is_required=path in required)
            for path, one in _expected_files(state.tree.files, "the Hub").items()
        }
    return trees


@contextlib.contextmanager
def _locked(context: Context, cache: Path, repos: Sequence[Repo], setting: str) -> Iterator[None]:
    """Keeps a second repair waiting, and finds out at once when the cache cannot be written to."""
    from launcher.cache.folders import storage_error
    from launcher.cache.locking import wait_for_lock

    with contextlib.ExitStack() as locks:
        for folder in sorted({repo.folder for repo in repos}):
            path = cache / ".locks" / folder.name / "tts-launcher-repair.lock"
            try:
                locks.enter_context(wait_for_lock(path, _say_busy(context, folder)))
            except OSError as error:
                raise storage_error(error, setting, cache) from None
        yield


def _say_busy(context: Context, folder: Path) -> Callable[[], None]:
    return lambda: context.output.note(f"Another process is repairing {folder}; waiting for it.")


def _fetch_for(context: Context, config: Config, cache: Path) -> Fetch:
    """How a repair gets fresh files: through the mirrors, with the receipt of where they came from."""
    from launcher.hub.endpoints import parse_endpoints
    from launcher.hub.fetch import Fetcher, Reporting, Wanted
    from launcher.hub.placement import RepoFolder
    from launcher.hub.ranking import Ranking
    from launcher.hub.receipts import read_receipt, write_receipt
    from launcher.hub.selection import Selection

    endpoints, ranking = parse_endpoints(config), Ranking.load(config)
    reporting = Reporting(context.output.progress, context.output.note)

    def fetch(staging: Path, repo: str, commit: str, paths: Sequence[str]) -> Path:
        order = ranking.order(endpoints, repo, commit)
        fetcher = Fetcher(staging, order, config.standard, reporting=reporting, shared=config.is_cache_shared)
        selection = Selection(tuple(glob.escape(path) for path in paths))
        try:
            fetched = fetcher.fetch(Wanted(repo, commit, selection))
        except FetchError as error:
            ranking.note_waits(error.rejected)
            raise
        ranking.learn(endpoints, repo, commit, fetched.rates, fetched.rejected)
        fresh = read_receipt(RepoFolder(staging, repo), commit)
        folder = RepoFolder(cache, repo)
        earlier = read_receipt(folder, commit)
        if fresh is not None and earlier is not None:
            write_receipt(folder, replace(fresh, revision=earlier.revision, seconds=0.0))
        return fetched.state.snapshot

    return fetch


def _report_json(report: Report) -> dict[str, Any]:
    return {
        "ok": not report.findings,
        "findings": [asdict(finding) for finding in report.findings],
        "checked_files": report.checked_files,
        "checked_bytes": report.checked_bytes,
        "unjudged": list(report.unjudged),
        "seconds": round(report.seconds, 3),
    }


def _report_text(report: Report, advice: str) -> str:
    lines = [
        f"{one.repo}{f'@{one.commit[:12]}' if one.commit else ''}: {one.path or one.place} {one.reason}"
        for one in report.findings
    ]
    speed = f", {size_text(report.checked_bytes / report.seconds)}/s" if report.seconds > 0 else ""
    checked = f"{report.checked_files} contents, {size_text(report.checked_bytes)} in {report.seconds:.1f} s{speed}"
    if report.unjudged:
        names = ", ".join(report.unjudged[:_MOST_NAMES]) + " and others" * (len(report.unjudged) > _MOST_NAMES)
        lines.append(f"Nothing is known about {len(report.unjudged)} files; see --online: {names}")
    if report.findings:
        return "\n".join([*lines, f"{len(report.findings)} files are damaged ({checked}). {advice}".rstrip()])
    return "\n".join([*lines, f"All is well ({checked})."])


def _repaired_text(report: Report, done: Repaired) -> str:
    if not report.findings:
        return _report_text(report, "")
    lines = [_report_text(report, "")]
    lines += [f"repaired {name}" for name in done.files]
    lines += [f"removed the reference {name}, whose commit is not here" for name in done.refs]
    lines += [f"not repaired: {name}: {reason}" for name, reason in done.failed.items()]
    return "\n".join(lines)
