"""Asks a port again and again, each time over a new connection, and counts what came of it.

Invariants: a probe is one TCP connection and one `GET /healthz`; ``refused`` means that the connection itself was
refused, ``lost`` that it was taken and then not answered (a request inside a process that was killed).
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def probe(host: str, port: int, timeout_s: float = 30.0) -> str:
    """One probe: ``answered``, ``refused`` or ``lost``."""
    try:
        connection = socket.create_connection((host, port), timeout=timeout_s)
    except OSError:
        return "refused"
    with connection:
        try:
            connection.sendall(REQUEST)
            return "answered" if connection.recv(16).startswith(b"HTTP/1.") else "lost"
        except OSError:
            return "lost"


@dataclass
class Probes:
    """Threads that probe a port until they are stopped; a context manager."""

    port: int
    host: str = "127.0.0.1"
    threads: int = 2
    #: Between two probes of a thread: leaves the processor to what is being probed.
    pause_s: float = 0.002
    counts: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Probes:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._running = [threading.Thread(target=self._run, daemon=True) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    @property
    def total(self) -> int:
        """Probes so far."""
        with self._lock:
            return sum(self.counts.values())

    def wait_for(self, total: int) -> None:
        """Waits until there are ``total`` probes."""
        while self.total < total:
            time.sleep(0.05)

    def _run(self) -> None:
        while not self._stop.is_set():
            outcome = probe(self.host, self.port)
            with self._lock:
                self.counts[outcome] += 1
            time.sleep(self.pause_s)
