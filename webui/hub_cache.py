"""Where a repository's files lie in a Hub cache.

Invariants: nothing is written or fetched; what the cache's `refs` say is taken for what it is, a name of a folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path


def find_snapshot(hub_cache: Path, repo: str, names: Sequence[str]) -> tuple[Path, list[str]]:
    """The snapshot that has all files, ``main`` first; else the one that lacks the fewest, and what it lacks.

    Args:
        hub_cache: the folder of ``HF_HUB_CACHE``.
        repo: ``org/name`` of a model.
        names: paths within the repository.
    """
    folder = hub_cache / f"models--{repo.replace('/', '--')}"
    best: tuple[Path, list[str]] = (folder, list(names))
    for snapshot in _snapshots(folder):
        lacking = [name for name in names if not (snapshot / name).is_file()]
        if not lacking:
            return snapshot, []
        if len(lacking) < len(best[1]):
            best = (snapshot, lacking)
    return best


def _snapshots(folder: Path) -> Iterator[Path]:
    main = folder / "refs" / "main"
    commit = main.read_text(encoding="ascii", errors="replace").strip() if main.is_file() else ""
    if not (folder / "snapshots").is_dir():
        return
    found = [path for path in (folder / "snapshots").iterdir() if path.is_dir()]
    yield from sorted(found, key=lambda path: (path.name == commit, path.stat().st_mtime), reverse=True)
