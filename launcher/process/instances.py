"""Every instance that keeps its files in one data folder.

Invariants: an instance is a folder with a run file or a lock; looking changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launcher.cache.layout import instance_paths
from launcher.errors import StorageError
from launcher.process.runfile import RunFile


@dataclass(frozen=True)
class FoundInstance:
    """One instance of a data folder.

    Attributes:
        name: of the instance.
        run_file: who runs it.
        state: ``running``, ``crashed`` or ``absent``, as `RunFile.state` says; ``unknown`` when it is another user's.
    """

    name: str
    run_file: RunFile
    state: str


def find_instances(data_dir: Path) -> list[FoundInstance]:
    """Every instance, by name; empty when the folder is not there or cannot be read."""
    try:
        names = sorted(path.name for path in (data_dir / "instances").iterdir() if path.is_dir())
    except OSError:
        return []
    found: list[FoundInstance] = []
    for name in names:
        paths = instance_paths((data_dir, name))
        if paths.lock_file.exists() or paths.run_file.exists():
            run_file = RunFile(paths.run_file, paths.lock_file)
            try:
                state: str = run_file.state()
            except StorageError:
                state = "unknown"
            found.append(FoundInstance(name, run_file, state))
    return found
