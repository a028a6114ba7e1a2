"""What may happen only so often: wrong tokens, requests for speech.

Invariants: a sliding window for each client; memory is bounded, whoever asks; the clock is an argument.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable

#: Clients that are remembered; the one that was quiet longest is forgotten first.
MAX_CLIENTS = 10_000


class Attempts:
    """Counts by client over a window.

    Args:
        limit: events of one client within the window.
        window_s: seconds.
        clock: monotonic seconds.
        total: events of everybody together within the window; ``None`` is no limit.
    """

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float], *, total: int | None = None) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._clients: OrderedDict[str, deque[float]] = OrderedDict()
        self._everybody: deque[float] | None = None if total is None else deque(maxlen=total)

    def wait_s(self, client: str) -> int:
        """Whole seconds until ``client`` may try again; 0: now."""
        waits = [self._wait_s(self._clients.get(client), self._limit)]
        if self._everybody is not None:
            waits.append(self._wait_s(self._everybody, self._everybody.maxlen or 0))
        return max(waits)

    def note(self, client: str) -> None:
        """One more event of ``client``."""
        now = self._clock()
        times = self._clients.setdefault(client, deque(maxlen=self._limit))
        times.append(now)
        self._clients.move_to_end(client)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        if self._everybody is not None:
            self._everybody.append(now)

    def take(self, client: str) -> int:
        """Notes an event when it may happen; else the seconds to wait, as `wait_s`."""
        wait_s = self.wait_s(client)
        if not wait_s:
            self.note(client)
        return wait_s

    def _wait_s(self, times: deque[float] | None, limit: int) -> int:
        if not times or len(times) < limit:
            return 0
        return max(0, math.ceil(times[0] + self._window_s - self._clock()))
