"""``bundle``: one file that carries a model and all that it needs to a machine without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import CommandEntry, Context, LazyGroup
from launcher.progress import Progress

if TYPE_CHECKING:
    from launcher.bundle.install import Placed
    from launcher.bundle.make import Made
    from launcher.bundle.manifest import Manifest
    from launcher.config import Config

_HERE = "launcher.cli.bundle"
_COMMANDS = {
    "make": CommandEntry(f"{_HERE}:make_command", "Pack a model, settings, voices and packages into one file."),
    "show": CommandEntry(f"{_HERE}:show_command", "Show what a bundle holds."),
    "install": CommandEntry(f"{_HERE}:install_command", "Install a bundle; no network is used."),
}


command = LazyGroup(
    _COMMANDS,
    name="bundle",
    help="Carry a model to a machine without a network. See docs/operations.md.",
)


@click.command(name="make", help="Pack a model (see: models) or repository that is in the cache into one file.")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The bundle to write.",
)
@click.option("--no-wheels", is_flag=True, help="Leave the Python packages out: weights, settings and voices alone.")
@click.pass_obj
def make_command(context: Context, *, name: str, path: Path, no_wheels: bool) -> None:
    """Packs; what is missing in the cache is named."""
    from tempfile import TemporaryDirectory

    from launcher.bundle import make
    from launcher.cache.layout import hub_cache
    from launcher.doctor.software import requirements
    from launcher.hub.catalog import lookup

    config = context.load_config()
    entry = lookup(name)
    found = make.model_of(hub_cache(config), entry)
    pieces = {make.SETTINGS_NAME: make.Piece(make.settings_text(config)), **make.voices_of(config.data_dir)}
    environments: list[Any] = []
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".bundle-", dir=path.parent) as folder:
        if not no_wheels:
            context.output.progress(Progress("pack"))
            source = Path(__file__).resolve().parents[2]
            environments, wheels = make.pack_wheels(
                config, entry.engines, source, Path(folder), requirements=requirements(source), note=context.output.note
            )
            pieces |= {make.INSTALLER_NAME: make.installer(), **wheels}
        for _, files in found:
            pieces |= files
        models = [model for model, _ in found]
        watch = _teller(context, "write")
        made = make.write(path, entry.name, models=models, environments=environments, pieces=pieces, watch=watch)
    context.output.result(
        {"file": str(made.path), "size_bytes": made.size_bytes, "digest": made.digest, **_facts(made.manifest)},
        lambda: _made_text(made),
    )


def _teller(context: Context, stage: str) -> Any:
    def tell(done: int, total: int) -> None:
        if done == total or done // 50_000_000 != (done - 1_000_000) // 50_000_000:  # 1 MiB at a time is too often
            context.output.progress(Progress(stage, done, total, unit="bytes"))

    return tell


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "models": [{"repo": one.repo, "commit": one.commit, "files": len(one.paths)} for one in manifest.models],
        "environments": [
            {"name": one.name, "python": one.python, "platform": one.platform} for one in manifest.environments
        ],
        "files": len(manifest.files),
    }


def _made_text(made: Made) -> str:
    return "\n".join(
        [
            f"{made.path}: {made.size_bytes / 1e6:,.1f} MB, {len(made.manifest.files)} files",
            *_manifest_lines(made.manifest),
            f"On the other machine: tts-launcher bundle install {made.path.name} --expect {made.digest}",
        ]
    )


def _manifest_lines(manifest: Manifest) -> list[str]:
    lines = [f"  {one.repo}@{one.commit[:12]}: {len(one.paths)} files" for one in manifest.models]
    for one in manifest.environments:
        count = sum(name.startswith(f"wheels/{one.name}/") for name in manifest.files)
        lines.append(f"  packages of {one.name}: {count} wheels for Python {one.python}, {one.platform}")
    voices = sum(name.startswith("voices/") for name in manifest.files)
    return [*lines, *([f"  {voices} files of voices"] * bool(voices))]


@click.command(name="show", help="Show what a bundle holds, by its own word; install verifies every byte.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.pass_obj
def show_command(context: Context, *, path: Path) -> None:
    """Reads the manifest."""
    from launcher.bundle.install import open_bundle

    bundle = open_bundle(path)
    manifest = bundle.manifest
    data = {"digest": bundle.digest, "size_bytes": manifest.size_bytes, **_facts(manifest)}
    head = f"{manifest.name}: {manifest.size_bytes / 1e6:,.1f} MB, {len(manifest.files)} files, digest {bundle.digest}"
    context.output.result(data, lambda: "\n".join([head, *_manifest_lines(manifest)]))


@click.command(name="install", help="Verify a bundle and put everything in its place. No network is used.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--expect", default="", metavar="DIGEST", help="The digest that bundle make showed; else refuse.")
@click.option("--no-environments", is_flag=True, help="Do not make the engines' environments.")
@click.pass_obj
def install_command(context: Context, *, path: Path, expect: str, no_environments: bool) -> None:
    """Installs, and makes the environments of the engines that the bundle brings packages for."""
    from launcher.bundle.install import Installer, open_bundle
    from launcher.cache.layout import hub_cache

    config = context.load_config()
    bundle = open_bundle(path, expect)
    placed = Installer(bundle, hub_cache(config), config.data_dir, _teller(context, "install")).install()
    made = {} if no_environments else _environments(context, config, placed)
    context.output.result(
        {
            **_facts(placed.manifest),
            "digest": bundle.digest,
            "copied_bytes": placed.copied_bytes,
            "snapshots": {repo: str(folder) for repo, folder in placed.snapshots.items()},
            "folder": str(placed.folder),
            "voices": [str(one) for one in placed.voices],
            "interpreters": {name: str(python) for name, python in made.items()},
        },
        lambda: _placed_text(placed, made),
    )


def _environments(context: Context, config: Config, placed: Placed) -> dict[str, Path]:
    """The interpreters of the engines whose packages the bundle brings; an engine that is installed stays."""
    from launcher.bundle.environment import make_environment
    from launcher.engines.environments import installed

    made = {}
    for one in placed.manifest.environments:
        if one.name == "launcher":
            continue
        there = installed(config, one.name)
        wheels = sorted((placed.folder / "wheels" / one.name).glob("*.whl"))
        made[one.name] = there.python if there else make_environment(config, one, wheels, context.output.progress)
    return made


def _placed_text(placed: Placed, made: dict[str, Path]) -> str:
    lines = [f"Installed {placed.manifest.name}, {placed.copied_bytes / 1e6:,.1f} MB copied and verified"]
    lines += [f"  {repo} in {folder}" for repo, folder in placed.snapshots.items()]
    lines += [f"  packages of {name}: {python}" for name, python in made.items()]
    lines += [f"  voice {path}" for path in placed.voices]
    return "\n".join([*lines, f"Start it with: tts-launcher start --env-file {placed.folder / 'settings.env'}"])
