"""Counts and times of spoken requests and of answers, for `/metrics`.

Invariants: the names never change, dashboards rest on them; a label takes one of a few values that are known here,
never what a request says; counting never fails a request.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from launcher.errors import LauncherError, SpeechError
from webui.engine.client import EngineAwayError
from webui.quality.findings import KINDS as FINDINGS
from webui.queueing import QueueFullError

#: From a cached answer to a long text on a slow processor.
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Below 1 speech is made faster than it is listened to.
FACTORS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
#: How a request may end.
DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
ENDS = (DONE, CANCELLED, FAILED)
#: What `kind_of` says.
KINDS = ("bad_request", "queue_full", "engine_loading", "engine_away", "engine_failed", "internal")
#: Addresses that are counted by themselves; everything else is one of the two below.
ROUTES = frozenset(
    ("/", "/metrics", "/healthz", "/readyz", "/api/speak", "/api/status", "/api/events", "/v1/audio/speech")
)
OTHER_API, OTHER = "other api", "other"


class RequestMetrics:
    """The numbers.

    Args:
        waiting: how many requests wait now.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for every other one, read by nobody
        registry = self.registry = CollectorRegistry()
        depth = Gauge("tts_queue_depth", "Requests that wait for an engine.", registry=registry)
        depth.set_function(waiting)
        self.wait = Histogram(
            "tts_queue_wait_seconds", "How long requests waited.", buckets=(0.0, *SECONDS), registry=registry
        )
        self.first_audio = Histogram(
            "tts_first_audio_seconds", "From the request to its first sound.", buckets=SECONDS, registry=registry
        )
        self.synthesis = Histogram(
            "tts_synthesis_seconds", "How long engines worked on a request.", buckets=SECONDS, registry=registry
        )
        self.factor = Histogram(
            "tts_real_time_factor", "Work for each second of sound.", buckets=FACTORS, registry=registry
        )
        self.audio = Counter("tts_audio_seconds", "Sound that was made.", registry=registry)
        self.requests = Counter("tts_requests", "Spoken requests, by how they ended.", ("outcome",), registry=registry)
        self.errors = Counter("tts_errors", "Requests that were refused or failed.", ("kind",), registry=registry)
        self.marks = Counter("tts_marked_segments", "Findings about segments of speech.", ("kind",), registry=registry)
        self.redos = Counter("tts_redone_segments", "Segments that were spoken again.", registry=registry)
        self.answers = Counter("tts_http_answers", "Answers on the port.", ("route", "status"), registry=registry)
        self._counted: WeakSet[BaseException] = WeakSet()
        # There from the start, so that the first one is seen as a rise.
        for end in ENDS:
            self.requests.labels(end)
        for kind in KINDS:
            self.errors.labels(kind)
        for kind in FINDINGS:
            self.marks.labels(kind)

    def count_error(self, error: BaseException) -> None:
        """Counts what a request ended with, once, however many hands it goes through."""
        try:
            if error in self._counted:
                return
            self._counted.add(error)
        except TypeError:  # Python's own exceptions take no weak references; they pass one hand only
            pass
        self.errors.labels(kind_of(error)).inc()

    def text(self) -> bytes:
        """Everything in Prometheus's format."""
        return generate_latest(self.registry)


def kind_of(error: BaseException) -> str:
    """A few words for all errors: who is at fault, and roughly why."""
    if isinstance(error, QueueFullError):
        return "queue_full"
    if isinstance(error, SpeechError):
        return "bad_request"
    if isinstance(error, EngineAwayError):
        return "engine_loading" if error.loading else "engine_away"
    return "engine_failed" if isinstance(error, LauncherError) else "internal"


def route_of(path: str) -> str:
    """What a path is counted as."""
    if path in ROUTES:
        return path
    return OTHER_API if path.startswith(("/api/", "/v1/")) else OTHER
