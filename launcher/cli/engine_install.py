"""``engine install`` and ``engine rm``; and the offer to install, which ``start`` makes when an engine is missing."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from launcher.cli.app import Context

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.engines.choice import EngineChoice
    from launcher.engines.environments import InstalledEngine
    from launcher.engines.gpu import Gpu
    from launcher.engines.install import Plan

_GB = 10**9


@click.command(
    name="install",
    help="Make the environment of engine NAME (indextts2, indextts2.5) from its lock; goes on where it stopped.",
)
@click.argument("name")
@click.option("--python", default="", metavar="X", help="Version or path of the Python to start from.")
@click.option(
    "--cuda", default="auto", metavar="BUILD", help="Build of PyTorch: auto (by driver), cpu, cu126, cu128..."
)
@click.option("--torch", default="", metavar="VERSION", help="Another PyTorch than the lock's; nobody has tested it.")
@click.option("--reinstall", is_flag=True, help="Make it anew although it is there; the old one stays until then.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.pass_obj
def command(context: Context, *, name: str, python: str, cuda: str, torch: str, reinstall: bool, dry_run: bool) -> None:
    """Installs, or shows the plan."""
    from launcher.engines.install import find_recipe, make_plan

    config = context.load_config()
    context.output.warnings(config.warnings)
    recipe = find_recipe(name)
    plan = make_plan(
        config, recipe, os.environ, _gpu(config), python=python, cuda=cuda.lower(), torch=torch, reinstall=reinstall
    )
    if dry_run:
        context.output.result({"plan": plan.to_json()}, lambda: _plan_text(plan))
        return
    if plan.present is not None and plan.is_done:
        context.output.result(
            {"installed": plan.present.to_json(), "elapsed_s": 0.0}, f"{_installed_text(plan.present)} It was there."
        )
        return
    began = time.monotonic()
    found = install(context, config, plan)
    elapsed_s = time.monotonic() - began
    context.output.result(
        {"installed": found.to_json(), "elapsed_s": round(elapsed_s, 1)},
        lambda: (
            f"{_installed_text(found)} It took {elapsed_s:.0f} s.\nStart with it: tts-launcher start --engine "
            f"{found.engine}"
        ),
    )


def _gpu(config: Config) -> Gpu | None:
    from launcher.engines.choice import Ground

    return Ground(config).gpu()


def install(context: Context, config: Config, plan: Plan) -> InstalledEngine:
    """Carries out a plan, with its progress shown.

    Raises:
        EngineError, StorageError: see `launcher.engines.install.Installer`.
    """
    from launcher.engines.install import Installer
    from launcher.engines.uv import Uv, environment, find_uv

    output = context.output
    output.note(f"{_plan_text(plan)}")
    plan.environment.parent.mkdir(parents=True, exist_ok=True)
    uv = Uv(find_uv(), environment(config, os.environ), plan.environment.parent, output.progress)
    return Installer(plan, uv, output.progress, output.note).run()


def offer(context: Context, config: Config, choice: EngineChoice, *, assume_yes: bool) -> None:
    """Installs what a start needs and lacks, when the person at the terminal agrees.

    Args:
        context, config: of the command.
        choice: what would start.
        assume_yes: do not ask.

    Raises:
        EngineError: when it is missing and nobody can be asked, or the answer is no.
    """
    from launcher.engines.install import make_plan
    from launcher.engines.recipes import RECIPES

    if not choice.missing:
        return
    can_ask = sys.stdin.isatty() and sys.stderr.isatty() and not context.output.json
    if not assume_yes and not can_ask:
        choice.require()
    plan = make_plan(config, RECIPES[choice.name], os.environ, _gpu(config))
    if not assume_yes:
        size = f"about {plan.size_bytes / _GB:.1f} GB"
        if not click.confirm(f"Engine {choice.name} is not installed. Install it now ({size})?", err=True):
            choice.require()
    install(context, config, plan)


def _plan_text(plan: Plan) -> str:
    from launcher.engines.indexes import describe

    hashes = "" if plan.uses_whole_lock else f"; PyTorch from {plan.torch_index}/{plan.build.name}"
    return (
        f"{plan.recipe.engine} in {plan.environment}\n"
        f"  Python {plan.python}, PyTorch {plan.torch} ({plan.build.name}: {plan.build.reason})\n"
        f"  about {plan.size_bytes / _GB:.1f} GB, packages from {describe(plan.indexes)}{hashes}"
    )


def _installed_text(found: InstalledEngine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return (
        f"{found.engine} is installed and was checked: Python {found.python_version}, {versions}, "
        f"{found.size_bytes / _GB:.1f} GB."
    )


@click.command(name="rm", help="Remove the environment of engine NAME; its models stay (see: cache prune).")
@click.argument("name")
@click.pass_obj
def remove_command(context: Context, name: str) -> None:
    """Removes it."""
    from launcher.engines.environments import remove
    from launcher.engines.install import find_recipe

    engine = find_recipe(name).engine
    size = remove(context.load_config(), engine)
    context.output.result(
        {"engine": engine, "removed_bytes": size},
        f"{engine}: {size / _GB:.1f} GB removed." if size else f"{engine} was not installed.",
    )
