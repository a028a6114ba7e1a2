"""When a child counts as dead, when it is started again, and when to give up.

Invariants: pure arithmetic on monotonic seconds that the caller passes; no process is touched here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: First pause before a crashed child is started again; short, because most crashes happen once.
FIRST_BACKOFF_S = 0.1
#: Longest pause; a person who mends the cause meanwhile should not have to wait longer.
MAX_BACKOFF_S = 15.0


@dataclass(frozen=True)
class Patience:
    """How long a child may be silent.

    Attributes:
        hello_s: from its start to its first word; covers imports from a cold, slow disk (measured: 7 s warm).
        silence_s: from any word to the next one until it is ready; covers reading large weights without a report.
        hung_s: from one sign of life to the next once it is ready; 0 for as long as it likes.
    """

    hello_s: float = 180.0
    silence_s: float = 900.0
    hung_s: float = 30.0


class Pulse:
    """Whether a child that gives signs of life goes on with it.

    Who neither promised nor gave one is not judged. What counts is time in which the observer itself was awake: after a
    pause of the whole machine, or of the observer alone, nobody is late.

    Args:
        limit_s: longest silence; 0 for no limit.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        #: How often to `look`.
        self.interval_s = max(0.05, limit_s / 10)
        self._silent_s = 0.0
        self._looked_at = 0.0
        self._beats = False

    def begin(self, now: float, *, beats: bool) -> None:
        """A child that serves now is watched: at once when it has promised ``beats``, else from its first one on."""
        self._beats, self._silent_s, self._looked_at = beats, 0.0, now

    def beat(self) -> None:
        """It has given a sign of life."""
        self._beats, self._silent_s = True, 0.0

    def look(self, now: float) -> bool:
        """Whether it has been silent for too long at ``now``, monotonic seconds."""
        awake_s = min(max(0.0, now - self._looked_at), 2 * self.interval_s)
        self._looked_at = now
        self._silent_s += awake_s
        return self._beats and 0 < self.limit_s <= self._silent_s


@dataclass
class CrashBudget:
    """Counts crashes in a sliding window.

    Args:
        limit: crashes within the window that are answered with a restart; one more gives up.
        window_s: the window's length in seconds.
    """

    limit: int
    window_s: float
    _crashes: deque[float] = field(default_factory=deque)

    def record(self, now: float) -> float | None:
        """Notes a crash at ``now``; returns the pause before the next start in seconds, or ``None`` to give up."""
        self._crashes.append(now)
        while self._crashes and self._crashes[0] < now - self.window_s:
            self._crashes.popleft()
        if len(self._crashes) > self.limit:
            return None
        return float(min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (len(self._crashes) - 1)))

    def reset(self) -> None:
        """Forgets every crash: a person has asked for a restart."""
        self._crashes.clear()

    @property
    def crashes(self) -> int:
        """Crashes within the window at the last `record`."""
        return len(self._crashes)
