"""``cache archive``, ``cache restore`` and ``cache backup``: weights on another disk, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.amounts import size_text
from launcher.cli.app import Context
from launcher.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from launcher.cache.archive import Pointer
    from launcher.cache.restore import Restored
    from launcher.cache.store import Store
    from launcher.config import Config


def _targets(config: Config) -> dict[str, Path]:
    from launcher.cache.layout import pins

    places = {pin.name: Path(pin.path) for pin in pins(config)}
    return {"hub": places["HF_HUB_CACHE"], "torch": places["TORCH_HOME"]}


def _pointers(config: Config) -> Path:
    from launcher.cache.layout import archived_dir

    return archived_dir(config)


def _folders(hub: Path, names: Iterable[str]) -> list[str]:
    """The folders in the Hub cache of what people name."""
    from launcher.hub.catalog import lookup
    from launcher.hub.placement import RepoFolder

    parts = [part for name in names for part in lookup(name).parts]
    return list(dict.fromkeys(RepoFolder(hub, part.repo).root.name for part in parts))


def _shared(hub: Path, name: str) -> dict[str, str]:
    """Folders of ``name`` that another model, which is here too, needs as well; folder to that model."""
    from launcher.hub.catalog import catalog, lookup

    own = set(_folders(hub, [name]))
    found: dict[str, str] = {}
    for entry in catalog():
        others = set(_folders(hub, [entry.name]))
        if entry != lookup(name) and others - own and all((hub / folder).is_dir() for folder in others):
            found.update(dict.fromkeys(own & others, entry.name))
    return found


@click.command(
    name="archive",
    help="Compress a model into DIR on another disk, verify it there, and remove it here; a pointer stays "
    "(cache restore NAME brings it back). What another complete model needs stays, too.",
)
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be moved and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def archive_command(context: Context, *, name: str, folder: Path, dry_run: bool, yes: bool) -> None:
    """Moves a model into an archive."""
    from launcher.cache.archive import archive, recover, repo_size
    from launcher.cache.folder_store import FolderStore
    from launcher.cache.journal import alone
    from launcher.cache.layout import journal_dir
    from launcher.config.home import whole_path

    config = context.load_config()
    hub = _targets(config)["hub"]
    shared = _shared(hub, name)
    repos = [one for one in _folders(hub, [name]) if (hub / one).is_dir() and one not in shared]
    sizes = {one: repo_size(hub, one) for one in repos}
    for one, other in shared.items():
        context.output.note(f"{one} stays: {other} needs it.")
    if not repos:
        raise StorageError(f"Nothing of {name} that could be archived is in {hub}.", fix="See: tts-launcher cache ls")
    text = "\n".join(f"  {size_text(size):>10}  {one}" for one, size in sizes.items())
    text = f"{size_text(sum(sizes.values()))} go to {folder} and are removed from {hub}:\n{text}"
    data: dict[str, Any] = {"archive": str(folder), "repos": sizes, "kept": shared, "dry_run": dry_run}
    if dry_run:
        context.output.result(data, text)
        return
    if not yes:
        context.output.note(text)
        if not context.output.confirm("Go on?"):
            raise StorageError("Nothing was changed.", fix="Answer y, or add --yes.")
    with alone(journal_dir(config)):
        store = FolderStore(whole_path(folder), compress=True)
        store.prepare()
        recover(hub)
        done = [archive(hub, one, store, _pointers(config), context.output.progress) for one in repos]
        packed = sum(size for _, size in store.objects())
    data["archive_bytes"] = packed
    context.output.result(data, lambda: _archived_text(done, folder, packed))


def _archived_text(done: list[Pointer], folder: Path, packed: int) -> str:
    size = sum(pointer.size for pointer in done)
    return (
        f"{len(done)} repositories ({size_text(size)}) are in {folder}, which holds {size_text(packed)} now. "
        "Back with: tts-launcher cache restore NAME"
    )


@click.command(
    name="restore",
    help="Bring an archived model back, verified. With --from: from a backup (DIR or URL), everything or NAMEs.",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--from", "source", metavar="DIR|URL", help="A backup or an archive; without it the pointer knows.")
@click.option("--at", "manifest", metavar="BACKUP", help="Which backup; the default is the newest.")
@click.pass_obj
def restore_command(context: Context, *, names: tuple[str, ...], source: str | None, manifest: str | None) -> int:
    """Brings weights back."""
    from launcher.cache.archive import read_pointers, recover
    from launcher.cache.journal import alone
    from launcher.cache.layout import journal_dir

    config = context.load_config()
    targets, pointers = _targets(config), read_pointers(_pointers(config))
    folders = _folders(targets["hub"], names)
    with alone(journal_dir(config)):
        recover(targets["hub"])
        if source is None:
            if not names:
                known = ", ".join(sorted(pointers)) or "none"
                raise ConfigError("restore needs a NAME or --from.", fix=f"Archived: {known}.")
            done, where = _from_archives(context, config, folders, names), "the archive"
        else:
            done, where = _from_store(context, targets, source, manifest, folders), source
            for folder in folders:
                (_pointers(config) / f"{folder}.json").unlink(missing_ok=True)
    return _report(context, done, where)


def _from_archives(context: Context, config: Config, folders: list[str], names: Iterable[str]) -> Restored:
    from launcher.cache.archive import read_pointers
    from launcher.cache.folder_store import open_store
    from launcher.cache.restore import Restored, restore

    pointers, total = read_pointers(_pointers(config)), Restored()
    found = [pointers[folder] for folder in folders if folder in pointers]
    if not found:
        known = ", ".join(sorted(pointers)) or "none"
        raise StorageError(f"Nothing of {', '.join(names)} is archived.", fix=f"Archived: {known}.")
    for pointer in found:
        store = open_store(pointer.store)
        done = restore(store, store.read(pointer.repo).roots, _targets(config), context.output.progress)
        _add(total, done)
        if not done.problems:
            (_pointers(config) / f"{pointer.repo}.json").unlink(missing_ok=True)
    return total


def _from_store(
    context: Context, targets: dict[str, Path], source: str, manifest: str | None, folders: list[str]
) -> Restored:
    from launcher.cache.folder_store import open_store
    from launcher.cache.restore import Restored, chosen, restore

    store, total = open_store(source), Restored()
    names = store.manifests()
    backups = [name for name in names if name.startswith("backup-")]
    wanted = [manifest] if manifest else backups[-1:] or [name for name in names if name in folders or not folders]
    if not wanted or not set(wanted) <= set(names):
        raise StorageError(
            f"{source} holds no backup {manifest or 'of that'}.",
            fix=f"It holds: {', '.join(names) or 'nothing; is it the right place, and is its disk there?'}",
        )
    for name in wanted:
        roots = chosen(store.read(name), folders)
        if not any(roots.values()):
            raise StorageError(f"{source} holds nothing of that name.", fix=f"Looked into {name}.")
        _add(total, restore(store, roots, targets, context.output.progress))
    return total


def _add(total: Restored, one: Restored) -> None:
    total.files += one.files
    total.size += one.size
    total.present += one.present
    total.problems += one.problems


def _report(context: Context, done: Restored, where: str) -> int:
    data = {"files": done.files, "size_bytes": done.size, "present": done.present, "problems": done.problems}
    lines = [f"{done.files} files, {size_text(done.size)}, are back and verified; {done.present} were there."]
    lines += [f"  damaged or missing in {where}: {path}" for path in done.problems]
    context.output.result(data, "\n".join(lines))
    return StorageError.exit_code if done.problems else 0


@click.command(
    name="backup",
    help="Keep a second copy of all models in DIR (hard links on one disk, verified copies elsewhere) or at a URL "
    "that fsspec knows (s3://bucket/path). Only what is new is sent.",
)
@click.argument("target", metavar="DIR|URL")
@click.option("--verify", is_flag=True, help="Send nothing: read all of the backup and compare its digests.")
@click.pass_obj
def backup_command(context: Context, *, target: str, verify: bool) -> int:
    """Backs up the caches, or reads a backup."""
    from launcher.cache.backup import backup
    from launcher.cache.folder_store import open_store
    from launcher.cache.journal import alone
    from launcher.cache.layout import journal_dir

    config = context.load_config()
    store = open_store(target)
    if verify:
        return _verify(context, store)
    with alone(journal_dir(config)):
        done = backup(store, _targets(config), context.output.progress)
    data = {
        "backup": done.name,
        "target": store.where,
        "files": done.files,
        "size_bytes": done.size,
        "sent_bytes": done.sent_bytes,
        "damaged": list(done.damaged),
    }
    lines = [
        f"{done.name} in {store.where}: {done.files} files, {size_text(done.size)}; "
        f"{size_text(done.sent_bytes)} were new."
    ]
    lines += [f"  damaged, not in the backup: {path} (mend it: cache repair)" for path in done.damaged]
    context.output.result(data, "\n".join(lines))
    return StorageError.exit_code if done.damaged else 0


def _verify(context: Context, store: Store) -> int:
    from launcher.cache.backup import verify

    checked = verify(store, context.output.progress)
    data = {
        "target": store.where,
        "backups": checked.manifests,
        "files": checked.objects,
        "size_bytes": checked.size,
        "problems": [{"digest": digest, "path": path} for digest, path in checked.problems],
    }
    lines = [f"{store.where}: {checked.objects} contents, {size_text(checked.size)}, read and compared."]
    lines += [f"  damaged or missing: {path} ({digest[:12]}); back it up again" for digest, path in checked.problems]
    context.output.result(data, "\n".join(lines))
    return StorageError.exit_code if checked.problems else 0
