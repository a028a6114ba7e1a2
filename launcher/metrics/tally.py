"""What is only counted: bytes by host, time-outs of mirrors, failed verifications, since the supervisor started.

Invariants: a count never falls; what happened before the start is not counted, because Prometheus knows it already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from launcher.alarms.events import Event
from launcher.alarms.names import MIRROR_TIMEOUT_EVENT, VERIFY_FAILURE_EVENT


class Tally:
    """Counts.

    Args:
        began: seconds since 1970; what happened earlier is not counted.
    """

    def __init__(self, began: float) -> None:
        self.fetched_bytes: dict[str, float] = {}
        self.timeouts: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.load_bytes: dict[str, float] = {}
        self._began = began
        self._heard: set[Event] | None = None
        self._sent: dict[tuple[str, str], float] = {}

    def take_events(self, events: Sequence[Event]) -> None:
        """Counts those that were not there before; who has noted them, and when, may have gone by a wrong clock."""
        if not events:  # none yet, or not to be read now
            return
        heard = {one for one in events if one.at < self._began} if self._heard is None else self._heard
        self._heard = set(events)
        for one in dict.fromkeys(events):
            if one in heard:
                continue
            if one.kind == MIRROR_TIMEOUT_EVENT:
                host = host_of(one.subject)
                self.timeouts[host] = self.timeouts.get(host, 0) + 1
            elif one.kind == VERIFY_FAILURE_EVENT:
                self.failures[one.subject] = self.failures.get(one.subject, 0) + 1

    def take_progress(self, who: str, progress: Mapping[str, Any] | None) -> None:
        """Adds what the hosts of a fetch have sent since it was last told.

        Args:
            who: fetches; each counts from nothing.
            progress: as `launcher.progress` writes it; ``None`` when there is none.
        """
        for host in (progress or {}).get("hosts") or ():
            name, done = str(host.get("name") or ""), float(host.get("done") or 0.0)
            before = self._sent.get((who, name), 0.0)
            # Less than before: the next repository, whose count begins anew.
            self.fetched_bytes[name] = self.fetched_bytes.get(name, 0.0) + (done - before if done >= before else done)
            self._sent[who, name] = done

    def take_load(self, engine: str, progress: Mapping[str, Any] | None) -> None:
        """Notes how many bytes an engine reads while it loads, when it counts in bytes."""
        if engine and progress and progress.get("unit") == "bytes" and progress.get("stage") != "fetch":
            total = progress.get("total")
            if isinstance(total, (int, float)) and total > 0:
                self.load_bytes[engine] = float(total)


def host_of(url: str) -> str:
    """The host of an address, with its port; the text itself when it is none."""
    return urlsplit(url).netloc.rpartition("@")[2] or url
