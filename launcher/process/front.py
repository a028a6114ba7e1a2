"""Stands in front of somebody else's app: takes connections on our port, lets in who may come in, passes on the rest.

An app that we did not write knows nothing of our socket, our token, or which Host names are good. So it listens on
this machine alone, on a port of its own, and this passes every request on to it: the port never refuses, and whatever
`launcher.access` asks for is asked for here. Web sockets and endless answers pass through.

Invariants: one request a connection, so every request is judged; of a body exactly as much is passed on as its head
announces; our token and cookie stay here; a head or an answer is never held back until it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from launcher.access import COOKIE_NAME
from launcher.process.bind import BACKLOG
from launcher.process.exchange import MAX_HEAD_BYTES, BadRequestError, Request, Response, parse_head

if TYPE_CHECKING:
    import ssl

#: Between a connection and the end of its request's head; a browser's speculative connections take longest.
HEAD_TIMEOUT_S = 30.0
#: An app on this machine takes a connection at once or not at all.
_CONNECT_TIMEOUT_S = 10.0
#: Requests at a time; what comes beyond is told to come back.
MAX_CONNECTIONS = 512
_LINGER_S = 1.0
#: The login form holds a token.
_MAX_FORM_BYTES = 8192
_BLOCK_BYTES = 64 * 1024
#: Apps send larger heads than browsers do: cookies, policies.
_MAX_ANSWER_HEAD_BYTES = 256 * 1024
#: Spoken between two neighbours only (RFC 9110, 7.6.1), and what says who asked, which anybody can write.
_DROPPED = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "forwarded", "x-real-ip"}
)
_LOADING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Getting ready · 正在准备</title>
<p>The app is starting; this page opens by itself.<p lang="zh">应用正在启动，页面会自动打开。"""


class Gate(Protocol):
    """Judges requests; `launcher.process.answers.Answers` is one."""

    def needs_body(self, request: Request) -> bool:
        """Whether its answer depends on the body."""

    def gate(self, request: Request) -> Response | None:
        """The answer to what is not for the app; ``None`` lets the request through."""

    def is_secure(self, request: Request) -> bool:
        """Whether the visitor's own connection is encrypted."""


class Front:
    """Passes requests on to an app.

    Args:
        port: where the app listens on 127.0.0.1.
        gate: judges every request.
        hides_token: whether ``Authorization`` carries our own token, which the app must not see.
        tls: makes our port speak HTTPS.
    """

    def __init__(self, port: int, *, gate: Gate, hides_token: bool, tls: ssl.SSLContext | None = None) -> None:
        self.is_open = False
        self._port = port
        self._gate = gate
        self._hides_token = hides_token
        self._tls = tls
        self._connections = 0

    async def serve(self, sock: socket.socket) -> asyncio.Server:
        """Starts taking connections on a listening socket."""
        return await asyncio.start_server(
            self._on_connection, sock=sock, limit=_BLOCK_BYTES, backlog=BACKLOG, ssl=self._tls
        )

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            # Cancelled is what is still open at a stop; asyncio would write a traceback for each.
            with contextlib.suppress(
                OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, asyncio.CancelledError
            ):
                await self._answer(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _read_request_head(reader)
        try:
            request = parse_head(head)
        except BadRequestError as error:
            await _send(writer, Response.of_json(error.status, _error(str(error))))
            return
        peer = writer.get_extra_info("peername")
        request = replace(request, peer=str(peer[0]) if peer else "", is_secure=self._tls is not None)
        if self._gate.needs_body(request) and (request.body_bytes or 0) <= _MAX_FORM_BYTES:
            form = await asyncio.wait_for(reader.readexactly(request.body_bytes or 0), HEAD_TIMEOUT_S)
            request = replace(request, body=form, body_bytes=0)
        answer = self._gate.gate(request)
        if answer is None and (not self.is_open or self._connections > MAX_CONNECTIONS):
            answer = _come_back(request)
        if answer is not None:
            await _send(writer, answer, with_body=request.method != "HEAD")
            if request.body_bytes != 0:
                await _linger(reader, writer)
            return
        try:
            opened = asyncio.open_connection("127.0.0.1", self._port, limit=_MAX_ANSWER_HEAD_BYTES)
            app_reader, app_writer = await asyncio.wait_for(opened, _CONNECT_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError):
            await _send(writer, _come_back(request), with_body=request.method != "HEAD")
            return
        try:
            await self._exchange(request, head, (reader, writer), (app_reader, app_writer))
        finally:
            app_writer.close()

    async def _exchange(
        self,
        request: Request,
        head: bytes,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        app: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """One request and its answer; ends when the answer has ended or somebody has gone."""
        reader, writer = client
        app_reader, app_writer = app
        upgrades = "upgrade" in request.headers.get("connection", "").lower() and "upgrade" in request.headers
        app_writer.write(self._request_head(head, upgrades=upgrades, is_secure=self._gate.is_secure(request)))
        sending = asyncio.ensure_future(_pass_body(request, reader, app_writer, whole=upgrades))
        answering = asyncio.ensure_future(_pass_answer(app_reader, writer))
        try:
            done, _ = await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if answering not in done:
                gone = asyncio.ensure_future(_until_gone(reader))
                try:
                    await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    gone.cancel()
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    def _request_head(self, head: bytes, *, upgrades: bool, is_secure: bool) -> bytes:
        """The head as the app gets it."""
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        kept = [first]
        for line in lines:
            name = line.partition(b":")[0].decode("latin-1").strip().lower()
            if name in _DROPPED or name.startswith("x-forwarded-") or (name == "upgrade" and not upgrades):
                continue
            if name == "authorization" and self._hides_token:
                continue
            kept.append(_without_our_cookie(line) if name == "cookie" else line)
        if is_secure:  # by which apps decide how the addresses begin that they write into their pages
            kept.append(b"X-Forwarded-Proto: https")
        kept.append(b"Connection: Upgrade" if upgrades else b"Connection: close")
        return b"\r\n".join(filter(None, kept)) + b"\r\n\r\n"


def _without_our_cookie(line: bytes) -> bytes:
    """A Cookie line without ours; empty when nothing is left."""
    name, _, value = line.partition(b":")
    ours = f"{COOKIE_NAME}=".encode()
    kept = [part.strip() for part in value.split(b";") if not part.strip().startswith(ours)]
    return name + b": " + b"; ".join(kept) if any(kept) else b""


async def _read_request_head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_TIMEOUT_S)
    except asyncio.LimitOverrunError:
        return b""  # no request that we answer
    return head if len(head) <= MAX_HEAD_BYTES else b""


async def _pass_body(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, whole: bool
) -> None:
    """Passes on what follows the head: all of it (``whole``), or what the head announces."""
    blocks = _all(reader) if whole else _body(request, reader)
    async for block in blocks:
        writer.write(block)
        await writer.drain()
    await writer.drain()


async def _body(request: Request, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if request.body_bytes is not None:
        async for block in _exactly(reader, request.body_bytes):
            yield block
        return
    while True:  # chunked
        line = await reader.readline()
        yield line
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            return
        if not size:
            break
        async for block in _exactly(reader, size + 2):
            yield block
    while (line := await reader.readline()) not in (b"\r\n", b"\n", b""):
        yield line
    yield b"\r\n"


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        block = await reader.read(min(size, _BLOCK_BYTES))
        if not block:
            raise ConnectionError("the client has gone")
        size -= len(block)
        yield block


async def _all(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while block := await reader.read(_BLOCK_BYTES):
        yield block


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Returns when the client has closed; what it still says belongs to no request that we have judged."""
    async for _ in _all(reader):
        continue


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes what a refused client still sends for a moment: closing at once would take the answer away from it."""
    if writer.can_write_eof():
        writer.write_eof()
    await asyncio.wait_for(_until_gone(reader), _LINGER_S)


async def _pass_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes the answer on, and with it that the connection ends there."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].split(b" ")
        status = words[1] if len(words) > 1 else b""
        if status == b"101" or not status.startswith(b"1"):
            break
        writer.write(head)  # 100 Continue and 103 Early Hints come before the answer itself
    if status != b"101":
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in (b"connection", b"keep-alive")]
        head = b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n"
    writer.write(head)
    async for block in _all(reader):
        writer.write(block)
        await writer.drain()
    await writer.drain()


async def _send(writer: asyncio.StreamWriter, response: Response, *, with_body: bool = True) -> None:
    writer.write(response.encode(with_body=with_body))
    await writer.drain()


def _come_back(request: Request) -> Response:
    headers = {"Retry-After": "2"}
    if request.wants_page:
        return Response(503, _LOADING.encode(), "text/html; charset=utf-8", headers)
    return Response.of_json(503, _error("The app does not answer yet; try again in 2 s.", "loading"), headers)


def _error(message: str, code: str = "bad_request") -> dict[str, object]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
