"""How many CPU threads an engine gets, so that several of them, or a small machine, are not drowned in threads.

Invariants: all engines together never get more threads than there are usable cores, but each gets one; what the user
set is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from launcher.config import Config
from launcher.engines.environments import EMBEDDED_ENGINE

#: Beyond this the embedded voice gains nothing: its throughput saturates at 2.9 times real time.
_MOST_EMBEDDED = 4
#: PyTorch gains little from more for one sentence at a time, and threads that wait for each other cost.
_MOST = 16
#: What the inference libraries read (OpenMP's name is the one that PyTorch, OpenBLAS and MKL all obey).
THREADS_VARIABLE = "OMP_NUM_THREADS"
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def engine_threads(config: Config, engine: str, environ: Mapping[str, str], *, cores: int = 0) -> int:
    """Threads of each engine.

    Args:
        config: says how many engines there are, and perhaps how many threads.
        engine: its name.
        environ: may hold ``OMP_NUM_THREADS``, which bounds what is chosen here.
        cores: to share; 0 counts them.
    """
    if config.threads:
        return config.threads
    share = (cores or usable_cores()) // len(config.devices)
    bounds = [_MOST_EMBEDDED if engine == EMBEDDED_ENGINE else _MOST]
    wished = environ.get(THREADS_VARIABLE, "").partition(",")[0].strip()
    if wished.isascii() and wished.isdigit() and int(wished) > 0:
        bounds.append(int(wished))
    return max(1, min(share, *bounds))


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Cores that this process may keep busy: its affinity, and the quota of its service or container.

    Args:
        cgroups: where the kernel shows control groups.
        membership: the file that says which of them are this process's.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(cgroups, membership) if (quota := _quota(group)) is not None]
    return max(1, min([cores, *map(int, quotas)]))


def _groups(cgroups: Path, membership: Path) -> list[Path]:
    """The process's control group and those around it; a container sees its own as the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    unified = next((line[3:] for line in lines if line.startswith("0::")), "")
    names = [name for name in unified.split("/") if name not in ("", "..")]
    return [cgroups.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)]


def _quota(group: Path) -> float | None:
    """CPUs that a control group grants; ``None`` without a limit."""
    try:
        if (group / "cpu.max").is_file():
            limit, period = (group / "cpu.max").read_text().split()
        else:
            limit = (group / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu/cpu.cfs_period_us").read_text().strip()
        return float(limit) / float(period) if limit not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
