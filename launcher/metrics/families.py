"""From a snapshot, a look and the counts to the families of numbers that the supervisor tells.

Invariant: pure; what is not known is left out, so that no number is made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.alarms import names
from launcher.metrics.exposition import Family, family
from launcher.metrics.sampling import Sample
from launcher.metrics.tally import Tally


def families(snapshot: Mapping[str, Any], sample: Sample | None, tally: Tally) -> list[Family]:
    """Everything that the supervisor knows, in a fixed order.

    Args:
        snapshot: of the instance, see docs/architecture.md.
        sample: the newest look; ``None`` before the first.
        tally: the counts.
    """
    return [*_of_run(snapshot), *_of_load(snapshot, tally), *_of_counts(tally), *_of_sample(sample)]


def engine_name(snapshot: Mapping[str, Any]) -> str:
    """Which engine it is; empty until that is known."""
    engine = (snapshot.get("components") or {}).get("engine") or {}
    return str((engine.get("info") or {}).get("name") or (snapshot.get("choice") or {}).get("name") or "")


def _of_run(snapshot: Mapping[str, Any]) -> Iterator[Family]:
    components = snapshot.get("components") or {}
    alarms = {str(one.get("code")) for one in snapshot.get("warnings") or ()}
    stages = snapshot.get("stages") or ()
    yield family(names.STARTED_SECONDS, float(snapshot.get("started_at") or 0.0))
    yield family(names.COMPONENT_READY, {name: float(one["state"] == "ready") for name, one in components.items()})
    yield family(names.RESTARTS_TOTAL, {name: one.get("restarts") or 0 for name, one in components.items()})
    yield family(names.START_STAGE_SECONDS, {one["name"]: one["elapsed_s"] for one in stages})
    yield family(names.START_STAGE_DONE, {one["name"]: float(one["state"] == "done") for one in stages})
    yield family(names.ALARM_ACTIVE, {alarm: float(alarm in alarms) for alarm in names.ALARMS})


def _of_load(snapshot: Mapping[str, Any], tally: Tally) -> Iterator[Family]:
    engine = engine_name(snapshot)
    stage = next((one for one in snapshot.get("stages") or () if one["name"] == "engine"), None)
    if engine and stage is not None and stage["state"] in ("running", "done"):
        yield family(names.ENGINE_LOAD_SECONDS, {engine: stage["elapsed_s"]})
    yield family(names.ENGINE_LOAD_BYTES, tally.load_bytes)


def _of_counts(tally: Tally) -> Iterator[Family]:
    yield family(names.FETCH_BYTES_TOTAL, tally.fetched_bytes)
    yield family(names.MIRROR_TIMEOUTS_TOTAL, tally.timeouts)
    yield family(names.VERIFY_FAILURES_TOTAL, tally.failures)


def _of_sample(sample: Sample | None) -> Iterator[Family]:
    if sample is None:
        return
    disks = {path: disk for path, disk in sample.disks.items() if disk[1]}
    yield family(names.CACHE_DISK_USED_RATIO, {path: used / total for path, (used, total) in disks.items()})
    yield family(names.CACHE_DISK_FREE_BYTES, {path: total - used for path, (used, total) in disks.items()})
    yield family(names.CACHE_BYTES, sample.cache_bytes)
    yield family(names.RESIDENT_BYTES, sample.resident_bytes)
    yield family(names.CPU_SECONDS_TOTAL, sample.cpu_s)
    gpus = {str(gpu.index): gpu for gpu in sample.gpus}
    yield family(names.GPU_USED_BYTES, {index: gpu.used_bytes for index, gpu in gpus.items()})
    yield family(names.GPU_TOTAL_BYTES, {index: gpu.total_bytes for index, gpu in gpus.items()})
    yield family(names.GPU_ENGINE_BYTES, {index: gpu.own_bytes for index, gpu in gpus.items()})
    yield family(names.GPU_LOAD_RATIO, {index: gpu.load for index, gpu in gpus.items() if gpu.load is not None})
