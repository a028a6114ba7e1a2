"""A child's connection to its supervisor: says hello, how far it is, that it is ready or has failed.

Invariants: one connection at a time, made again when it breaks, and then the latest report is repeated, so that the
supervisor never has to guess; reports may come from any thread; a supervisor that does not answer never stops a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from launcher.channel import Channel, ChannelError
from launcher.errors import LauncherError
from launcher.progress import Progress

#: Pause before the next attempt to connect; the supervisor listens before it starts a child, so this is rare.
RECONNECT_S = 0.25
#: At most this many reports of one stage's progress a second: more than anyone can read.
PROGRESS_PER_S = 10.0
#: Between two signs of life; the supervisor's patience is a multiple of it.
BEAT_S = 2.0
#: Words that hold for their moment only and are not repeated on a new connection.
_PASSING = frozenset({"idle", "alive"})
#: How long a last word (failed, stopping) may wait for a connection.
LAST_WORD_S = 2.0


class Reporter:
    """Tells the supervisor about one component, and hands on what it says back.

    Args:
        component: ``page`` or ``engine``.
        address: the control socket as `launcher.channel` writes addresses; empty: there is no supervisor to tell.
        token: of a TCP address.
        on_message: called with every message from the supervisor, in the connection's thread.
        subscribe: whether to ask for snapshots on every new connection.
        pid: of the process that the supervisor has started; this one when it is 0.
    """

    def __init__(
        self,
        component: str,
        address: str,
        token: str = "",
        *,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        subscribe: bool = False,
        pid: int = 0,
    ) -> None:
        self._component = component
        self._pid = pid or os.getpid()
        self._address = address
        self._token = token
        self._on_message = on_message
        self._subscribe = subscribe
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._latest: dict[str, Any] | None = None
        self._connected = threading.Event()
        self._closed = threading.Event()
        self._beats = False
        self._last_stage = ""
        self._last_progress_at = 0.0

    def start(self) -> None:
        """Connects in a thread and stays connected."""
        if self._address:
            threading.Thread(target=self._stay_connected, name="supervisor-link", daemon=True).start()

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives a sign of life every `BEAT_S` seconds for as long as ``loop`` turns.

        From a thread of its own: a supervisor that does not read must not hold up the loop, and a pool of threads
        that is full of work is no reason to seem dead.
        """
        if self._address:
            self._beats = True
            threading.Thread(target=self._beat, args=(loop,), name="heartbeat", daemon=True).start()

    def progress(self, progress: Progress) -> None:
        """Reports how far a stage has come; drops what follows too closely, but never a stage's first and last."""
        now = time.monotonic()
        last = progress.total is not None and progress.done >= progress.total
        if progress.stage == self._last_stage and not last and now - self._last_progress_at < 1 / PROGRESS_PER_S:
            return
        self._last_stage, self._last_progress_at = progress.stage, now
        self._report("progress", progress=progress.to_json())

    def ready(self, info: dict[str, Any]) -> None:
        """Reports that the component serves; ``info`` is `EngineInfo`'s object, ``{}`` for the page."""
        self._report("ready", info=info, beats=self._beats)

    def failed(self, error: LauncherError) -> None:
        """Reports why the component cannot serve; waits a moment for a connection, since the process ends next."""
        self._report_last("failed", message=error.message, fix=error.fix)

    def idle(self) -> None:
        """Reports that the component has had nothing to do for as long as the settings allow."""
        self._report("idle")

    def command(self, name: str, **fields: Any) -> None:
        """Asks the supervisor to do something; what comes of it is seen in the snapshots."""
        with self._lock:
            if self._channel is not None:
                with contextlib.suppress(ChannelError):  # the connection is made again; the caller asks again
                    self._channel.send({"command": name, **fields})

    def stopping(self) -> None:
        """Reports a clean stop."""
        self._report("stopping")

    def close(self) -> None:
        """Ends the connection."""
        self._closed.set()
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._closed.wait(BEAT_S):
            turned = threading.Event()
            try:
                loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # the loop has ended
                return
            while not turned.wait(BEAT_S):
                if self._closed.is_set():
                    return
            self._report("alive")

    def _report_last(self, event: str, **fields: Any) -> None:
        self._report(event, **fields)
        if self._address:
            self._connected.wait(LAST_WORD_S)

    def _report(self, event: str, **fields: Any) -> None:
        message = {"event": event, "component": self._component, **fields}
        with self._lock:
            if event not in _PASSING:
                self._latest = message
            if self._channel is None:
                return
            try:
                self._channel.send(message)
            except ChannelError:
                self._disconnect()

    def _disconnect(self) -> None:
        """Forgets a broken connection; the thread that reads from it wakes up and connects again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._connected.clear()

    def _stay_connected(self) -> None:
        while not self._closed.is_set():
            try:
                channel = Channel.connect(self._address, token=self._token)
            except ChannelError:
                self._closed.wait(RECONNECT_S)
                continue
            try:
                self._introduce(channel)
                while (message := channel.receive()) is not None:
                    if self._on_message is not None:
                        self._on_message(message)
            except ChannelError:
                pass
            finally:
                channel.close()
                with self._lock:
                    if self._channel is channel:
                        self._disconnect()
            self._closed.wait(RECONNECT_S)

    def _introduce(self, channel: Channel) -> None:
        channel.set_timeout(None)
        with self._lock:
            channel.send({"event": "hello", "component": self._component, "pid": self._pid})
            if self._subscribe:
                channel.send({"command": "subscribe"})
            if self._latest is not None:
                channel.send(self._latest)
            self._channel = channel
            self._connected.set()
