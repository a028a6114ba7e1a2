"""``cache migrate``: an old cache comes into the pinned place, and its old name leads there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import size_text
from launcher.cli.app import Context
from launcher.errors import LauncherError, StorageError

if TYPE_CHECKING:
    from launcher.cache.migrate import Migrated
    from launcher.cache.migrate_find import OldCache
    from launcher.cache.migrate_plan import Plan
    from launcher.config import Config
    from launcher.hub.adoption import Adopted, Matched
    from launcher.hub.remote_files import RepoTree
    from launcher.hub.wanted import Wanted

_MOST_NAMES = 8


@click.command(
    name="migrate",
    help="Bring an old cache (~/.cache/huggingface, ~/.cache/torch, checkpoints/, another user's) into the pinned "
    "place; its old name becomes a link. Without FROM: show what the usual places hold.",
)
@click.argument("source", metavar="[FROM]", required=False, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be done and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--offline", is_flag=True, help="Ask no mirror what checkpoints are; the catalog alone knows them.")
@click.pass_obj
def migrate_command(context: Context, *, source: Path | None, dry_run: bool, yes: bool, offline: bool) -> None:
    """Moves caches, or lists them."""
    from launcher.cache.journal import alone
    from launcher.cache.layout import journal_dir
    from launcher.cache.migrate_find import find

    config = context.load_config()
    if source is None:
        _list_places(context, config)
        return
    if dry_run:
        found = find(source, _targets(config))
        shown = [_planned(context, config, one, offline) for one in found]
        data = {"from": str(source), "dry_run": True, "caches": [facts for facts, _ in shown]}
        context.output.result(data, lambda: "\n".join(text for _, text in shown) or _nothing(source))
        return
    with alone(journal_dir(config)):
        done = _finish_unfinished(context, config)
        found = find(source, _targets(config))
        done += [_move(context, config, one, yes, offline) for one in found]
    data = {"from": str(source), "caches": [facts for facts, _ in done]}
    context.output.result(data, lambda: "\n".join(text for _, text in done) or _nothing(source))


def _nothing(source: Path) -> str:
    return f"{source} leads to the pinned place already; there is nothing to do."


def _targets(config: Config) -> dict[str, Path]:
    from launcher.cache.layout import pins

    places = {pin.name: Path(pin.path) for pin in pins(config)}
    return {"hub": places["HF_HUB_CACHE"], "torch": places["TORCH_HOME"], "modelscope": places["MODELSCOPE_CACHE"]}


def _list_places(context: Context, config: Config) -> None:
    from launcher.cache.layout import journal_dir
    from launcher.cache.migrate import start_of, unfinished
    from launcher.cache.migrate_find import find, size_of, usual_places
    from launcher.config.home import home_folder

    caches: list[dict[str, Any]] = []
    for place in usual_places(home_folder(), Path.cwd(), os.environ):
        try:
            old = find(place, _targets(config))
        except LauncherError:
            continue
        caches += [
            {"kind": one.kind, "from": str(one.root), "to": str(one.target), "size_bytes": size_of(one.root)}
            for one in old
        ]
    open_ones = [start_of(journal) for journal in unfinished(journal_dir(config))]
    data = {"caches": caches, "unfinished": open_ones}
    lines = [f"{one['kind']:<12} {size_text(one['size_bytes']):>10}  {one['from']}  -> {one['to']}" for one in caches]
    lines += [f"unfinished   {one['root']}  -> {one['target']}: run cache migrate {one['root']}" for one in open_ones]
    lines += ["Bring one with: tts-launcher cache migrate FROM"] if caches else ["No old cache in the usual places."]
    context.output.result(data, "\n".join(lines))


def _finish_unfinished(context: Context, config: Config) -> list[tuple[dict[str, Any], str]]:
    """Ends migrations whose old folder had stepped aside already: a person has agreed to them."""
    from launcher.cache.layout import journal_dir
    from launcher.cache.migrate import Migrated, finish, start_of, unfinished
    from launcher.cache.migrate_find import size_of

    done = []
    for journal in unfinished(journal_dir(config)):
        start, swap = start_of(journal), journal.last("swap")
        root = Path(start["root"])
        if swap is None or not (Path(swap["aside"]).is_dir() or root.is_symlink()):
            continue  # cut off before the old folder stepped aside: migrate does it all again
        left = finish(journal)
        context.output.note(f"An interrupted migration of {start['root']} is complete now.")
        size = size_of(left) if left is not None else 0
        done.append(_told(Migrated(Path(start["root"]), Path(start["target"]), {}, 0, left, size, True)))
    return done


def _planned(context: Context, config: Config, old: OldCache, offline: bool) -> tuple[dict[str, Any], str]:
    from launcher.cache.migrate_plan import make_plan

    if old.kind == "checkpoints":
        matched = _match(context, config, old, offline)
        return _matched_json(old, matched), _matched_text(old, matched)
    plan = make_plan(old)
    return _plan_json(plan), _plan_text(plan)


def _move(context: Context, config: Config, old: OldCache, yes: bool, offline: bool) -> tuple[dict[str, Any], str]:
    from launcher.cache.layout import journal_dir
    from launcher.cache.migrate import journal_of, migrate
    from launcher.cache.migrate_plan import make_plan
    from launcher.hub.adoption import adopt

    if old.kind == "checkpoints":
        matched = _match(context, config, old, offline)
        if matched.adoptions:
            _agree(context, yes, _matched_text(old, matched))
        adopted = adopt(old.target, matched, context.output.progress)
        return _adopted(old, matched, adopted)
    plan = make_plan(old)
    _agree(context, yes, _plan_text(plan))
    return _told(migrate(plan, journal_of(journal_dir(config), old.root), context.output.progress))


def _agree(context: Context, yes: bool, plan: str) -> None:
    if not yes:
        context.output.note(plan)
        if not context.output.confirm("Go on?"):
            raise StorageError("Nothing was changed.", fix="Answer y, or add --yes.")


def _match(context: Context, config: Config, old: OldCache, offline: bool) -> Matched:
    from launcher.cache.migrate_find import loose_files
    from launcher.hub.adoption import match
    from launcher.hub.catalog import catalog

    parts = dict.fromkeys(part for entry in catalog() for part in entry.parts)

    def tree_of(wanted: Wanted) -> RepoTree | None:
        return _tree(context, config, old.target, wanted, offline)

    return match(loose_files(old.root), parts, tree_of)


def _tree(context: Context, config: Config, cache: Path, wanted: Wanted, offline: bool) -> RepoTree | None:
    """What a repository holds, from this disk or from the mirrors."""
    from launcher.hub.endpoints import parse_endpoints
    from launcher.hub.fetch import Fetcher, Reporting
    from launcher.hub.wanted import look

    state = look(cache, wanted)
    if state is not None:
        return state.tree
    if offline or config.is_offline:
        return None
    reporting = Reporting(note=context.output.note)
    try:
        fetcher = Fetcher(cache, parse_endpoints(config), config.standard, reporting=reporting)
        return fetcher.plan(wanted)[0].tree
    except LauncherError as error:
        context.output.note(f"No mirror says what {wanted.repo} holds, so that only large files count: {error.message}")
        return None


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "kind": plan.old.kind,
        "from": str(plan.old.root),
        "to": str(plan.old.target),
        "names": len(plan.items),
        "size_bytes": plan.size,
        "copy_bytes": plan.bytes_to_copy,
        "same_disk": plan.same_disk,
        "leaves_link": plan.movable,
        "dangling": list(plan.dangling),
    }


def _plan_text(plan: Plan) -> str:
    how = "by hard links, no copy" if plan.same_disk else f"{size_text(plan.bytes_to_copy)} to copy and verify"
    after = "a link takes its place" if plan.movable else "it stays, because it may not be changed"
    return (
        f"{plan.old.kind}: {plan.old.root} -> {plan.old.target}\n"
        f"  {len(plan.items)} names, {size_text(plan.size)}; {how}; {after}"
    )


def _told(done: Migrated) -> tuple[dict[str, Any], str]:
    data = {
        "from": str(done.root),
        "to": str(done.target),
        "counts": done.counts,
        "copied_bytes": done.copied_bytes,
        "is_link": done.is_link,
        "left_behind": str(done.left_behind) if done.left_behind else None,
        "left_bytes": done.left_bytes,
        "problems": list(done.problems),
    }
    counts = ", ".join(f"{number} {how}" for how, number in sorted(done.counts.items())) or "finished"
    lines = [f"{done.root} -> {done.target}: {counts}, {size_text(done.copied_bytes)} copied"]
    lines += [f"  the old place is a link now: {done.root}"] if done.is_link else [f"  {done.root} stays as it is"]
    if done.left_behind is not None:
        lines.append(f"  what could not move ({size_text(done.left_bytes)}) is in {done.left_behind}")
    lines += [f"  not moved: {path} (it differs from what is there, or is damaged)" for path in done.problems]
    return data, "\n".join(lines)


def _matched_json(old: OldCache, matched: Matched) -> dict[str, Any]:
    return {
        "kind": old.kind,
        "from": str(old.root),
        "to": str(old.target),
        "size_bytes": matched.size,
        "files": [
            {"path": str(one.source), "repo": one.wanted.repo, "file": one.file.path, "size_bytes": one.file.size}
            for one in matched.adoptions
        ],
        "unknown": [str(path) for path in matched.unknown],
    }


def _matched_text(old: OldCache, matched: Matched) -> str:
    lines = [
        f"{old.kind}: {old.root} -> {old.target}: {len(matched.adoptions)} known files, {size_text(matched.size)}; "
        "large ones become links"
    ]
    lines += [f"  {one.wanted.repo}  {one.source}" for one in matched.adoptions]
    return "\n".join([*lines, *_unknown_lines(matched.unknown)])


def _unknown_lines(unknown: Sequence[Path]) -> list[str]:
    lines = [f"  not known, stays: {path}" for path in unknown[:_MOST_NAMES]]
    return lines + [f"  and {len(unknown) - _MOST_NAMES} more"] * (len(unknown) > _MOST_NAMES)


def _adopted(old: OldCache, matched: Matched, adopted: Adopted) -> tuple[dict[str, Any], str]:
    data = {
        **_matched_json(old, matched),
        "placed": [str(path) for path in adopted.placed],
        "copied_bytes": adopted.copied_bytes,
        "linked": adopted.linked,
        "damaged": [str(path) for path in adopted.damaged],
    }
    lines = [
        f"{old.root} -> {old.target}: {len(adopted.placed)} files are in the cache, "
        f"{adopted.linked} old names are links"
    ]
    lines += [f"  other bytes than its name says, stays: {path}" for path in adopted.damaged]
    return data, "\n".join([*lines, *_unknown_lines(matched.unknown)])
