"""How a child of the supervisor serves HTTP: uvicorn on a socket that is bound already, with bounds.

Invariants: one event loop, no worker processes; connections are bounded in number and in every phase;
the end is graceful and bounded; nothing of uvicorn writes to standard output.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

from webui.engine.connections import STALLED_S, Admission, BoundedH11Protocol, protocol

#: Bytes of a request's headers; cookies of other programs on the same host can exceed uvicorn's 16 KiB.
MAX_HEADER_BYTES = 32 * 1024
#: Seconds that an idle connection is kept; longer than a browser's or httpx's own limit would gain nothing.
KEEP_ALIVE_S = 20
#: Between two looks at whether what was under way at the end is over.
BUSY_POLL_S = 0.05


class ChildServer(Server):
    """Serves an application on a bound socket and says when it accepts.

    Args:
        app: the ASGI application.
        grace_s: seconds that requests in progress may take at the end.
        on_started: called in the event loop once connections are accepted.
        on_stopping: called in the event loop before the requests in progress are awaited.
        is_busy: whether something is under way that may go on for a while after nothing new is accepted.
        busy_s: for how long, before ``grace_s`` begins.
        admission: which connections are let in.
        stalled_s: see `webui.engine.connections`.
        tls_cert, tls_key: files in PEM form; empty: plain HTTP.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        grace_s: int,
        on_started: Callable[[], None],
        on_stopping: Callable[[], object] = lambda: None,
        is_busy: Callable[[], bool] = lambda: False,
        busy_s: float = 0.0,
        admission: Admission | None = None,
        stalled_s: float = STALLED_S,
        tls_cert: str = "",
        tls_key: str = "",
    ) -> None:
        config = Config(
            app,
            loop="asyncio",
            http=protocol(admission or Admission(), stalled_s),
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
            ssl_certfile=tls_cert or None,
            ssl_keyfile=tls_key or None,
        )
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._is_busy = is_busy
        self._busy_s = busy_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts connections, then tells."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells, then ends gracefully: what has not begun to be answered by then is told to come back."""
        self._on_stopping()
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + self._busy_s
        while self._is_busy() and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(BUSY_POLL_S)
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedH11Protocol):
                connection.refuse()
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
