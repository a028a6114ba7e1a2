"""``models``: which models there are, and what of each is on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import Context
from launcher.cli.mirror import table
from launcher.hub.remote_files import COMMIT

if TYPE_CHECKING:
    from launcher.hub.catalog import CatalogEntry, Part

_MB = 1_000_000
_MOST_NAMES = 3


@click.command(name="models", help="Show the models of the catalog: present, partial or missing, size and commit.")
@click.pass_obj
def command(context: Context) -> None:
    """Lists the catalog; asks nobody."""
    from launcher.cache.layout import hub_cache
    from launcher.hub.catalog import catalog

    config = context.load_config()
    cache = hub_cache(config)
    models = [_model_json(cache, entry) for entry in catalog()]
    context.output.result({"models": models}, lambda: _models_text(models))


def _model_json(cache: Path, entry: CatalogEntry) -> dict[str, Any]:
    parts = [_part_json(cache, part) for part in entry.parts]
    # What is optional does not keep a model from being present; it counts as soon as some of it is there.
    states = {part["state"] for part in parts if not part["optional"]}
    begun = any(part["present_bytes"] for part in parts)
    return {
        "name": entry.name,
        "title": entry.title,
        "engines": list(entry.engines),
        "extends": list(entry.extends),
        "state": states.pop() if len(states) == 1 and not ("missing" in states and begun) else "partial",
        "size_bytes": sum(part["size_bytes"] for part in parts),
        "present_bytes": sum(part["present_bytes"] for part in parts),
        "repos": parts,
    }


def _part_json(cache: Path, part: Part) -> dict[str, Any]:
    from launcher.hub.wanted import look

    state = look(cache, part.wanted)
    facts: dict[str, Any] = {
        "repo": part.repo,
        "revision": part.revision,
        "licence": part.licence,
        "optional": part.optional,
        "commit": "",
        "missing": [],
    }
    if state is None:
        # What the catalog knows beforehand; a few small files are not in it.
        return {**facts, "state": "missing", "size_bytes": sum(part.sizes.values()), "present_bytes": 0}
    total = sum(file.size for file in state.selected.files)
    present = total - state.missing_bytes
    missing = [file.path for file in state.missing]
    word = "present" if not missing else "partial" if present else "missing"
    return {
        **facts,
        "state": word,
        "commit": state.tree.commit,
        "missing": missing,
        "size_bytes": total,
        "present_bytes": present,
    }


def _models_text(models: Sequence[dict[str, Any]]) -> str:
    rows = [("MODEL", "STATE", "HERE", "SIZE", "COMMIT", "LICENCE", "")]
    for model in models:
        sizes = _size(model["present_bytes"]), _size(model["size_bytes"])
        rows.append((model["name"], model["state"], *sizes, "", "", model["title"]))
        for repo in model["repos"]:
            sizes = _size(repo["present_bytes"]), _size(repo["size_bytes"])
            what = f"optional: {repo['optional']}" if repo["optional"] else ""
            if repo["missing"] and repo["state"] == "partial":
                named = ", ".join(repo["missing"][:_MOST_NAMES])
                more = len(repo["missing"]) - _MOST_NAMES
                what = f"lacks {named}{f' and {more} more' if more > 0 else ''}"
            rows.append((f"  {repo['repo']}", repo["state"], *sizes, _commit(repo), repo["licence"], what))
    return table(rows)


def _commit(repo: dict[str, Any]) -> str:
    """The commit that is here, or in brackets the one that would be fetched when that is fixed."""
    pinned = repo["revision"][:12] if COMMIT.fullmatch(repo["revision"]) else ""
    return repo["commit"][:12] or (f"({pinned})" if pinned else "")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _MB:,.1f} MB" if size_bytes else "-"
