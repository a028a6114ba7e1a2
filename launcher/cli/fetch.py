"""``fetch``: models from the best mirrors into the cache, or what that would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import Context
from launcher.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from launcher.hub.fetch import Fetched, State, Wanted

_MB = 1_000_000
#: A list that is longer says its length instead of every name.
_MOST_NAMES = 12


@click.command(name="fetch", help="Fetch models (see: models) or repositories (org/name[@revision][:patterns]).")
@click.argument("names", nargs=-1, metavar="[NAME|REPO]...")
@click.option("--revision", metavar="REV", help="Branch, tag or commit; the default is the catalog's, or main.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only files that fit; may be given again.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="No files that fit; may be given again.")
@click.option("--no-optional", "without_optional", is_flag=True, help="Leave out what a model also works without.")
@click.option("--to-dir", type=click.Path(path_type=Path, file_okay=False), help="Also put the files into this folder.")
@click.option("--update", is_flag=True, help="Ask for the newest commit even when the last one is complete.")
@click.option("--dry-run", is_flag=True, help="Show what would be fetched and what would be skipped.")
@click.option("--offline", is_flag=True, help="Use no network; fail with the list of what is missing.")
@click.pass_obj
def command(
    context: Context,
    *,
    names: tuple[str, ...],
    revision: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    without_optional: bool,
    to_dir: Path | None,
    update: bool,
    dry_run: bool,
    offline: bool,
) -> None:
    """Fetches, or says what is missing."""
    from launcher.cache.layout import hub_cache
    from launcher.hub.bringing import bring
    from launcher.hub.endpoints import parse_endpoints
    from launcher.hub.fetch import Fetcher, Reporting

    if not names:
        raise ConfigError(
            "fetch needs the name of a model or a repository.", fix="See the names with: tts-launcher models."
        )
    config = context.load_config()
    wanted = _wanted(names, revision, include, exclude, without_optional=without_optional)
    if offline or config.is_offline:
        states = _check_offline(hub_cache(config), wanted)
        _place(to_dir, states)
        data = {"repos": [_state_json(one, state) for one, state in zip(wanted, states, strict=True)]}
        context.output.result(data, lambda: "\n".join(f"{one.repo}: complete" for one in wanted))
        return
    reporting = Reporting(context.output.progress, context.output.note)
    if dry_run:
        fetcher = Fetcher(hub_cache(config), parse_endpoints(config), config.standard, reporting=reporting)
        plans = [(one, *fetcher.plan(one, update=update)) for one in wanted]
        shown = {"repos": [{**_state_json(one, state), "rejected": dict(bad)} for one, state, bad in plans]}
        context.output.result(shown, lambda: "\n".join(_plan_text(one, state, bad) for one, state, bad in plans))
        return
    done = bring(config, wanted, reporting, update=update)
    _place(to_dir, [fetched.state for _, fetched in done])
    data = {"repos": [_fetched_json(one, fetched) for one, fetched in done]}
    context.output.result(data, lambda: "\n".join(_fetched_text(one, fetched) for one, fetched in done))


def _wanted(
    names: Sequence[str],
    revision: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    without_optional: bool = False,
) -> list[Wanted]:
    from launcher.hub.catalog import lookup
    from launcher.hub.selection import Selection

    found: dict[Wanted, None] = {}
    entries = [lookup(name) for name in names]
    for part in (part for one in entries for part in (one.needed_parts if without_optional else one.parts)):
        one = part.wanted
        chosen = Selection(include or one.selection.include, exclude)
        # Digests are known for one commit.
        pinned = one.pinned if revision in (None, one.revision) else {}
        found[replace(one, revision=revision or one.revision, selection=chosen, pinned=pinned)] = None
    return list(found)


def _check_offline(cache: Path, wanted: Sequence[Wanted]) -> list[State]:
    """What is there, when nothing is missing.

    Raises:
        FetchError: naming what is missing.
    """
    from launcher.hub.wanted import look

    states, missing = [], []
    for one in wanted:
        state = look(cache, one)
        if state is None:
            missing.append(one.repo)
        else:
            states.append(state)
            missing += [f"{one.repo}/{file.path}" for file in state.missing]
    if missing:
        names = ", ".join(missing[:_MOST_NAMES]) + (
            f" and {len(missing) - _MOST_NAMES} more" * (len(missing) > _MOST_NAMES)
        )
        raise FetchError(f"Missing in {cache}: {names}.", fix="Run the same command once with a network.")
    return states


def _place(to_dir: Path | None, states: Sequence[State]) -> None:
    from launcher.hub.placement import copy_into

    if to_dir is not None:
        for state in states:
            copy_into(to_dir, state.snapshot, [file.path for file in state.selected.files])


def _state_json(wanted: Wanted, state: State) -> dict[str, Any]:
    return {
        "repo": wanted.repo,
        "revision": wanted.revision,
        "commit": state.tree.commit,
        "snapshot": str(state.snapshot),
        "files": [{"path": file.path, "size_bytes": file.size} for file in state.selected.files],
        "missing": [file.path for file in state.missing],
        "missing_bytes": state.missing_bytes,
        "skipped": [
            {"path": file.path, "size_bytes": file.size, "reason": reason} for file, reason in state.selected.skipped
        ],
        "vouchers": list(state.tree.vouchers),
    }


def _fetched_json(wanted: Wanted, fetched: Fetched) -> dict[str, Any]:
    return {
        **_state_json(wanted, fetched.state),
        "fetched": list(fetched.received),
        "hosts": dict(fetched.hosts),
        "rejected": dict(fetched.rejected),
        "seconds": round(fetched.seconds, 3),
    }


def _plan_text(wanted: Wanted, state: State, rejected: Mapping[str, str]) -> str:
    total = sum(file.size for file in state.selected.files)
    lines = [
        f"{wanted.repo}@{state.tree.commit[:12]}: {len(state.selected.files)} files, {total / _MB:,.1f} MB, "
        f"{state.missing_bytes / _MB:,.1f} MB to fetch"
    ]
    missing = {file.path for file in state.missing}
    lines += [
        f"  {'fetch' if file.path in missing else 'there':<6} {file.size / _MB:>10,.1f} MB  {file.path}"
        for file in state.selected.files
    ]
    lines += [
        f"  {'skip':<6} {file.size / _MB:>10,.1f} MB  {file.path} ({reason})" for file, reason in state.selected.skipped
    ]
    lines += [f"  {url} is left out: it {reason}" for url, reason in rejected.items()]
    return "\n".join(lines)


def _fetched_text(wanted: Wanted, fetched: Fetched) -> str:
    where = f"{wanted.repo}@{fetched.state.tree.commit[:12]}"
    if not fetched.received:
        return f"{where}: complete in {fetched.state.snapshot}"
    size = sum(fetched.hosts.values())
    hosts = ", ".join(f"{url} {part / _MB:,.1f} MB" for url, part in sorted(fetched.hosts.items()))
    speed = size / _MB / max(fetched.seconds, 1e-3)
    return (
        f"{where}: {len(fetched.received)} files, {size / _MB:,.1f} MB in {fetched.seconds:.1f} s ({speed:,.1f} MB/s)\n"
        f"  from {hosts}\n  in {fetched.state.snapshot}"
    )
