"""How a child of the supervisor serves HTTP: uvicorn on a socket that is bound already, with bounds.

Invariants: one event loop, no worker processes; a connection that does not finish its request's headers is closed;
the end is graceful and bounded; nothing of uvicorn writes to standard output.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

#: Seconds that a request's headers may take; a person's browser needs milliseconds, a slow-header attack for ever.
HEADER_TIMEOUT_S = 20.0
#: Bytes of a request's headers; cookies of other programs on the same host can exceed uvicorn's 16 KiB.
MAX_HEADER_BYTES = 32 * 1024
#: Seconds that an idle connection is kept; longer than a browser's or httpx's own limit would gain nothing.
KEEP_ALIVE_S = 20


class BoundedH11Protocol(H11Protocol):
    """HTTP/1.1 with a deadline for the headers of each request."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the deadline of the first request."""
        super().connection_made(transport)
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Starts a deadline when a request has begun, ends it when its headers are complete."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the deadline."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class ChildServer(Server):
    """Serves an application on a bound socket and says when it accepts.

    Args:
        app: the ASGI application.
        grace_s: seconds that requests in progress may take at the end.
        on_started: called in the event loop once connections are accepted.
        on_stopping: called in the event loop before the requests in progress are awaited.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        grace_s: int,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        config = Config(
            app,
            loop="asyncio",
            http=BoundedH11Protocol,
            ws="none",
            lifespan="auto",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts connections, then tells."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells, then ends gracefully."""
        self._on_stopping()
        await super().shutdown(sockets)

    def ask_to_stop(self) -> None:
        """Ends the server soon; may be called from any thread."""
        self.should_exit = True

    def serve_on(self, sock: socket.socket) -> None:
        """Serves until SIGTERM, SIGINT or `ask_to_stop`; returns when all is closed."""
        # uvicorn raises the signal again at its end, for whoever would handle it next: that is nobody.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)
        self.run(sockets=[sock])


def _ignore(_number: int, _frame: Any) -> None:
    """A handler, not `signal.SIG_IGN`: that would be inherited by programs that an engine starts."""
