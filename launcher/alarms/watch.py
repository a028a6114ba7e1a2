"""Which alarms are on now: judged from the disk, the snapshot and what happened lately.

Invariants: the judgements are pure; looking asks nobody on the network and never fails; what cannot be found out is
no alarm.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.alarms.events import Event, recent
from launcher.alarms.names import (
    DISK_FULL,
    MAX_DISK_USED,
    MAX_LOAD_S,
    MIRROR_TIMEOUT_EVENT,
    MIRROR_TIMEOUTS,
    SLOW_LOAD,
    TIMEOUT_WINDOW_S,
    TIMEOUTS,
    VERIFY_FAILURE_EVENT,
    VERIFY_FAILURES,
    VERIFY_SUCCESS_EVENT,
    VERIFY_WINDOW_S,
    Alarm,
)
from launcher.cache.layout import cache_dir, hub_cache
from launcher.config import Config

_CLOCK_SLACK_S = 300.0
#: Used and total bytes of the disk that a path lies on.
Usage = Callable[[Path], tuple[int, int]]


def usage_of(path: Path) -> tuple[int, int]:
    """Used and total bytes of a path's disk; the nearest folder that is there counts.

    Raises:
        OSError: when the system does not tell.
    """
    from shutil import disk_usage

    while not path.exists() and path != path.parent:
        path = path.parent
    found = disk_usage(path)
    # What is kept for root counts as used: nobody else can have it.
    return found.total - found.free, found.total


def look(
    config: Config, snapshot: Mapping[str, Any], *, usage: Usage = usage_of, now: float | None = None
) -> list[Alarm]:
    """Every alarm that is on.

    Args:
        config: the settings.
        snapshot: of the instance, see docs/architecture.md.
        usage: tells of a disk.
        now: seconds since 1970; ``None`` asks the clock.
    """
    moment = time.time() if now is None else now
    events = recent(cache_dir(config))
    return [
        *disk_alarms(disk_paths(config), usage),
        *load_alarms(snapshot),
        *mirror_alarms(events, moment),
        *verify_alarms(events, moment),
    ]


def disk_paths(config: Config) -> dict[str, Path]:
    """Setting to folder: where things grow."""
    hub = hub_cache(config)
    return {"HF_HUB_CACHE": hub, "LAUNCHER_DATA_DIR": config.data_dir}


def disk_alarms(paths: Mapping[str, Path], usage: Usage) -> list[Alarm]:
    """One for each disk that is nearly full."""
    found: dict[tuple[int, int], Alarm] = {}
    for setting, path in paths.items():
        try:
            used, total = usage(path)
        except OSError:
            continue
        if total and used / total >= MAX_DISK_USED and (used, total) not in found:
            found[used, total] = Alarm(
                DISK_FULL,
                f"The disk of {path} is {100 * used / total:.0f} % full ({(total - used) / 1e9:,.1f} GB free).",
                f"Free some space (see: cache prune --dry-run), or set {setting} to a larger disk.",
            )
    return list(found.values())


def load_alarms(snapshot: Mapping[str, Any]) -> list[Alarm]:
    """One when the engine needs, or needed, too long from its start to ready; fetching does not count."""
    stage = next((one for one in snapshot.get("stages", ()) if one.get("name") == "engine"), None)
    if stage is None or stage.get("state") not in ("running", "done"):
        return []
    seconds = float(stage.get("elapsed_s") or 0.0)
    if seconds <= MAX_LOAD_S:
        return []
    took = "has been loading for" if stage["state"] == "running" else "took"
    return [
        Alarm(
            SLOW_LOAD,
            f"The engine {took} {seconds:.0f} s{' to load' * (took == 'took')}.",
            "See: tts-launcher doctor (kind of disk, memory, GPU), and: tts-launcher logs --component engine.",
        )
    ]


def _is_within(event: Event, now: float, window_s: float) -> bool:
    """Whether it happened lately; another host's clock, on a shared disk, may be a little ahead."""
    return -_CLOCK_SLACK_S <= now - event.at <= window_s


def mirror_alarms(events: Sequence[Event], now: float) -> list[Alarm]:
    """One for each mirror that kept fetches waiting again and again."""
    counts = Counter(
        one.subject for one in events if one.kind == MIRROR_TIMEOUT_EVENT and _is_within(one, now, TIMEOUT_WINDOW_S)
    )
    return [
        Alarm(
            MIRROR_TIMEOUTS,
            f"The mirror {url} timed out {count} times within the last hour.",
            "See: tts-launcher mirror test. Take it out with mirror rm, or add another one with mirror add.",
        )
        for url, count in sorted(counts.items())
        if count >= TIMEOUTS
    ]


def verify_alarms(events: Sequence[Event], now: float) -> list[Alarm]:
    """One when the last verification of something found damage."""
    last: dict[str, Event] = {}
    for one in events:
        if one.kind in (VERIFY_FAILURE_EVENT, VERIFY_SUCCESS_EVENT) and _is_within(one, now, VERIFY_WINDOW_S):
            last[one.subject] = one
    bad = sorted(subject for subject, one in last.items() if one.kind == VERIFY_FAILURE_EVENT)
    if not bad:
        return []
    names = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
    return [Alarm(VERIFY_FAILURES, f"Damaged files were found in {names}.", "Run: tts-launcher cache repair")]
