"""Checks of where things are kept: pinned and lasting caches, free space, the kind of disk, the logs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cache.folders import make_folder
from launcher.cache.layout import cache_dir, hub_cache, instance_paths, pins
from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed, size_text

if TYPE_CHECKING:
    from launcher.cache.storage import Storage

#: The largest model of the catalog needs 8.9 GB.
MIN_FREE_BYTES = 10_000_000_000
#: Below this logs, run files and uploads fail as well.
LEAST_FREE_BYTES = 500_000_000
#: What forgets.
_FORGETFUL = {
    "tmpfs": "memory, which a restart of the machine empties",
    "overlay": "a container's own layer, which goes with the container",
}
#: Rotation happens after the line that crosses the limit.
_LOG_SLACK_BYTES = 1_000_000


def existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _storage(path: Path) -> Storage:
    from launcher.cache.storage import storage_of

    return storage_of(existing(path))


def check_pinned(ground: Ground) -> Finding:
    """Every cache has its place, and what is there can be written to."""
    found = {pin.name: Path(pin.path) for pin in pins(ground.config) if pin.name != "NLTK_DATA"}
    own = [pin.name for pin in pins(ground.config) if pin.source == "user"]
    shut = [name for name, path in found.items() if not os.access(existing(path), os.W_OK | os.X_OK)]
    absent = [path for path in found.values() if not path.is_dir()]
    detail = f"{len(found)} under {cache_dir(ground.config)}" + (f"; set by you: {listed(own)}" if own else "")
    if shut:
        fix = "Make these folders writable for you, or set LAUNCHER_DATA_DIR to another folder."
        return Finding("Caches", FAILED, f"not writable: {listed([f'{name} {found[name]}' for name in shut], 2)}", fix)
    if absent:
        return Finding("Caches", OK, f"{detail}; {len(absent)} not made yet", repair=lambda: _make(absent))
    return Finding("Caches", OK, detail)


def _make(folders: list[Path]) -> str:
    for folder in folders:
        make_folder(folder, "LAUNCHER_DATA_DIR")
    return f"made {len(folders)} folders"


def check_persistent(ground: Ground) -> Finding:
    """What is fetched stays when the container or the machine starts again."""
    paths = {"LAUNCHER_DATA_DIR": ground.config.data_dir, "HF_HUB_CACHE": hub_cache(ground.config)}
    kinds = {name: _storage(path) for name, path in paths.items()}
    for name, storage in kinds.items():
        if storage.kind in _FORGETFUL:
            fix = f"Mount a disk or volume there, or set {name} to a folder on one: models would be fetched again."
            return Finding("Persistence", WARNING, f"{paths[name]} lies in {_FORGETFUL[storage.kind]}", fix)
    shown = ", ".join(dict.fromkeys(f"{one.kind} ({one.filesystem})" for one in kinds.values()))
    return Finding("Persistence", OK, f"caches lie on {shown}")


def check_free_space(ground: Ground, given: Storage | None = None) -> Finding:
    """Room for models; ``given`` is the storage to judge, ``None`` looks."""
    path = hub_cache(ground.config)
    storage = given or _storage(path)
    free = storage.free_bytes
    detail = f"{size_text(free)} of {size_text(storage.total_bytes)} free for {path}"
    fix = "Free some space (see: cache prune --dry-run), or set HF_HUB_CACHE or LAUNCHER_DATA_DIR to a larger disk."
    if free < LEAST_FREE_BYTES:
        return Finding("Free space", FAILED, detail, fix)
    if free < MIN_FREE_BYTES:
        return Finding("Free space", WARNING, f"{detail}; a model needs up to {size_text(MIN_FREE_BYTES)}", fix)
    return Finding("Free space", OK, detail)


def check_disk_kind(ground: Ground, given: Storage | None = None) -> Finding:
    """An SSD, as far as the system tells: weights are read whole at each start. ``given`` as for `check_free_space`."""
    storage = given or _storage(hub_cache(ground.config))
    where = storage.device or storage.filesystem
    if storage.kind == "network":
        fix = "Keep the models on a local SSD, or expect a slow first load after each restart of the machine."
        return Finding("Disk", WARNING, f"{storage.filesystem}, over the network", fix)
    # Virtual disks (virtio, Xen) call themselves spinning, whatever lies below.
    is_virtual = Path(where).name.startswith(("vd", "xvd"))
    if storage.rotational and not is_virtual:
        fix = "Set HF_HUB_CACHE or LAUNCHER_DATA_DIR to an SSD: reading 9 GB from a spinning disk takes about a minute."
        return Finding("Disk", WARNING, f"{where} is a spinning disk", fix)
    known = "is an SSD" if storage.rotational is False else "is a virtual disk" if is_virtual else "of unknown kind"
    return Finding("Disk", OK, f"{where} {known}")


def check_logs(ground: Ground) -> Finding:
    """The logs rotate and stay within their limit."""
    folder, config = instance_paths(ground.config).log_dir, ground.config
    limit = config.log_max_bytes * config.log_files
    sizes = {path: path.stat().st_size for path in folder.glob("launcher.log*") if path.is_file()}
    surplus = [path for path in sizes if _number(path) >= config.log_files]
    total = sum(sizes.values())
    detail = f"{size_text(total)} of at most {config.log_files} x {size_text(config.log_max_bytes)} in {folder}"
    if surplus:
        fix = "Run: tts-launcher doctor --fix, which removes the oldest ones, or raise LAUNCHER_LOG_FILES."
        return Finding(
            "Logs",
            WARNING,
            f"{len(surplus)} more files than LAUNCHER_LOG_FILES={config.log_files}",
            fix,
            lambda: _remove(surplus),
        )
    if total > limit + _LOG_SLACK_BYTES:
        fix = "Restart the instance: a lower LAUNCHER_LOG_MAX_BYTES counts from the next rotation on."
        return Finding("Logs", WARNING, detail, fix)
    return Finding("Logs", OK, detail)


def _number(path: Path) -> int:
    tail = path.name.removesuffix(".gz").rpartition(".")[2]
    return int(tail) if tail.isdigit() else 0


def _remove(paths: list[Path]) -> str:
    for path in paths:
        path.unlink(missing_ok=True)
    return f"removed {len(paths)} old log files"
