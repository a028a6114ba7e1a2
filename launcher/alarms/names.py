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

METRICS = (
    CACHE_DISK_USED_RATIO,
    CACHE_DISK_FREE_BYTES,
    ENGINE_LOAD_SECONDS,
    MIRROR_TIMEOUTS_TOTAL,
    VERIFY_FAILURES_TOTAL,
    ALARM_ACTIVE,
)
ALARMS = (DISK_FULL, SLOW_LOAD, MIRROR_TIMEOUTS, VERIFY_FAILURES)
