"""How far a fetch is, as progress data: bytes, speed, time left.

Invariant: a speed is that of the last seconds, so that it falls when nothing arrives.
"""

from __future__ import annotations

from collections import deque

from launcher.progress import Progress

_WINDOW_S = 5.0
#: Before this a speed is a guess.
_LEAST_S = 0.5


class Meter:
    """Turns byte counts into `Progress`.

    Args:
        stage: of the progress.
        total: bytes in all.
    """

    def __init__(self, stage: str, total: int) -> None:
        self._stage = stage
        self._total = total
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int, now: float) -> Progress:
        """The progress when ``done`` bytes are there at ``now`` seconds."""
        done = min(done, self._total)
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = max(0.0, (done - before) / (now - since)) if now - since >= _LEAST_S else None
        eta = (self._total - done) / rate if rate else None
        return Progress(self._stage, float(done), float(self._total), "bytes", rate, eta)
