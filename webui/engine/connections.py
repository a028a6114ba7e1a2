"""Connections of a child's server: how many there may be, how long a head may take, who must take what is sent.

Invariants: no connection is kept for nothing: each phase has a deadline; one address cannot take all places; a client
that takes nothing of its answer loses the connection, because an engine waits behind it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds that a request's headers may take; a person's browser needs milliseconds, a slow-header attack for ever.
HEADER_TIMEOUT_S = 20.0
#: How long a client may take nothing of what waits for it. A player that is paused fills its buffers first, and people
#: come back from a pause, so it is not short.
STALLED_S = 120.0
#: How long a connection that is new when the server ends may take to bring its request: it is usually there already,
#: and closing would make the kernel reset what nobody has read.
FIRST_REQUEST_S = 0.25
#: After which somebody who could not be served is told to come back.
RETRY_AFTER_S = 5
#: Code of the answer to somebody whom a server that ends has not begun to answer.
ENDING = "ending"


def _refusal(message: str, code: str) -> bytes:
    body = json.dumps({"error": {"message": message, "type": "server_error", "code": code}})
    head = f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_S}\r\nConnection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


_FULL = _refusal("Too many connections.", "full")
_ENDING = _refusal("This ends or starts anew before it can answer: try again.", ENDING)


class Admission:
    """Which connections are let in.

    Args:
        total: connections at the same time; ``None`` is no limit.
        is_counted: whether the connections of an address are limited to a quarter of them.
    """

    def __init__(self, total: int | None = None, is_counted: Callable[[str], bool] = lambda address: False) -> None:
        self._total = total
        self._is_counted = is_counted
        self._all = 0
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Takes a place for a connection; false when there is none."""
        if self._total is not None and self._all >= self._total:
            return False
        if self._is_counted(address):
            if self._total is not None and self._addresses[address] >= max(1, self._total // 4):
                return False
            self._addresses[address] += 1
        self._all += 1
        return True

    def leave(self, address: str) -> None:
        """Gives the place back."""
        self._all -= 1
        if self._is_counted(address):
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


class BoundedH11Protocol(H11Protocol):
    """HTTP/1.1 with deadlines and a limit of connections; see `protocol`."""

    admission = Admission()
    stalled_s = STALLED_S
    _address: str | None = None
    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a place, or says that there is none; starts the deadline of the first request."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self.admission.enter(address):
            transport.write(_FULL)
            transport.close()
            return
        self._address = address
        super().connection_made(transport)
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Starts a deadline when a request has begun, ends it when its headers are complete."""
        if self._address is None:
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_header_timer()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        if self._address is not None:
            super().eof_received()

    def pause_writing(self) -> None:
        """Much waits to be taken: starts the deadline of that."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It was taken."""
        self._stop_stall_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        """Ends an idle connection, and one with a request after its answer; a new one may bring its request yet."""
        if self.cycle is None:
            self.loop.call_later(FIRST_REQUEST_S, self._shut_down_for_good)
        else:
            super().shutdown()

    def refuse(self) -> None:
        """Tells who still waits for the beginning of an answer to come back; the application sees a disconnect."""
        if self.cycle is not None and not self.cycle.response_started and not self.transport.is_closing():
            self.transport.write(_ENDING)
            self.transport.close()
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _shut_down_for_good(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        self._stop_header_timer()
        self._stop_stall_timer()
        if self._address is not None:
            self.admission.leave(self._address)
            super().connection_lost(exc)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


def protocol(admission: Admission, stalled_s: float = STALLED_S) -> type[BoundedH11Protocol]:
    """The protocol of one server."""
    members: dict[str, Any] = {"admission": admission, "stalled_s": stalled_s}
    return type("ServerProtocol", (BoundedH11Protocol,), members)
