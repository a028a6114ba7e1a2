"""How far a fetch is, as progress data: bytes, speed, time left.

Invariant: a speed is that of the last seconds, so that it falls when nothing arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from launcher.hub.jobs import Job
from launcher.hub.mirrors import Mirror
from launcher.progress import Part, Progress

_WINDOW_S = 5.0
#: Files that are named at a time; a repository may have thousands.
MAX_PARTS = 8
_UNBOUNDED = 1 << 62
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


class JobsMeter:
    """Turns the jobs of a transfer into `Progress` with its files and hosts.

    Args:
        jobs: all of them.
        mirrors: who sends them.
    """

    def __init__(self, jobs: Sequence[Job], mirrors: Sequence[Mirror]) -> None:
        self._jobs = jobs
        self._whole = Meter("fetch", sum(job.file.size for job in jobs))
        self._mirrors = [(mirror, Meter("host", _UNBOUNDED)) for mirror in mirrors]

    def at(self, now: float) -> Progress:
        """How far all of them are at ``now`` seconds."""
        done = [job.done_bytes for job in self._jobs]
        moving = [(size, job.file) for size, job in zip(done, self._jobs, strict=True) if size and not job.is_done]
        moving.sort(key=lambda each: -each[1].size)
        parts = tuple(Part(file.path, float(size), float(file.size)) for size, file in moving[:MAX_PARTS])
        hosts = tuple(
            Part(urlsplit(mirror.url).netloc, float(size), None, meter.at(size, now).rate_per_s)
            for mirror, meter in self._mirrors
            if (size := mirror.received_bytes)
        )
        return replace(self._whole.at(sum(done), now), parts=parts, hosts=hosts)
