"""``engine ls``: every engine, what it lacks, which one ``auto`` takes and why, and who holds the GPUs' memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import Context

if TYPE_CHECKING:
    from launcher.engines.choice import Candidate, EngineChoice
    from launcher.engines.gpu import Gpu

_GB = 10**9


@click.command(name="ls", help="Show the engines, what each lacks, which one a start takes and why, and the GPUs.")
@click.pass_obj
def list_command(context: Context) -> None:
    """Prints them; starts nothing and asks no network."""
    from launcher.engines.choice import Ground, candidate, choose, to_json
    from launcher.engines.gpu import gpus
    from launcher.engines.recipes import RECIPES

    config = context.load_config()
    context.output.warnings(config.warnings)
    found = gpus()
    ground = Ground(config, lambda: found)
    seen = [candidate(ground, recipe) for recipe in RECIPES.values()]
    choice = choose(config, find_gpus=lambda: found)
    context.output.result(
        {
            "engines": [*(_candidate_json(one) for one in seen), _embedded_json()],
            "choice": to_json(choice),
            "gpus": [gpu.to_json() for gpu in found],
        },
        lambda: _text(seen, choice, found),
    )


def _candidate_json(one: Candidate) -> dict[str, Any]:
    return {
        "name": one.recipe.engine,
        "title": one.recipe.title,
        "installed": None if one.installed is None else one.installed.to_json(),
        "is_current": one.installed is not None and one.installed.current,
        "foreign_interpreter": one.foreign,
        "weights": one.weights,
        "needs_vram_bytes": one.needs_bytes,
        "fits": one.fits,
        "memory": {**one.memory.to_options(), "reason": one.memory.reason},
        "obstacle": one.obstacle,
    }


def _embedded_json() -> dict[str, Any]:
    from launcher.engines.environments import EMBEDDED_ENGINE

    return {"name": EMBEDDED_ENGINE, "title": "The embedded voice: comes with the launcher", "obstacle": ""}


def _text(seen: Sequence[Candidate], choice: EngineChoice, found: Sequence[Gpu]) -> str:
    from launcher.cli.mirror import table
    from launcher.engines.environments import EMBEDDED_ENGINE

    rows = [("ENGINE", "INSTALLED", "WEIGHTS", "NEEDS", "FITS"), *map(_row, seen)]
    rows.append((EMBEDDED_ENGINE, "comes along", "comes along", "-", "yes"))
    lines = [table(rows), "", f"A start takes {choice.name}. {choice.reason}"]
    lines += [f"Warning: {warning}" for warning in choice.warnings]
    if choice.missing:
        lines.append(f"It is not installed: tts-launcher engine install {choice.name}")
    if choice.memory is not None:
        lines.append(choice.memory.reason)
    lines.append("")
    return "\n".join([*lines, *_gpu_lines(found)])


def _row(one: Candidate) -> tuple[str, ...]:
    installed = "no"
    if one.foreign:
        installed = "LAUNCHER_ENGINE_PYTHON"
    elif one.installed is not None:
        package = one.installed.versions.get(one.recipe.package, "?")
        installed = f"{package} ({one.installed.build})" + ("" if one.installed.current else ", old lock")
    needs = f"{one.needs_bytes / _GB:.1f} GB ({one.memory.precision})"
    fits = "no GPU" if one.gpu is None else "yes" if one.fits else "no"
    return one.recipe.engine, installed, one.weights, needs, fits


def _gpu_lines(found: Sequence[Gpu]) -> list[str]:
    from launcher.engines.gpu import command_of

    if not found:
        return ["No GPU was found."]
    lines = []
    for gpu in found:
        cuda = f", CUDA up to {gpu.cuda[0]}.{gpu.cuda[1]}" if gpu.cuda != (0, 0) else ""
        lines.append(
            f"GPU {gpu.index}: {gpu.name}, driver {gpu.driver}{cuda}, {gpu.vram_free_bytes / _GB:.1f} of "
            f"{gpu.vram_total_bytes / _GB:.1f} GB free"
        )
        for holder in gpu.holders:
            size = f"{holder.size_bytes / _GB:.1f} GB" if holder.size_bytes else "some memory"
            lines.append(f"  {size} held by pid {holder.pid}  {command_of(holder.pid)}".rstrip())
    return lines
