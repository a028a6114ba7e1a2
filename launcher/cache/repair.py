"""Damaged files replaced by fresh ones: fetched beside the cache's own, verified, and only then put in their place.

The fresh files come into a small cache of their own inside the repository's folder (``.repair``), which libraries do
not look into and which a second run finds again, so that nothing is fetched twice.

Invariants: at every moment a name leads to what it led to before or to the verified new content; nothing that is there
is removed before its successor has taken its name; a file that cannot be fetched stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.folders import storage_error
from launcher.cache.usage import Repo
from launcher.cache.verify import Finding
from launcher.errors import LauncherError

STAGING = ".repair"
_FETCHED_KINDS = ("model", "dataset", "space")

#: Fetches files of a commit: (staging cache, repository, commit, paths) to the snapshot folder that holds them.
Fetch = Callable[[Path, str, str, Sequence[str]], Path]


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    Attributes:
        files: ``repo/path`` of those that are right now.
        refs: refs that named a commit which is not here, removed.
        failed: ``repo/path`` to the reason.
    """

    files: tuple[str, ...]
    refs: tuple[str, ...]
    failed: dict[str, str]


def repair(repos: Sequence[Repo], findings: Sequence[Finding], fetch: Fetch, setting: str) -> Repaired:
    """Puts right what a check has found.

    Args:
        repos: those that the findings are about.
        findings: of `launcher.cache.verify`.
        fetch: fetches and verifies files.
        setting: that decides about the cache, for the sentence when its disk fails.

    Raises:
        StorageError: when the cache cannot be written to; nothing has changed then.
    """
    folders = {(repo.kind, repo.full_name): repo.folder for repo in repos}
    for key in {(one.repo_kind, one.repo) for one in findings}:
        check_changeable(folders[key], setting)
    files: list[str] = []
    refs: list[str] = []
    failed: dict[str, str] = {}
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        if one.kind == "ref":
            _remove_ref(Path(one.place), setting)
            refs.append(f"{one.repo}: {Path(one.place).name}")
        elif one.kind == "layout":
            failed[one.place] = f"it {one.reason}; move it away"
        elif one.repo_kind not in _FETCHED_KINDS:
            failed[f"{one.repo}/{one.path}"] = f"a {one.repo_kind} is not fetched by this program"
        else:
            groups.setdefault((one.repo_kind, one.repo, one.commit), []).append(one)
    for repo in repos:  # what an earlier repair has left that was killed when all was done
        if not any(key[:2] == (repo.kind, repo.full_name) for key in groups):
            shutil.rmtree(repo.folder / STAGING, ignore_errors=True)
    for (kind, name, commit), group in groups.items():
        paths = sorted({one.path for one in group})
        try:
            snapshot = fetch(folders[kind, name] / STAGING, name, commit, paths)
        except LauncherError as error:
            failed.update({f"{name}/{path}": error.message for path in paths})
            continue
        try:
            placed = _place_all(folders[kind, name], commit, paths, snapshot)
        except OSError as error:
            raise storage_error(error, setting, folders[kind, name]) from None
        files += [f"{name}/{path}" for path in paths if path in placed]
        absent = f"the Hub has no such file at {commit[:12]}"
        failed.update({f"{name}/{path}": absent for path in paths if path not in placed})
    return Repaired(tuple(files), tuple(refs), failed)


def _place_all(folder: Path, commit: str, paths: Sequence[str], fresh: Path) -> set[str]:
    """Puts the fresh files in their places; returns the paths that there were files for."""
    placed = {path for path in paths if _replace(folder, folder / "snapshots" / commit / path, fresh / path)}
    shutil.rmtree(folder / STAGING)
    return placed


def check_changeable(folder: Path, setting: str) -> None:
    """Makes sure that names below ``folder`` can be changed, before any is.

    Asks the system and writes nothing: a stray file in ``refs`` or ``snapshots`` would spoil the library's scan.

    Args:
        folder: of a repository, or any other.
        setting: that decides about the cache.

    Raises:
        StorageError: naming the first folder that this user may not change.
    """
    for place in (folder, folder / "refs", folder / "snapshots", folder / "blobs"):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            reason = errno.EROFS if _is_read_only(place) else errno.EACCES
            raise storage_error(OSError(reason, ""), setting, place)


def _is_read_only(folder: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _remove_ref(place: Path, setting: str) -> None:
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, setting, place) from None


def _replace(folder: Path, name: Path, fresh: Path) -> bool:
    """Gives the name the fresh content, by renames alone; returns whether there was any."""
    if fresh.is_symlink() and (name.is_symlink() or not name.exists()):
        content = fresh.parent / fresh.readlink()
        blob = folder / "blobs" / content.name
        blob.parent.mkdir(parents=True, exist_ok=True)
        # Several paths may have one content, which the first of them has brought.
        if content.exists():
            content.replace(blob)
            _sync(blob.parent)
        elif not blob.exists():
            return False
        _point(name, blob)
        return True
    if not fresh.exists():
        return False
    # Where there are no links, or somebody has put a file of their own in the link's place.
    name.parent.mkdir(parents=True, exist_ok=True)
    fresh.resolve().replace(name)
    _sync(name.parent)
    return True


def _point(name: Path, blob: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(blob, name.parent)
    with contextlib.suppress(OSError):
        if os.fspath(name.readlink()) == target:
            return
    other = name.with_name(f".{name.name}.{uuid.uuid4().hex[:8]}.tmp")
    other.symlink_to(target)
    other.replace(name)


def _sync(folder: Path) -> None:
    """Makes a rename survive a power cut; Windows does that by itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
