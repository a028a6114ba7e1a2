"""JSON lines over a local socket: how the supervisor, the page, the engine and the command line talk.

An address is text: ``unix:/path`` (POSIX; the socket's folder is 0700) or ``tcp:127.0.0.1:PORT`` (Windows; every
connection starts with a token line). Invariants: only the standard library; a line longer than `MAX_LINE_BYTES`
ends the connection; nothing is executed or unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from typing import Any

MAX_LINE_BYTES = 1024 * 1024


def to_json(value: Any) -> bytes:
    """A JSON value as the bytes that travel.

    Half a surrogate pair, which stands in the name of a file that is no Unicode, has no encoding and is escaped.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def from_json(data: bytes | bytearray | str) -> Any:
    """The value of what somebody has sent or written.

    Raises:
        ValueError: when it is no JSON, or is nested too deeply to be read.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class ChannelError(ConnectionError):
    """The other side is not there, went away, or does not speak this protocol."""


def open_socket(address: str, timeout_s: float | None) -> socket.socket:
    """A connected stream socket to ``address``; ``timeout_s`` bounds the connect and later calls.

    Raises:
        ChannelError: when nobody listens there or the address is malformed.
    """
    scheme, _, rest = address.partition(":")
    try:
        if scheme == "unix":
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout_s)
                sock.connect(rest)
            except OSError:
                sock.close()
                raise
            return sock
        if scheme == "tcp":
            host, _, port = rest.rpartition(":")
            return socket.create_connection((host, int(port)), timeout=timeout_s)
    except (OSError, ValueError) as error:
        raise ChannelError(f"nobody answers at {address}: {error}") from None
    raise ChannelError(f"an address starts with unix: or tcp:, not {address!r}")


def bind_socket(address: str, backlog: int = 64) -> tuple[socket.socket, str]:
    """A listening socket at ``address`` and the address under which it is reached.

    A Unix socket gets mode 0600 and replaces a dead one of the same name; ``tcp:127.0.0.1:0`` gets a free port.

    Raises:
        OSError: when the address cannot be bound.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(rest)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(rest)
        os.chmod(rest, 0o600)
    else:
        host, _, port = rest.rpartition(":")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((host, int(port)))
        address = f"tcp:{host}:{sock.getsockname()[1]}"
    sock.listen(backlog)
    return sock, address


class Channel:
    """One connection that carries JSON objects, one a line; `send` may be called from several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = sock.makefile("rb")
        self._send_lock = threading.Lock()

    @classmethod
    def connect(cls, address: str, *, token: str = "", timeout_s: float | None = 5.0) -> Channel:
        """Connects, and introduces itself with ``token`` when there is one.

        Raises:
            ChannelError: when nobody listens at ``address``.
        """
        channel = cls(open_socket(address, timeout_s))
        if token:
            channel.send({"token": token})
        return channel

    def set_timeout(self, timeout_s: float | None) -> None:
        """Bounds every later `send` and `receive`; ``None`` waits for ever."""
        self._sock.settimeout(timeout_s)

    def send(self, message: dict[str, Any]) -> None:
        """Sends one object.

        Raises:
            ChannelError: when the other side has gone.
        """
        line = to_json(message) + b"\n"
        try:
            with self._send_lock:
                self._sock.sendall(line)
        except OSError as error:
            raise ChannelError(f"the other side has gone: {error}") from None

    def receive(self) -> dict[str, Any] | None:
        """The next object, or ``None`` when the other side has closed.

        Raises:
            ChannelError: on a timeout, an overlong line, or a line that is no JSON object.
        """
        try:
            line = self._reader.readline(MAX_LINE_BYTES + 1)
        except (OSError, ValueError) as error:
            raise ChannelError(f"no answer: {error}") from None
        if not line:
            return None
        if len(line) > MAX_LINE_BYTES or not line.endswith(b"\n"):
            raise ChannelError("a line was cut or is longer than the protocol allows")
        try:
            value = from_json(line)
        except ValueError:
            raise ChannelError("a line is not JSON") from None
        if not isinstance(value, dict):
            raise ChannelError("a line is JSON but no object")
        return value

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends ``{"command": ...}`` and returns the answer's ``result``.

        Raises:
            ChannelError: when the connection fails or the answer says ``ok: false``.
        """
        self.send({"command": command, **arguments})
        answer = self.receive()
        if answer is None:
            raise ChannelError("the other side closed before it answered")
        if not answer.get("ok"):
            raise ChannelError(str(answer.get("error") or "refused"))
        result = answer.get("result")
        return result if isinstance(result, dict) else {}

    def close(self) -> None:
        """Ends the connection; a `receive` that waits in another thread returns ``None``."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._reader.close()
        self._sock.close()
