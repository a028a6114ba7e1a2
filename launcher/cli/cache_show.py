"""``cache ls`` and ``cache where``: what is kept, who needs it, and what it lies on. Nothing is changed."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import age_text, size_text
from launcher.cli.app import Context

if TYPE_CHECKING:
    from launcher.cache.storage import Storage
    from launcher.cache.usage import Repo, Revision, Usage
    from launcher.config import Config

#: Everybody's option for another cache than the pinned one.
cache_option = click.option(
    "--cache",
    "cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Any Hugging Face cache instead of the pinned one (HF_HUB_CACHE).",
)


@click.command(name="ls", help="Show the models in the cache: revisions, sizes, last use, and what needs them.")
@click.option("--revisions", is_flag=True, help="One line for each revision, too.")
@cache_option
@click.pass_obj
def list_command(context: Context, *, revisions: bool, cache: Path | None) -> None:
    """Lists a cache."""
    from launcher.cache.storage import storage_of
    from launcher.cli.cache_needs import catalog_users, load_usage, needed_revisions

    config = context.load_config()
    usage = load_usage(config, cache)
    users, needed = catalog_users(), needed_revisions(config, usage)
    storage = storage_of(usage.cache)
    repos = [_repo_json(repo, users.get(repo.full_name, ()), needed) for repo in usage.repos]
    data = {
        "cache": str(usage.cache),
        "size_bytes": usage.size,
        "free_bytes": storage.free_bytes,
        "storage": storage.kind,
        "repos": repos,
        "flaws": [{"kind": flaw.kind, "path": flaw.path, "reason": flaw.reason} for flaw in usage.flaws],
    }
    context.output.result(data, lambda: _list_text(usage, storage, repos, revisions))
    flaws = [*usage.flaws, *(flaw for repo in usage.repos for flaw in repo.flaws)]
    context.output.warnings(f"{flaw.path} {flaw.reason}." for flaw in flaws)


def _repo_json(repo: Repo, users: tuple[str, ...], needed: dict[tuple[str, str], str]) -> dict[str, Any]:
    owners: dict[tuple[int, int], int] = {}
    for revision in repo.revisions:
        for identity in revision.contents:
            owners[identity] = owners.get(identity, 0) + 1
    return {
        "kind": repo.kind,
        "name": repo.name,
        "path": str(repo.folder),
        "size_bytes": repo.size,
        "lent_bytes": sum(one.size for one in repo.contents.values() if one.is_lent),
        "last_use": _time_text(repo.used_at),
        "used_at": repo.used_at,
        "catalog": list(users),
        "unused_bytes": sum(one.size for one in repo.unused),
        "revisions": [_revision_json(repo, one, owners, needed) for one in repo.revisions],
        "flaws": [{"kind": flaw.kind, "path": flaw.path, "reason": flaw.reason} for flaw in repo.flaws],
    }


def _revision_json(
    repo: Repo, revision: Revision, owners: dict[tuple[int, int], int], needed: dict[tuple[str, str], str]
) -> dict[str, Any]:
    own = sum(content.size for identity, content in revision.contents.items() if owners[identity] == 1)
    used_at = revision.used_at
    return {
        "commit": revision.commit,
        "refs": list(revision.refs),
        "path": str(revision.folder),
        "files": len(revision.entries),
        "size_bytes": revision.size,
        "own_bytes": own,
        "last_use": _time_text(used_at),
        "used_at": used_at,
        "needed": needed.get((repo.full_name, revision.commit), ""),
    }


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds") if seconds else ""


def _list_text(usage: Usage, storage: Storage, repos: list[dict[str, Any]], with_revisions: bool) -> str:
    count = sum(len(repo["revisions"]) for repo in repos)
    lines = [
        f"{usage.cache}: {len(repos)} repositories, {count} revisions, {size_text(usage.size)}; "
        f"{size_text(storage.free_bytes)} free ({storage.meaning})"
    ]
    width = max((len(repo["name"]) for repo in repos), default=0)
    now = time.time()
    for repo in sorted(repos, key=lambda one: (-int(one["size_bytes"]), str(one["name"]))):
        refs = sorted({ref for revision in repo["revisions"] for ref in revision["refs"]})
        what = "" if repo["kind"] == "model" else f"{repo['kind']}; "
        what += f"{size_text(repo['lent_bytes'])} lent by a base; " if repo["lent_bytes"] else ""
        used = age_text(now - repo["used_at"]) if repo["used_at"] else "never"
        needed = any(revision["needed"] for revision in repo["revisions"])
        models = f"{', '.join(repo['catalog'])}{' (needed)' * needed}"
        lines.append(
            f"{size_text(repo['size_bytes']):>10}  {used:<15}  {repo['name']:<{width}}  "
            f"{what}{len(repo['revisions'])} revisions{': ' * bool(refs)}{', '.join(refs)}  {models}".rstrip()
        )
        if with_revisions:
            lines += [f"{'':>12}{_revision_text(one)}" for one in repo["revisions"]]
    return "\n".join(lines)


def _revision_text(one: dict[str, Any]) -> str:
    refs = f" ({', '.join(one['refs'])})" if one["refs"] else ""
    needed = f"; {one['needed']}" if one["needed"] else ""
    return (
        f"{one['commit'][:12]}{refs}: {size_text(one['size_bytes'])} in {one['files']} files, "
        f"{size_text(one['own_bytes'])} in no other{needed}"
    )


@click.command(name="where", help="Show every pinned path, why it is there, and what it lies on.")
@click.pass_obj
def where_command(context: Context) -> None:
    """Lists the paths."""
    config = context.load_config()
    rows = [_place_json(name, Path(path), why) for name, path, why in _places(config)]
    context.output.result({"places": rows}, lambda: "\n".join(_place_text(row) for row in rows))
    context.output.warnings(note for row in rows for note in row["notes"])


def _places(config: Config) -> list[tuple[str, str, str]]:
    """Name, path and the reason for everything that is pinned."""
    from launcher.cache.layout import OWN_FOLDERS, cache_dir, instance_paths, pins

    sources = {value.name: value.source for value in config.values}
    where = {"environment": "set in the environment", ".env": "set in .env", "flag": "given on the command line"}
    root = where.get(sources.get("LAUNCHER_DATA_DIR", ""), "the system's folder for user data")
    below = f"below LAUNCHER_DATA_DIR ({root})"
    found = [("LAUNCHER_DATA_DIR", str(config.data_dir), root)]
    for pin in pins(config):
        why = below
        if pin.source == "user":
            why = where.get(sources.get(pin.name, ""), "set by you")
        elif pin.name in ("HF_HUB_CACHE", "HF_XET_CACHE") and config.standard.get("HF_HOME"):
            why = f"below HF_HOME ({where.get(sources.get('HF_HOME', ''), 'set by you')})"
        found.append((pin.name, pin.path.partition(os.pathsep)[0] if pin.name == "NLTK_DATA" else pin.path, why))
    found += [(name, str(cache_dir(config) / name), below) for name in OWN_FOLDERS]
    paths = instance_paths(config)
    short = "in /tmp, because the name of a socket has to be short"
    runtime = below if paths.runtime_dir.parent == paths.root else short
    return [
        *found,
        ("engines", str(config.data_dir / "engines"), below),
        ("logs", str(paths.log_dir), below),
        ("temporary", str(paths.temp_dir), f"{below}; emptied at every start"),
        ("sockets", str(paths.runtime_dir), runtime),
    ]


def _place_json(name: str, path: Path, why: str) -> dict[str, Any]:
    from launcher.cache.storage import storage_of

    storage = storage_of(path)
    notes = []
    lasting = name not in ("temporary", "sockets", "GRADIO_TEMP_DIR")
    if lasting and not storage.is_persistent:
        notes.append(f"{name}: {path} lies in {storage.meaning}.")
    if storage.is_read_only and lasting:
        notes.append(f"{name}: {path} lies on a read-only file system.")
    owner = _other_owner(path)
    if owner:
        notes.append(f"{name}: {path} belongs to {owner}.")
    return {
        "name": name,
        "path": str(path),
        "why": why,
        "exists": path.exists(),
        **storage.to_json(),
        "notes": notes,
    }


def _other_owner(path: Path) -> str:
    """Who else owns the folder; empty when it is ours, not there, or the system knows no owners."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    if os.name != "posix" or owner == os.getuid():
        return ""
    import pwd

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def _place_text(row: dict[str, Any]) -> str:
    spins = {True: ", spinning (or so the system says)", False: ", SSD", None: ""}[row["rotational"]]
    there = "" if row["exists"] else " (not made yet)"
    what = {"disk": "disk", "tmpfs": "memory", "overlay": "container layer", "network": "network"}
    kind = what.get(row["kind"], row["kind"])
    return (
        f"{row['name']:<22} {row['path']}{there}\n"
        f"{'':<22} {kind}, {row['filesystem'] or 'type not known'}{spins}; {size_text(row['free_bytes'])} free; "
        f"{row['why']}"
    )
