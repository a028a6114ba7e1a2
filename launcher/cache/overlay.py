"""One cache that nobody may change below a private one: contents are lent by links, whatever is new stays private.

The private cache is an ordinary Hub cache: its ``blobs`` are links into the base, everything else is its own, so that
every library and tool works with it and a write replaces a link, never what it leads to. A small file beside the
cache (``hub.overlay.json``) remembers the bases, so that what a base gets later is lent, too.

Invariants: nothing is ever written below a base; what is private wins over what is lent.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.cache import content
from launcher.cache.folders import make_folder, storage_error
from launcher.cache.migrate_find import REPO_PREFIXES, is_hub
from launcher.cache.migrate_plan import Item, repo_items
from launcher.config.home import whole_path
from launcher.errors import ConfigError, StorageError


@dataclass
class Lent:
    """What a base lends.

    Attributes:
        repos: names of their folders.
        files: contents that are links into the base now.
        size: their bytes.
        fresh: of them, how many were not yet lent before.
    """

    repos: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    fresh: int = 0


def record_path(hub: Path) -> Path:
    """The file that names the bases of a cache; beside it, because its tools take any file in it for damage."""
    return hub.with_name(f"{hub.name}.overlay.json")


def bases_of(hub: Path) -> list[Path]:
    """The bases below a cache, the first one first; none when it is an ordinary one."""
    return [Path(one["path"]) for one in _read(hub)]


def _read(hub: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(record_path(hub).read_text(encoding="utf-8"))
        return [{"path": str(one["path"]), "refs": dict(one["refs"])} for one in data["bases"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(hub: Path, bases: list[dict[str, Any]]) -> None:
    path = record_path(hub)
    try:
        if not bases:
            path.unlink(missing_ok=True)
            return
        fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        fresh.write_text(json.dumps({"bases": bases}, indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise storage_error(error, "HF_HUB_CACHE", path) from None


def find_base(given: Path, hub: Path) -> Path:
    """The Hub cache in a folder that a person names: itself, an ``HF_HOME``, or a launcher's data folder.

    Raises:
        ConfigError: when there is none, or it is the private cache.
    """
    root = Path(os.path.realpath(whole_path(given)))
    for place in (root, root / "hub", root / "huggingface" / "hub", root / "cache" / "huggingface" / "hub"):
        if is_hub(place):
            own = Path(os.path.realpath(hub))
            if own == place or own.is_relative_to(place) or place.is_relative_to(own):
                raise ConfigError(
                    f"{place} is the cache itself, or one lies in the other.",
                    fix="Name another one, or set HF_HUB_CACHE or LAUNCHER_DATA_DIR to a private folder.",
                )
            return place
    raise ConfigError(f"{given} holds no Hub cache.", fix="Name a folder that holds models--* folders, or its parent.")


def add(hub: Path, base: Path) -> Lent:
    """Puts ``base`` below the cache and lends all that it holds.

    Raises:
        StorageError: when the private cache cannot be written.
    """
    make_folder(hub, "HF_HUB_CACHE")
    known = [one for one in _read(hub) if one["path"] != str(base)]
    entry = next((one for one in _read(hub) if one["path"] == str(base)), {"path": str(base), "refs": {}})
    _write(hub, [*known, entry])  # first: whoever is interrupted finds it there and goes on
    lent = refresh(hub)
    return lent[base]


def refresh(hub: Path, repo: str = "") -> dict[Path, Lent]:
    """Lends what the bases have got meanwhile.

    Args:
        hub: the private cache.
        repo: the name of one repository's folder; empty for all.

    Returns:
        By base; nothing when the cache has none.

    Raises:
        StorageError: when the private cache cannot be written.
    """
    bases, found = _read(hub), {}
    for one in bases:
        base = Path(one["path"])
        found[base] = lent = Lent()
        try:
            names = [repo] if repo else sorted(path.name for path in base.iterdir())
        except OSError:
            continue  # its disk is not there; what was lent shows as missing
        refs = dict(one["refs"])
        for name in names:
            if name.startswith(REPO_PREFIXES) and (base / name).is_dir():
                try:
                    _lend(hub, base, name, one["refs"], lent)
                except OSError as error:
                    raise storage_error(error, "HF_HUB_CACHE", hub) from None
        if refs != one["refs"]:
            _write(hub, bases)
    return found


def lend_new(hub: Path, repo: str) -> None:
    """Lends what the bases have got of one repository; a private cache that cannot be written stays as it is."""
    if record_path(hub).is_file():
        with contextlib.suppress(StorageError):
            refresh(hub, repo)


def _lend(hub: Path, base: Path, name: str, refs: dict[str, str], lent: Lent) -> None:
    staging = content.staging_folder(hub)
    lent.repos.append(name)
    content.make_repo(hub, name)
    for item in repo_items(base, base / name, []):
        source, target = base / item.path, hub / item.path
        if item.link:
            if not target.exists() and Path(os.path.normpath(target.parent / item.link)).exists():
                content.point(target, item.link, staging, source)
        elif item.keep:
            _copy_note(item, source, target, refs, hub / name / "snapshots")
        else:
            if not target.exists():
                _lend_content(target, source)
                lent.fresh += 1
            if target.is_symlink():
                lent.files += 1
                lent.size += item.size


def _lend_content(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        target.unlink()  # a link into a base that has lost it
    try:
        target.symlink_to(source)
    except FileExistsError:
        return  # somebody was quicker
    except OSError:
        raise StorageError(
            f"{target.parent} cannot hold links, which an overlay is made of.",
            fix="Put the private cache on another file system: set HF_HUB_CACHE or LAUNCHER_DATA_DIR.",
        ) from None


def _copy_note(item: Item, source: Path, target: Path, refs: dict[str, str], snapshots: Path) -> None:
    """Copies a ref, a list of files or a receipt; a ref follows the base until the private cache has another one."""
    text = source.read_bytes()
    if item.path.split("/")[1] == "refs":
        commit = text.decode("utf-8", "replace").strip()
        mine = target.read_text(encoding="utf-8").strip() if target.is_file() else ""
        if not (snapshots / commit).is_dir() or mine not in ("", refs.get(item.path)):
            return
        refs[item.path] = commit
    elif target.exists():
        return
    if not target.is_file() or target.read_bytes() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        fresh.write_bytes(text)
        fresh.replace(target)


def remove(hub: Path, base: Path) -> int:
    """Takes a base away: its links go, what is private stays; returns how many links went.

    Raises:
        ConfigError: when it is no base of this cache.
    """
    known = _read(hub)
    if all(one["path"] != str(base) for one in known):
        names = ", ".join(one["path"] for one in known) or "none"
        raise ConfigError(f"{base} is no base of {hub}.", fix=f"Its bases: {names}.")
    gone = 0
    for repo in sorted(path for path in hub.iterdir() if path.name.startswith(REPO_PREFIXES)):
        paths = [path for path in repo.rglob("*") if path.is_symlink()]
        for path in paths:
            if Path(os.path.normpath(path.parent / path.readlink())).is_relative_to(base):
                path.unlink()
                gone += 1
        _drop_dangling(repo)
    _write(hub, [one for one in known if one["path"] != str(base)])
    return gone


def _drop_dangling(repo: Path) -> None:
    """Removes what leads to nothing: pointers, snapshots without files, their refs, at last an empty repository."""
    snapshots = repo / "snapshots"
    for path in sorted(snapshots.rglob("*"), reverse=True):
        if path.is_symlink() and not path.exists():
            path.unlink()
        elif path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
    for ref in [path for path in (repo / "refs").rglob("*") if path.is_file()]:
        if not (snapshots / ref.read_text(encoding="utf-8", errors="replace").strip()).is_dir():
            ref.unlink()
    has_content = any(
        path.is_file() for folder in ("blobs", "snapshots", ".partial") for path in (repo / folder).rglob("*")
    )
    if not has_content:
        shutil.rmtree(repo, ignore_errors=True)
