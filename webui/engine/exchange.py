"""One HTTP request to a server of our own on this machine, over a connection of its own.

It knows as much of HTTP as uvicorn answers, and asks for no more: a client library costs more time than everything
else that the page does for a request. Invariants: a connection serves one request and is dropped with it; every wait
has an end; an answer that breaks off is an error and never a short answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from typing import Any

#: Of an answer's head, and of what is read ahead of its body.
_MAX_BUFFER_BYTES = 1024 * 1024
#: Between two tries to connect to a server whose queue of connections is full.
_FULL_PAUSE_S = 0.02


class UnreachableError(ConnectionError):
    """Nobody takes connections there."""


class SilentError(ConnectionError):
    """Nothing came for too long."""


class BrokenError(ConnectionError):
    """The connection ended before the answer did."""


class Answer:
    """What came back; use `ask`.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._reader = reader
        self._writer = writer
        self._silence_s = silence_s
        self._is_late = False

    async def begin(self) -> None:
        """Reads the head; raises as `parts` does."""
        head = await self._wait(self._reader.readuntil(b"\r\n\r\n"))
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ", 2)[1])
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes.

        Raises:
            SilentError: when nothing comes for as long as may be.
            BrokenError: when it breaks off.
        """
        if self.headers.get("transfer-encoding") != "chunked":
            yield await self._wait(self._reader.readexactly(int(self.headers.get("content-length", "0"))))
            return
        while size := int(await self._wait(self._reader.readuntil(b"\r\n")), 16):
            yield (await self._wait(self._reader.readexactly(size + 2)))[:-2]

    async def read(self) -> bytes:
        """The whole body; raises as `parts` does."""
        return b"".join([part async for part in self.parts()])

    async def _wait(self, reading: Awaitable[bytes]) -> bytes:
        alarm = asyncio.get_running_loop().call_later(self._silence_s, self._be_late)
        try:
            return await reading
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise (SilentError if self._is_late else BrokenError)(str(error)) from error
        finally:
            alarm.cancel()

    def _be_late(self) -> None:
        self._is_late = True
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def ask(
    address: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    token: str = "",
    connect_s: float,
    silence_s: float,
) -> AsyncIterator[Answer]:
    """Asks, and gives the answer once its head is there; leaving drops the connection.

    Args:
        address: as `launcher.channel` writes addresses.
        method, path: of the request.
        body: sent as JSON.
        token: sent as ``Authorization: Bearer``.
        connect_s: how long connecting may take.
        silence_s: how long nothing may come.

    Raises:
        UnreachableError: when nobody takes the connection.
        SilentError, BrokenError: as `Answer.parts`.
        ValueError: when what comes is no HTTP.
    """
    reader, writer = await _connect(address, connect_s)
    answer = Answer(reader, writer, silence_s)
    try:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + data)
        await answer.begin()
        yield answer
    finally:
        writer.transport.abort()


async def _connect(address: str, within_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    scheme, _, rest = address.partition(":")
    try:
        if scheme == "unix":
            return await asyncio.open_unix_connection(sock=await _connected(rest, within_s), limit=_MAX_BUFFER_BYTES)
        host, _, port = rest.rpartition(":")
        opening = asyncio.open_connection(host, int(port), limit=_MAX_BUFFER_BYTES)
        return await asyncio.wait_for(opening, within_s)
    except (OSError, asyncio.TimeoutError) as error:
        raise UnreachableError(f"nobody answers at {address}: {error}") from error


async def _connected(path: str, within_s: float) -> socket.socket:
    """A socket connected to a Unix socket, which happens at once or, while its queue is full, not yet."""
    deadline = time.monotonic() + within_s
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(path)
            return sock
        except BlockingIOError:
            sock.close()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_FULL_PAUSE_S)
        except BaseException:
            sock.close()
            raise
