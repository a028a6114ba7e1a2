"""The names of alarms, of the happenings behind them, and of the metrics that show both.

Invariant: these names are a contract with dashboards and scripts: none is ever renamed or used for something else.
"""

from __future__ import annotations

from dataclasses import dataclass

# Alarms

DISK_FULL = "cache_disk_nearly_full"
SLOW_LOAD = "engine_load_slow"
MIRROR_TIMEOUTS = "mirror_timeouts"
VERIFY_FAILURES = "verify_failures"

# Happenings

MIRROR_TIMEOUT_EVENT = "mirror_timeout"
VERIFY_FAILURE_EVENT = "verify_failure"
VERIFY_SUCCESS_EVENT = "verify_success"

# Limits

#: Of a cache's disk, used bytes by all: file systems slow down and scatter files from about here on.
MAX_DISK_USED = 0.85
#: A load that reads 7 GB from an SSD takes seconds; a minute means a slow disk or a missing fast path.
MAX_LOAD_S = 60.0
#: One time-out is a bad moment; three of one mirror within an hour are a mirror that does not work.
TIMEOUTS, TIMEOUT_WINDOW_S = 3, 3600.0
#: A failed verification matters until one succeeds, at most this long.
VERIFY_WINDOW_S = 7 * 86_400.0


@dataclass(frozen=True)
class Alarm:
    """Something that a person should know.

    Attributes:
        code: its stable name.
        message, fix: one sentence each.
    """

    code: str
    message: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """The value as the snapshot shows it among its warnings."""
        return {"message": self.message, "fix": self.fix, "code": self.code}


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus knows it.

    Attributes:
        name: with its unit at the end.
        kind: ``gauge`` or ``counter``.
        meaning: one line.
        labels: what tells its values apart.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


CACHE_DISK_USED_RATIO = Metric("tts_cache_disk_used_ratio", "gauge", "Used part of a cache's disk, 0 to 1.", ("path",))
CACHE_DISK_FREE_BYTES = Metric("tts_cache_disk_free_bytes", "gauge", "Free bytes of a cache's disk.", ("path",))
ENGINE_LOAD_SECONDS = Metric("tts_engine_load_seconds", "gauge", "How long the engine's last load took.", ("engine",))
MIRROR_TIMEOUTS_TOTAL = Metric("tts_mirror_timeouts_total", "counter", "Time-outs of a mirror in fetches.", ("mirror",))
VERIFY_FAILURES_TOTAL = Metric("tts_verify_failures_total", "counter", "Files that failed a verification.", ("repo",))
ALARM_ACTIVE = Metric("tts_alarm_active", "gauge", "1 while an alarm is on.", ("alarm",))

COMPONENT_READY = Metric("tts_component_ready", "gauge", "1 while the process serves.", ("component",))
RESTARTS_TOTAL = Metric("tts_restarts_total", "counter", "How often a process was started again.", ("component",))
START_STAGE_SECONDS = Metric("tts_start_stage_seconds", "gauge", "How long a stage of the start took.", ("stage",))
START_STAGE_DONE = Metric("tts_start_stage_done", "gauge", "1 when a stage of the start is over.", ("stage",))
STARTED_SECONDS = Metric("tts_started_timestamp_seconds", "gauge", "When the instance was started.")
ENGINE_LOAD_BYTES = Metric("tts_engine_load_bytes", "gauge", "What the engine's last load read.", ("engine",))
FETCH_BYTES_TOTAL = Metric("tts_fetch_bytes_total", "counter", "Bytes that a host sent.", ("host",))
CACHE_BYTES = Metric("tts_cache_bytes", "gauge", "What models take in the cache.", ("path",))
RESIDENT_BYTES = Metric("tts_process_resident_bytes", "gauge", "Memory of a process and its own.", ("component",))
CPU_SECONDS_TOTAL = Metric("tts_process_cpu_seconds_total", "counter", "Processor time so far.", ("component",))
GPU_USED_BYTES = Metric("tts_gpu_memory_used_bytes", "gauge", "Used memory of a GPU, by all.", ("gpu",))
GPU_TOTAL_BYTES = Metric("tts_gpu_memory_total_bytes", "gauge", "Memory of a GPU.", ("gpu",))
GPU_ENGINE_BYTES = Metric("tts_gpu_memory_engine_bytes", "gauge", "Memory of a GPU that engines hold.", ("gpu",))
GPU_LOAD_RATIO = Metric("tts_gpu_load_ratio", "gauge", "How busy a GPU is, 0 to 1.", ("gpu",))

#: What the supervisor tells; the page adds what it knows of requests (`webui/metrics/requests.py`).
METRICS = (
    CACHE_DISK_USED_RATIO,
    CACHE_DISK_FREE_BYTES,
    ENGINE_LOAD_SECONDS,
    MIRROR_TIMEOUTS_TOTAL,
    VERIFY_FAILURES_TOTAL,
    ALARM_ACTIVE,
    COMPONENT_READY,
    RESTARTS_TOTAL,
    START_STAGE_SECONDS,
    START_STAGE_DONE,
    STARTED_SECONDS,
    ENGINE_LOAD_BYTES,
    FETCH_BYTES_TOTAL,
    CACHE_BYTES,
    RESIDENT_BYTES,
    CPU_SECONDS_TOTAL,
    GPU_USED_BYTES,
    GPU_TOTAL_BYTES,
    GPU_ENGINE_BYTES,
    GPU_LOAD_RATIO,
)
ALARMS = (DISK_FULL, SLOW_LOAD, MIRROR_TIMEOUTS, VERIFY_FAILURES)
