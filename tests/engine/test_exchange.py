"""Requests to our own servers: what comes back, and every way in which nothing does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from webui.engine.exchange import BrokenError, SilentError, UnreachableError, ask

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(data: bytes, *, stays: bool = False) -> Serve:
    """A server that reads a request, says ``data``, and goes away or does not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head and b"Bearer secret" in head
        await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        writer.write(data)
        await writer.drain()
        if stays:
            await reader.read()
        writer.close()

    return serve


def read_from(serve: Serve, path: Path, silence_s: float = 60.0) -> tuple[int, list[bytes]]:
    async def main() -> tuple[int, list[bytes]]:
        server = await asyncio.start_unix_server(serve, path)
        async with server:
            asking = ask(f"unix:{path}", "POST", "/x", {"a": 1}, token="secret", connect_s=5, silence_s=silence_s)
            async with asking as got:
                return got.status, [part async for part in got.parts()]

    return asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def test_a_body_of_a_known_length(path: Path) -> None:
    data = b"HTTP/1.1 400 Bad Request\r\nCONTENT-length: 5\r\n\r\nwrong"
    assert read_from(answer(data, stays=True), path) == (400, [b"wrong"])


def test_a_body_in_parts_comes_as_it_is_sent(path: Path) -> None:
    large = b"x" * 100_000
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    data += b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
    assert read_from(answer(data, stays=True), path) == (200, [b"abc", large])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwro",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
def test_half_an_answer_is_an_error(path: Path, data: bytes) -> None:
    with pytest.raises(BrokenError):
        read_from(answer(data), path)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwro"])
def test_silence_has_an_end(path: Path, data: bytes) -> None:
    with pytest.raises(SilentError):
        read_from(answer(data, stays=True), path, silence_s=0.2)


def test_a_server_that_is_full_is_waited_for_and_then_given_up(path: Path) -> None:
    async def reach(connect_s: float) -> None:
        async with ask(f"unix:{path}", "GET", "/", connect_s=connect_s, silence_s=5) as got:
            assert got.status == 204

    async def main() -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener, contextlib.ExitStack() as crowd:
            listener.bind(str(path))
            listener.listen(0)
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    one = crowd.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
                    one.setblocking(False)
                    one.connect(str(path))
            with pytest.raises(UnreachableError):
                await reach(0.1)
            waiting = asyncio.ensure_future(reach(60))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            async with await asyncio.start_unix_server(serve, sock=listener):
                await waiting

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    asyncio.run(main())
