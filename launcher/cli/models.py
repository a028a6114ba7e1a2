"""``models``: which models there are, and what of each is on this disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import Context

if TYPE_CHECKING:
    from launcher.hub.catalog import CatalogEntry, Part

_MB = 1_000_000


@click.command(name="models", help="Show the models of the catalog: present, partial or missing, size and commit.")
@click.pass_obj
def command(context: Context) -> None:
    """Lists the catalog; asks nobody."""
    from launcher.cache.layout import pins
    from launcher.hub.catalog import catalog

    config = context.load_config()
    cache = next(Path(pin.path) for pin in pins(config) if pin.name == "HF_HUB_CACHE")
    models = [_model_json(cache, entry) for entry in catalog()]
    context.output.result({"models": models}, lambda: "\n".join(_model_text(model) for model in models))


def _model_json(cache: Path, entry: CatalogEntry) -> dict[str, Any]:
    parts = [_part_json(cache, part) for part in entry.parts]
    states = {part["state"] for part in parts}
    return {
        "name": entry.name,
        "title": entry.title,
        "engines": list(entry.engines),
        "state": states.pop() if len(states) == 1 else "partial",
        "size_bytes": sum(part["size_bytes"] for part in parts),
        "present_bytes": sum(part["present_bytes"] for part in parts),
        "repos": parts,
    }


def _part_json(cache: Path, part: Part) -> dict[str, Any]:
    from launcher.hub.fetch import look

    state = look(cache, part.wanted)
    facts: dict[str, Any] = {"repo": part.repo, "licence": part.licence, "commit": "", "missing": []}
    if state is None:
        # What the catalog knows beforehand; small files are not in it.
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


def _model_text(model: dict[str, Any]) -> str:
    size = f"{model['size_bytes'] / _MB:,.0f} MB" if model["size_bytes"] else "size not known"
    if model["state"] == "partial":
        size = f"{model['present_bytes'] / _MB:,.0f} of {size}"
    lines = [f"{model['name']:<16} {model['state']:<8} {size:<24} {model['title']}"]
    for repo in model["repos"]:
        at = f"@{repo['commit'][:12]}" if repo["commit"] else ""
        lines.append(f"    {repo['state']:<8} {repo['repo']}{at} ({repo['licence']})")
        lines += [f"             lacks {path}" for path in repo["missing"]]
    return "\n".join(lines)
