#!/usr/bin/env python3
"""Asks a port again and again and counts what became of each try: the proof that no connection is refused.

    python scripts/probe_port.py --port 7860 --probes 10000

Every probe is a connection of its own that asks for ``/healthz``. Outcomes: ``answered`` (by status), ``refused``
(nobody listens), ``lost`` (accepted and then cut: the request was inside a process that died), ``late`` (no answer in
time). Prints one JSON object; the exit code is 1 when anything was refused or late. The standard library is enough.
"""

from __future__ import annotations

import argparse
import collections
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

#: Longer than a page takes to start, so that a connection which waits in the backlog counts as answered.
TIMEOUT_S = 30.0


@dataclass
class Counts:
    """What became of the probes so far.

    Attributes:
        answered: number by HTTP status.
        refused, lost, late: numbers.
        slowest_s: the longest that an answered probe took.
    """

    answered: collections.Counter[int] = field(default_factory=collections.Counter)
    refused: int = 0
    lost: int = 0
    late: int = 0
    slowest_s: float = 0.0

    @property
    def probes(self) -> int:
        """How many there were."""
        return sum(self.answered.values()) + self.refused + self.lost + self.late

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "probes": self.probes,
            "refused": self.refused,
            "lost": self.lost,
            "late": self.late,
            "answered": {str(status): count for status, count in sorted(self.answered.items())},
            "slowest_s": round(self.slowest_s, 3),
        }


class Prober:
    """Probes a port from several threads until it is stopped or has done enough.

    Args:
        host, port: where.
        workers: threads; each has one connection at a time.
        limit: probes in all; ``None`` goes on until `stop`.
    """

    def __init__(self, host: str, port: int, *, workers: int = 4, limit: int | None = None) -> None:
        self.counts = Counts()
        self._address = (host, port)
        name = f"[{host}]" if ":" in host else host
        self._request = f"GET /healthz HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
        self._left = limit
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counts:
        """Ends after the probes that are under way; returns the counts."""
        self._stopped.set()
        return self.join()

    def join(self) -> Counts:
        """Waits until the limit is reached; returns the counts."""
        for thread in self._threads:
            thread.join()
        return self.counts

    def _work(self) -> None:
        while not self._stopped.is_set() and self._take():
            began = time.monotonic()
            outcome = self._probe()
            with self._lock:
                if isinstance(outcome, int):
                    self.counts.answered[outcome] += 1
                    self.counts.slowest_s = max(self.counts.slowest_s, time.monotonic() - began)
                else:
                    setattr(self.counts, outcome, getattr(self.counts, outcome) + 1)

    def _take(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def _probe(self) -> int | str:
        """The status, or the name of the counter for what went wrong."""
        try:
            with socket.create_connection(self._address, timeout=TIMEOUT_S) as sock:
                sock.sendall(self._request)
                received = b""
                while b"\r\n" not in received:
                    data = sock.recv(4096)
                    if not data:
                        return "lost"
                    received += data
                while sock.recv(4096):
                    pass
            return int(received.split(None, 2)[1])
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "late"
        except (OSError, ValueError, IndexError):
            return "lost"


def main() -> int:
    """Runs the probes of the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Probe a port and count refused connections.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--probes", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    prober = Prober(options.host, options.port, workers=options.workers, limit=options.probes)
    prober.start()
    counts = prober.join()
    print(json.dumps(counts.to_json()))
    return 1 if counts.refused or counts.late else 0


if __name__ == "__main__":
    sys.exit(main())
