"""One look at processes, GPUs and disks, and the looks of the last hour.

Invariants: looking happens in a thread and never fails; what cannot be found out is left out; the past is bounded.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from launcher.alarms.watch import Usage, disk_paths, usage_of
from launcher.config import Config
from launcher.engines.gpu_load import GpuLoad, GpuWatch

#: An hour at one look every ten seconds.
HISTORY = 360
#: Adding up a cache's files costs a `stat` each; their sum changes over minutes.
CACHE_EVERY_S = 120.0
_RAN_S = 1e-3


@dataclass(frozen=True)
class Sample:
    """One moment.

    Attributes:
        at: seconds since 1970.
        resident_bytes: component to memory of its process and everything that this one started.
        cpu_s: component to processor time so far.
        gpus: every GPU.
        disks: path to used and total bytes of the disk it lies on.
        cache_bytes: path of a cache to what its models take.
    """

    at: float
    resident_bytes: Mapping[str, int] = field(default_factory=dict)
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    gpus: tuple[GpuLoad, ...] = ()
    disks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cache_bytes: Mapping[str, int] = field(default_factory=dict)


class Sampler:
    """Looks.

    Args:
        config: the settings, which say where caches lie.
        gpus: asks the driver.
        usage: tells of a disk.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        config: Config,
        *,
        gpus: GpuWatch | None = None,
        usage: Usage = usage_of,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._paths = disk_paths(config)
        self._gpus = gpus or GpuWatch()
        self._usage = usage
        self._clock = clock
        self._cache: tuple[float, dict[str, int]] = (0.0, {})

    def look(self, snapshot: Mapping[str, Any]) -> Sample:
        """This moment.

        Args:
            snapshot: of the instance, see docs/architecture.md.
        """
        trees = process_trees(snapshot)
        engines = {one.pid for name, tree in trees.items() if name.startswith("engine") for one in tree}
        resident: dict[str, int] = {}
        cpu: dict[str, float] = {}
        for name, tree in trees.items():
            for one in tree:
                with contextlib.suppress(psutil.Error):
                    with one.oneshot():
                        times, memory = one.cpu_times(), one.memory_info()
                    resident[name] = resident.get(name, 0) + memory.rss
                    cpu[name] = cpu.get(name, 0.0) + times.user + times.system
        return Sample(self._clock(), resident, cpu, self._gpus.read(engines), self._disks(), self._cache_bytes())

    def _disks(self) -> dict[str, tuple[int, int]]:
        found = {}
        disks: dict[int, tuple[int, int]] = {}  # by device: two looks at one that is written would differ
        for path in self._paths.values():
            with contextlib.suppress(OSError):
                device = _device(path)
                if device not in disks:
                    disks[device] = self._usage(path)
                found[str(path)] = disks[device]
        return found

    def _cache_bytes(self) -> dict[str, int]:
        now = self._clock()
        looked_at, found = self._cache
        if not 0 <= now - looked_at < CACHE_EVERY_S:
            hub = self._paths["HF_HUB_CACHE"]
            found = {str(hub): models_bytes(hub)}
            self._cache = (now, found)
        return found


def _device(path: Path) -> int:
    """The number of the disk that a path lies on; the nearest folder that is there counts."""
    return next(folder for folder in (path, *path.parents) if folder.exists()).stat().st_dev


def process_trees(snapshot: Mapping[str, Any]) -> dict[str, list[psutil.Process]]:
    """Component to its process and everything that this one started; the supervisor is one of them, alone."""
    trees: dict[str, list[psutil.Process]] = {}
    pids = {name: one.get("pid") for name, one in (snapshot.get("components") or {}).items()}
    for name, pid in pids.items():
        if isinstance(pid, int):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                trees[name] = [process, *process.children(recursive=True)]
    own = snapshot.get("pid")
    if isinstance(own, int):
        with contextlib.suppress(psutil.Error):
            trees["supervisor"] = [psutil.Process(own)]
    return trees


def models_bytes(hub: Path) -> int:
    """What the contents of a Hub cache take on its disk; contents that are lent by another cache count nothing."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(hub) as repos:
        for repo in repos:
            if repo.name.startswith("."):
                continue
            with contextlib.suppress(OSError), os.scandir(Path(repo.path, "blobs")) as blobs:
                total += sum(blob.stat(follow_symlinks=False).st_size for blob in blobs if not blob.is_symlink())
    return total


class History:
    """The looks of the last hour, oldest first."""

    def __init__(self, size: int = HISTORY) -> None:
        self._samples: deque[Sample] = deque(maxlen=size)

    def add(self, sample: Sample) -> None:
        """Takes the newest look."""
        self._samples.append(sample)

    @property
    def last(self) -> Sample | None:
        """The newest look."""
        return self._samples[-1] if self._samples else None

    def to_json(self) -> dict[str, Any]:
        """Columns of equal length, for a plot: times, memory and processor share by component, each GPU."""
        samples = list(self._samples)
        names = sorted({name for one in samples for name in one.resident_bytes})
        gpus = {gpu.index: gpu for one in samples for gpu in one.gpus}
        return {
            "at": [round(one.at, 1) for one in samples],
            "resident_bytes": {name: [one.resident_bytes.get(name, 0) for one in samples] for name in names},
            "cpu": [round(_busy(before, one), 3) for before, one in zip([None, *samples[:-1]], samples, strict=True)],
            "gpus": [_gpu_json(gpu, samples) for _, gpu in sorted(gpus.items())],
        }


def _busy(before: Sample | None, now: Sample) -> float:
    """Processor cores in use between two looks; 0 when that is not known."""
    if before is None or now.at - before.at < _RAN_S:
        return 0.0
    spent = sum(max(0.0, now.cpu_s[name] - before.cpu_s[name]) for name in now.cpu_s if name in before.cpu_s)
    return spent / (now.at - before.at)


def _gpu_json(gpu: GpuLoad, samples: list[Sample]) -> dict[str, Any]:
    found = [next((one for one in sample.gpus if one.index == gpu.index), None) for sample in samples]
    return {
        "index": gpu.index,
        "name": gpu.name,
        "total_bytes": gpu.total_bytes,
        "used_bytes": [0 if one is None else one.used_bytes for one in found],
        "own_bytes": [0 if one is None else one.own_bytes for one in found],
        "load": [None if one is None else one.load for one in found],
    }
