"""Bodies that are too large or come too slowly.

Invariants: a body is counted as it comes, so a missing or wrong Content-Length helps nobody; its sender must keep a
pace.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive

#: A body has this long, and a second more for every `MIN_BYTES_PER_S` of it: a phone on a bad line is quicker.
BODY_GRACE_S = 20.0
MIN_BYTES_PER_S = 4000
#: How much of a refused body is read, and for how long, so that its sender sees the answer instead of a reset.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_S = 2.0


class BoundedBody:
    """Reads a request's body for the application, and ends it as a disconnect when it is too much or too slow.

    Args:
        receive: the server's.
        limit_bytes: of the whole body.
        grace_s: as `BODY_GRACE_S`.
    """

    def __init__(self, receive: Receive, limit_bytes: int, *, grace_s: float = BODY_GRACE_S) -> None:
        self._receive = receive
        self._left_bytes = limit_bytes
        self._deadline = time.monotonic() + grace_s
        self._is_complete = False
        self.too_large = False
        self.too_slow = False

    @property
    def is_refused(self) -> bool:
        """Whether the request has ended because of its body."""
        return self.too_large or self.too_slow

    async def receive(self) -> Message:
        """The next message of the request."""
        if self.is_refused:
            return {"type": "http.disconnect"}
        if self._is_complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._deadline - time.monotonic()))
        except asyncio.TimeoutError:  # its own class before Python 3.11
            self.too_slow = True
            return {"type": "http.disconnect"}
        size_bytes = len(message.get("body", b""))
        self._deadline += size_bytes / MIN_BYTES_PER_S
        self._left_bytes -= size_bytes
        self._is_complete = not message.get("more_body")
        if self._left_bytes < 0:
            self.too_large = True
            return {"type": "http.disconnect"}
        return message


async def drain(receive: Receive) -> None:
    """Reads on for a moment and throws away."""
    deadline, left_bytes = time.monotonic() + _DRAIN_S, _DRAIN_BYTES
    while left_bytes > 0 and (left_s := deadline - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left_s)
        except asyncio.TimeoutError:
            return
        left_bytes -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
