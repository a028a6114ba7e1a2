"""``cache prune``: what nothing needs goes, after everything was named and somebody has said yes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import parse_age, parse_size, size_text
from launcher.cli.app import Context
from launcher.cli.cache_show import cache_option
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from launcher.cache.leftovers import Leftover
    from launcher.cache.prune import Plan, Removal, Rules
    from launcher.cache.usage import Repo, Revision, Usage
    from launcher.cli.cache_needs import Named
    from launcher.config import Config

_HELP = """Remove what nothing needs: by age, old revisions, a budget, or what interrupted programs have left.

Without a rule: old revisions and leftovers. With names and no rule: all of them. What the engines and LAUNCHER_MODELS
need stays unless it is named. Everything is listed first; without --yes you are asked, and where nobody can answer
nothing is removed (exit code 2)."""


@click.command(name="prune", help=_HELP)
@click.argument("names", nargs=-1, metavar="[NAME|REPO[@REVISION]]...")
@click.option("--unused-for", metavar="TIME", help="Revisions that nobody has read for so long, such as 90d.")
@click.option("--old-revisions", is_flag=True, help="Revisions that no branch names any more.")
@click.option("--keep-below", metavar="SIZE", help="The least recently used until the cache is below, such as 200GB.")
@click.option("--leftovers", is_flag=True, help="Cut-off downloads, temporary files, blobs that nothing names, locks.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cache_option
@click.pass_obj
def command(
    context: Context,
    *,
    names: tuple[str, ...],
    unused_for: str | None,
    old_revisions: bool,
    keep_below: str | None,
    leftovers: bool,
    dry_run: bool,
    yes: bool,
    cache: Path | None,
) -> int:
    """Plans, asks, removes."""
    from launcher.cache.prune import Rules, carry_out
    from launcher.cli.cache_needs import chosen_cache, load_usage

    config = context.load_config()
    has_rule = old_revisions or leftovers or unused_for is not None or keep_below is not None
    rules = Rules(
        None if unused_for is None else parse_age(unused_for, "--unused-for"),
        old_revisions or not (has_rule or names),
        None if keep_below is None else parse_size(keep_below, "--keep-below"),
        everything=bool(names) and not has_rule,
    )
    usage = load_usage(config, cache)
    plan = _plan(config, usage, names, rules, with_leftovers=leftovers or not (has_rule or names))
    _warn_of_unknown_use(context, usage, rules)
    data = {"cache": str(usage.cache), **_plan_json(plan), "removed": False, "busy": {}}
    is_empty = not plan.removals and not plan.leftovers
    if dry_run or is_empty:
        context.output.result(data, lambda: _plan_text(plan, usage.cache, rules))
        return 0
    if not yes:
        context.output.note(_plan_text(plan, usage.cache, rules))
        if not context.output.confirm(f"Remove {size_text(plan.freed_bytes)} from {usage.cache}?"):
            context.output.result(data, "Nothing was removed.")
            context.output.note("Run the same command with --yes, or in a terminal and say yes.")
            return ConfigError.exit_code
    done, busy = carry_out(plan, usage.cache, chosen_cache(config, cache)[1])
    data = {**data, "removed": True, "busy": busy}
    context.output.result(data, lambda: _done_text(plan, done))
    context.output.warnings(f"{name} was left alone: it {reason}." for name, reason in busy.items())
    return 0


def _plan(config: Config, usage: Usage, names: tuple[str, ...], rules: Rules, *, with_leftovers: bool) -> Plan:
    from launcher.cache.leftovers import find_leftovers
    from launcher.cache.prune import plan
    from launcher.cli.cache_needs import Named, needs, select_named

    named = select_named(usage, names)
    needed = needs(config, usage)
    now = time.time()
    chosen = [
        (one.repo, revision)
        for one in (named or [Named(repo) for repo in usage.repos])
        for revision in one.repo.revisions
        if one.commit in ("", revision.commit)
    ]
    found: Sequence[Leftover] = ()
    if with_leftovers:
        found = find_leftovers(usage, now)
        folders = tuple(one.repo.folder for one in named)
        found = [one for one in found if not named or any(one.path.is_relative_to(folder) for folder in folders)]
    unique = {(repo.folder, revision.commit): (repo, revision) for repo, revision in chosen}

    def stays(repo: Repo, revision: Revision) -> str:
        return _reason_to_stay(repo, revision, named, needed)

    return plan(usage, list(unique.values()), rules, stays, now=now, leftovers=found)


def _reason_to_stay(
    repo: Repo, revision: Revision, named: Sequence[Named], needed: dict[tuple[str, str], dict[str, str]]
) -> str:
    """Why it stays; who names a repository wants it gone, who names a model only what no other model needs."""
    reasons = needed.get((repo.full_name, revision.commit), {})
    ours = [one for one in named if one.repo.folder == repo.folder]
    if any(not one.entry for one in ours):
        return ""
    entries = {one.entry for one in ours}
    return next((reason for entry, reason in reasons.items() if entry not in entries), "")


def _warn_of_unknown_use(context: Context, usage: Usage, rules: Rules) -> None:
    from launcher.cache.storage import storage_of

    if (rules.unused_for_s is not None or rules.keep_below_bytes is not None) and not storage_of(usage.cache).notes_use:
        context.output.warnings(
            [f"The disk of {usage.cache} does not note when files are read (noatime): age counts from their arrival."]
        )


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "revisions": [
            {
                "repo": one.repo.full_name,
                "kind": one.repo.kind,
                "commit": one.revision.commit,
                "refs": list(one.revision.refs),
                "reason": one.reason,
                "frees_bytes": one.size,
            }
            for one in plan.removals
        ],
        "leftovers": [
            {"kind": one.kind, "path": str(one.path), "size_bytes": one.size, "reason": one.reason}
            for one in plan.leftovers
        ],
        "kept": dict(plan.kept),
        "frees_bytes": plan.freed_bytes,
        "size_bytes": plan.size_before,
        "size_after_bytes": plan.size_after,
    }


def _plan_text(plan: Plan, cache: Path, rules: Rules) -> str:
    lines = [
        f"{size_text(one.size):>10}  {one.repo.full_name}@{one.revision.commit[:12]}{_refs_text(one)} {one.reason}"
        for one in plan.removals
    ]
    lines += [f"{size_text(one.size):>10}  {one.path}: {one.reason}" for one in plan.leftovers]
    lines += [f"{'stays':>10}  {name}: {reason}" for name, reason in plan.kept.items()]
    if rules.keep_below_bytes is not None and plan.size_after >= rules.keep_below_bytes:
        lines.append(f"The rest, {size_text(plan.size_after)}, is more than {size_text(rules.keep_below_bytes)}.")
    if not plan.removals and not plan.leftovers:
        return "\n".join([*lines, f"There is nothing to remove from {cache} ({size_text(plan.size_before)})."])
    lines.append(
        f"{size_text(plan.freed_bytes):>10}  in all: {len(plan.removals)} revisions, {len(plan.leftovers)} leftovers; "
        f"{size_text(plan.size_after)} of models stay"
    )
    return "\n".join(lines)


def _refs_text(one: Removal) -> str:
    return f" ({', '.join(one.revision.refs)})" if one.revision.refs else ""


def _done_text(plan: Plan, done: Sequence[Removal]) -> str:
    lines = [f"removed {one.repo.full_name}@{one.revision.commit[:12]}: {size_text(one.size)}" for one in done]
    lines += [f"removed {one.path}: {size_text(one.size)}" for one in plan.leftovers]
    freed = sum(one.size for one in done) + sum(one.size for one in plan.leftovers)
    return "\n".join([*lines, f"{size_text(freed)} free again."])
