"""How much of everything an instance has, what has grown, and what is left of it when it has ended.

Invariants: looking changes nothing; what a person keeps (takes, logs, crash reports) is no leak.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from launcher.cache.layout import InstancePaths

#: What may come on top without being a leak: a keep-alive connection or two, an allocator's reserve.
MORE_DESCRIPTORS = 8
MORE_MEMORY_BYTES = 40_000_000


@dataclass(frozen=True)
class Level:
    """How much of everything an instance has.

    Attributes:
        processes: of its tree.
        descriptors, memory_bytes: by component.
        temp_files: in its private temporary folder.
        runtime_files: sockets and whatever else lies beside them.
        own_files: names in the instance's folder, but for those above and what is kept for a person.
    """

    processes: int
    descriptors: dict[str, int]
    memory_bytes: dict[str, int]
    temp_files: int
    runtime_files: int
    own_files: frozenset[str]

    def words(self) -> str:
        """One line."""
        memory = ", ".join(f"{part} {size / 1e6:.0f} MB" for part, size in self.memory_bytes.items())
        descriptors = ", ".join(f"{part} {count}" for part, count in self.descriptors.items())
        files = f"{self.temp_files} temporary, {self.runtime_files} runtime, {len(self.own_files)} own files"
        return f"{self.processes} processes; {memory}; descriptors {descriptors}; {files}"


def level_of(snapshot: dict[str, Any], paths: InstancePaths) -> Level:
    """How much of everything there is now.

    Args:
        snapshot: of the instance, which is ready.
        paths: of the instance.
    """
    pids = {"supervisor": int(snapshot["pid"])}
    pids |= {name: int(part["pid"]) for name, part in snapshot["components"].items() if part["pid"]}
    kept = (paths.temp_dir, paths.runtime_dir, paths.log_dir, paths.library_dir, paths.jobs_dir)
    return Level(
        1 + len(psutil.Process(pids["supervisor"]).children(recursive=True)),
        {name: psutil.Process(pid).num_fds() for name, pid in pids.items()},
        {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()},
        _count(paths.temp_dir),
        _count(paths.runtime_dir),
        frozenset(path.name for path in _files(paths.root) if not any(path.is_relative_to(each) for each in kept)),
    )


def leaks(first: Level, middle: Level, last: Level) -> Iterator[str]:
    """What has grown: processes and files over the whole time, the rest while nothing was broken.

    Args:
        first: at the beginning.
        middle: when nothing was broken any more, and a few requests later.
        last: at the end.
    """
    if new := sorted(last.own_files - first.own_files):
        yield f"own files: {', '.join(new)}"
    for what in ("processes", "temp_files", "runtime_files"):
        before, after = getattr(first, what), getattr(last, what)
        if after > before:
            yield f"{what.replace('_', ' ')}: {before} -> {after}"
    for name, count in last.descriptors.items():
        known = (first if name == "supervisor" else middle).descriptors.get(name, count)
        if count > known + MORE_DESCRIPTORS:
            yield f"descriptors of the {name}: {known} -> {count}"
    for name, size in last.memory_bytes.items():
        known = (first if name == "supervisor" else middle).memory_bytes.get(name, size)
        if size > known + MORE_MEMORY_BYTES:
            yield f"memory of the {name}: {known / 1e6:.0f} -> {size / 1e6:.0f} MB"


def left_behind(paths: InstancePaths, data_dir: Path, temp_root: Path) -> Iterator[str]:
    """What an instance that has ended has left.

    Args:
        paths: of the instance.
        data_dir: its data folder, by which its processes are known.
        temp_root: the system's temporary folder as the instance saw it.
    """
    for process in psutil.process_iter():
        try:
            if process.environ().get("LAUNCHER_DATA_DIR") == str(data_dir):
                yield f"process {process.pid} {process.cmdline()[:4]}"
        except psutil.Error:
            continue
    # What lies in the private temporary folder goes with the next start.
    for folder in (paths.runtime_dir, temp_root):
        yield from (f"file {path}" for path in _files(folder))
    if paths.run_file.exists():
        yield "the run file"


def _count(folder: Path) -> int:
    return sum(1 for _ in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)
