"""Answers that are sent while they are made, and that end at once when the client goes.

Invariants: the source of the chunks is closed before the answer returns, whoever ended it; nothing is read ahead of
what the client takes (the server's flow control is the only buffer); an error after the first byte breaks the
connection, so that no client takes half an answer for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Result = TypeVar("Result")

#: Status of an answer that nobody reads any more (nginx's number for it).
GONE_STATUS = 499


class StreamedAnswer(Response):
    """Sends what an async generator yields.

    Args:
        chunks: the body's parts; closed when the client goes, so its ``finally`` cancels the work behind it.
        media_type: of the whole body.
        status_code: of the answer.
        headers: besides the content type.
        first: the body's beginning, when `begin` has taken it from ``chunks``.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        first: bytes = b"",
    ) -> None:
        self.chunks = chunks
        self.first = first
        self.status_code = status_code
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer; returns when it is complete or the client has gone."""
        sender = asyncio.ensure_future(self._send_all(send))
        watcher = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sender, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                sender.result()
        finally:
            watcher.cancel()
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sender
            await self.chunks.aclose()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self.first:
            await send({"type": "http.response.body", "body": self.first, "more_body": True})
        async for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class ClientGoneError(Exception):
    """The client went before its answer began."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``, which is cancelled when the client goes; the request's body must have been read.

    Raises:
        ClientGoneError: when the client went first.
        Whatever ``work`` raises.
    """
    worker = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        raise ClientGoneError
    finally:
        watcher.cancel()
        if not worker.done():
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker


async def begin(chunks: AsyncGenerator[bytes, None], receive: Receive) -> bytes:
    """Waits for the first chunk, so that an error before it can still be a status; then ``chunks`` is closed.

    Raises:
        ClientGoneError: when the client went first.
        Whatever ``chunks`` raises before its first chunk.
    """

    async def first() -> bytes:
        return await anext(chunks, b"")

    try:
        return await while_connected(receive, first())
    except BaseException:
        await chunks.aclose()
        raise


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
