"""The page's connection to the supervisor: what it reports, and the latest snapshot that came back.

Invariants: the latest snapshot is always at hand without waiting; a listener gets every later one in its event loop;
without a supervisor the page still works, and says of itself what it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

from launcher.channel import Channel, ChannelError
from webui.engine.reporting import Reporter
from webui.settings import PageSettings

#: The supervisor answers from memory within milliseconds.
ANSWER_S = 2.0
#: States of an engine by how soon it serves.
_NEAREST_FIRST = ("ready", "restarting", "starting", "stopping", "unloaded", "stopped", "failed")


class SupervisorLink:
    """Reports the page's state and holds the instance's snapshot.

    Args:
        settings: of the page.
    """

    def __init__(self, settings: PageSettings) -> None:
        self.reporter = Reporter(
            "page", settings.control_address, settings.control_token, on_message=self._receive, subscribe=True
        )
        self._settings = settings
        self._started_at = time.time()
        self._lock = threading.Lock()
        self._snapshot: dict[str, Any] | None = None
        self._listeners: set[_Listener] = set()
        self._closing = False

    def start(self) -> None:
        """Connects in a thread."""
        self.reporter.start()

    def close(self) -> None:
        """Ends every `snapshots`; the reporter stays, for the last words. May be called from any thread."""
        with self._lock:
            self._closing = True
            listeners = list(self._listeners)
        for listener in listeners:
            listener.offer(None)

    @property
    def snapshot(self) -> dict[str, Any]:
        """The latest snapshot; before the first one, what the page knows of itself."""
        with self._lock:
            return self._snapshot or self._own_snapshot()

    @property
    def engine(self) -> dict[str, Any]:
        """The engine's part of the snapshot; of several engines the one that is furthest."""
        components: dict[str, Any] = self.snapshot.get("components", {})
        engines = [part for name, part in components.items() if name.partition("-")[0] == "engine"]
        return min(engines, key=_way_to_go, default={})

    @property
    def ready(self) -> bool:
        """Whether page and engine are ready, or come back with the next request, as the supervisor sees it."""
        snapshot = self.snapshot
        if snapshot.get("state") != "degraded":
            return bool(snapshot.get("state") == "ready")
        # One of several engines is down: the others serve.
        page = snapshot["components"]["page"].get("state")
        return page == "ready" and self.engine.get("state") in ("ready", "unloaded")

    def load_engine(self) -> None:
        """Asks for the engines that were unloaded; harmless when they are on their way."""
        self.reporter.command("load", component="engines")

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """What the supervisor answers to a command, over a connection of its own.

        Raises:
            ChannelError: when it does not answer, or refuses: the text then says why.
        """
        settings = self._settings

        def call() -> dict[str, Any]:
            channel = Channel.connect(settings.control_address, token=settings.control_token, timeout_s=ANSWER_S)
            try:
                return channel.call(command, **arguments)
            finally:
                channel.close()

        if not settings.control_address:
            raise ChannelError("there is no supervisor")
        return await asyncio.to_thread(call)

    async def snapshots(self, heartbeat_s: float) -> AsyncGenerator[dict[str, Any] | None, None]:
        """The latest snapshot and every later one; ``None`` when there was none for ``heartbeat_s`` seconds.

        A slow listener misses snapshots in between, never the latest. Ends when the page does.
        """
        listener = _Listener(asyncio.get_running_loop())
        with self._lock:
            if self._closing:
                return
            self._listeners.add(listener)
        try:
            yield self.snapshot
            while True:
                try:
                    value = await asyncio.wait_for(listener.next(), heartbeat_s)
                except asyncio.TimeoutError:  # its own class before Python 3.11
                    yield None
                    continue
                if value is None:
                    return
                yield value
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _receive(self, message: dict[str, Any]) -> None:
        value = message.get("snapshot") if message.get("event") == "snapshot" else message.get("result")
        if not isinstance(value, dict) or "components" not in value:
            return
        with self._lock:
            self._snapshot = value
            listeners = [] if self._closing else list(self._listeners)
        for listener in listeners:
            listener.offer(value)

    def _own_snapshot(self) -> dict[str, Any]:
        component: dict[str, Any] = {
            "pid": None,
            "restarts": 0,
            "since": self._started_at,
            "progress": None,
            "info": {},
            "error": None,
        }
        settings = self._settings
        return {
            "instance": settings.instance,
            "version": settings.version,
            "pid": None,
            "url": f"http://{settings.host}:{settings.port}",
            "host": settings.host,
            "port": settings.port,
            "started_at": self._started_at,
            "uptime_s": round(time.time() - self._started_at, 1),
            "state": "starting",
            "stages": [],
            "components": {
                "page": {**component, "state": "ready"},
                "engine": {**component, "state": "starting"},
            },
            "choice": {"name": "", "reason": ""},
            "warnings": [],
            "crashes": [],
        }


def _way_to_go(engine: dict[str, Any]) -> int:
    """How far an engine is from serving; less is better."""
    state = engine.get("state")
    return _NEAREST_FIRST.index(state) if state in _NEAREST_FIRST else len(_NEAREST_FIRST)


class _Listener:
    """Holds the newest snapshot that one `snapshots` has not taken yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def offer(self, value: dict[str, Any] | None) -> None:
        """Hands over a snapshot, ``None`` for the end, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody listens
            self._loop.call_soon_threadsafe(self._replace, value)

    async def next(self) -> dict[str, Any] | None:
        """The newest value, waiting for one."""
        return await self._queue.get()

    def _replace(self, value: dict[str, Any] | None) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(value)
