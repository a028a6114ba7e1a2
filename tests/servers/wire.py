"""One connection of a test server: requests read from the socket, answers written at a set speed or broken on purpose.

Invariants: every byte that leaves is counted; a wait of any kind ends when the server or the client goes away.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

_MAX_HEAD_BYTES = 1 << 16
#: Waits in the kernel of a throttled connection at most; it grows to megabytes by itself.
_SLOW_BUFFER_BYTES = 128 * 1024
#: A throttled connection writes about so often; rarer looks like a stall, more often costs CPU.
_WRITES_PER_S = 25


class Gone(Exception):  # noqa: N818 - it says what happened
    """The connection is over: the client left, the server stops, or a fault ended it."""


@dataclass
class Request:
    """One request, and what became of it.

    Attributes:
        method: as sent.
        path: as sent, with its query.
        headers: names in lower case.
        status: of the answer; 0 while there is none.
        bytes_sent: of the body.
        scope: ``api``, ``head``, ``body``; empty when it was refused before.
        by_proxy: it came in the form that proxies get.
        started_at: `time.monotonic` when it was read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    status: int = 0
    bytes_sent: int = 0
    scope: str = ""
    by_proxy: bool = False
    started_at: float = field(default_factory=time.monotonic)

    @property
    def segments(self) -> list[str]:
        """The parts of the path, percent signs resolved in each; never empty."""
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    @property
    def base_url(self) -> str:
        """The address that the visitor used for this server."""
        return f"http://{self.headers.get('host', '')}"

    @property
    def query(self) -> dict[str, str]:
        """The query; the last of equal names counts."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def range(self, size: int) -> tuple[int, int] | None:
        """The asked part of a file of ``size`` bytes as (first, one past the last); ``None`` for all of it.

        Raises:
            ValueError: when it lies outside.
        """
        unit, _, spec = self.headers.get("range", "").partition("=")
        if unit != "bytes" or "," in spec:
            return None
        first, _, last = spec.strip().partition("-")
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= size or start >= end:
            raise ValueError("outside the file")
        return start, end


class Connection:
    """A client's socket.

    Args:
        sock: connected.
        stopping: set when the server ends.
        throttle: says the speed of this connection, in bytes per second; ``None`` for as fast as it goes.
    """

    def __init__(self, sock: socket.socket, stopping: threading.Event, throttle: Callable[[], float | None]) -> None:
        self._sock = sock
        self._stopping = stopping
        self._throttle = throttle
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if throttle() is not None:  # what lies in a buffer counts as sent, though nobody has received it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SLOW_BUFFER_BYTES)

    def read_request(self) -> Request | None:
        """The next request; ``None`` when the client has closed.

        Raises:
            Gone: when what arrives is no HTTP or the connection broke.
        """
        while b"\r\n\r\n" not in self._buffer:
            data = self._receive()
            if not data:
                return None
            self._buffer += data
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise Gone
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, _ = first.split(" ")
        except ValueError:
            raise Gone from None
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._skip_body(int(headers.get("content-length") or 0))
        by_proxy = target.startswith(("http://", "https://"))
        if by_proxy:
            parts = urlsplit(target)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Request(method, target, headers, by_proxy=by_proxy)

    def _skip_body(self, length: int) -> None:
        while len(self._buffer) < length:
            data = self._receive()
            if not data:
                raise Gone
            self._buffer += data
        self._buffer = self._buffer[length:]

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(1 << 16)
        except OSError:
            raise Gone from None

    def send_head(self, request: Request, status: int, headers: Mapping[str, str]) -> None:
        """The status line and the headers."""
        request.status = status
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        self._send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send_json(
        self, request: Request, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """A whole answer."""
        body = json.dumps(value).encode()
        named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        self.send_head(request, status, named)
        if request.method != "HEAD":
            self.send_body(request, [body])

    def send_body(self, request: Request, chunks: Iterable[bytes], bytes_per_s: float | None = None) -> None:
        """The body, at the slower of the connection's speed and ``bytes_per_s``."""
        due = time.monotonic()
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                speed = min(filter(None, (self._throttle(), bytes_per_s)), default=None)
                part = view[: len(view) if speed is None else max(1, int(speed / _WRITES_PER_S))]
                self._send(part)
                request.bytes_sent += len(part)
                view = view[len(part) :]
                due = time.monotonic() if speed is None else due + len(part) / speed
                self.wait(due - time.monotonic())

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            raise Gone from None

    def wait(self, seconds: float) -> None:
        """Does nothing for a while.

        Raises:
            Gone: when the server stops meanwhile.
        """
        if seconds > 0 and self._stopping.wait(seconds):
            raise Gone

    def stall(self) -> None:
        """Does nothing until the client has gone.

        Raises:
            Gone: always.
        """
        while not self._stopping.is_set():
            try:
                readable, _, _ = select.select([self._sock], [], [], 0.1)
            except (OSError, ValueError):  # closed while the hub stops
                break
            if readable and not self._peek():
                break
            if readable:
                self.wait(0.1)
        raise Gone

    def _peek(self) -> bytes:
        try:
            return self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return b""

    def reset(self) -> None:
        """Ends the connection with a reset.

        Raises:
            Gone: always.
        """
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        raise Gone

    def close(self) -> None:
        """Closes in order: what was written still arrives. From another thread it wakes whoever waits."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
