"""One thread that waits for sockets and timers: everything the supervisor decides happens in it.

Invariants: callbacks run one after another in the thread that calls `run`, so what they share needs no lock; only
`call_from_thread` may be called from elsewhere; a callback never blocks.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Protocol

Callback = Callable[[], None]
READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class HasFileno(Protocol):
    """A socket, or anything else that the operating system can watch."""

    def fileno(self) -> int:
        """The descriptor."""


class Timer:
    """A callback that is due at a moment; `cancel` makes it never happen."""

    def __init__(self, due: float, callback: Callback) -> None:
        self.due = due
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Drops the callback; harmless after it ran."""
        self.callback = None


class Loop:
    """Sockets, timers and calls from other threads, in one thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._calls: collections.deque[Callback] = collections.deque()
        self._stopping = False
        self._hears_signals = False
        # A socket pair and no pipe: Windows can select on sockets only, and `signal.set_wakeup_fd` takes it too.
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self.watch(self._wake_receiver, READ, self._drain_wakeups)

    def wake_by_signals(self) -> None:
        """Lets every signal wake the loop until `close`; for the main thread."""
        signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
        self._hears_signals = True

    def watch(self, source: HasFileno, events: int, callback: Callback) -> None:
        """Calls ``callback`` while ``source`` is ready for ``events`` (`READ` | `WRITE`); replaces an earlier watch."""
        try:
            self._selector.modify(source, events, callback)
        except KeyError:
            self._selector.register(source, events, callback)

    def unwatch(self, source: HasFileno) -> None:
        """Ends a watch; harmless when there is none."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Calls ``callback`` once, ``delay_s`` seconds from now."""
        timer = Timer(self.clock() + delay_s, callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def call_from_thread(self, callback: Callback) -> None:
        """Calls ``callback`` in the loop's thread soon; may be called from any thread and from signal handlers."""
        self._calls.append(callback)
        # Full means that a wake-up is already on its way; closed means that nobody waits any more.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"\0")

    def stop(self) -> None:
        """Makes `run` return after the callback that is running."""
        self._stopping = True

    def run(self) -> None:
        """Waits and calls until `stop`."""
        while not self._stopping:
            self.run_once()

    def run_once(self, wait_s: float = 60.0) -> None:
        """Waits for at most ``wait_s`` seconds, then calls everything that is due."""
        for key, _ in self._selector.select(self._time_to_wait(wait_s)):
            if self._still_watched(key):
                key.data()
        while self._calls:
            self._calls.popleft()()
        while self._timers and self._timers[0][0] <= self.clock():
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()

    def close(self) -> None:
        """Frees the loop's own descriptors; the sources belong to others."""
        if self._hears_signals:  # else the next one's number would be written into whatever gets this descriptor
            signal.set_wakeup_fd(-1)
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _still_watched(self, key: selectors.SelectorKey) -> bool:
        """Whether no earlier callback of this round has closed or changed the source."""
        try:
            return self._selector.get_key(key.fileobj).data is key.data
        except (KeyError, ValueError):
            return False

    def _time_to_wait(self, wait_s: float) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._calls:
            return 0.0
        if self._timers:
            return max(0.0, min(wait_s, self._timers[0][0] - self.clock()))
        return wait_s

    def _drain_wakeups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_receiver.recv(4096):
                pass
