"""TLS on the port while the page is not up.

Invariants: a stream behaves like a non-blocking socket, the handshake included, so that who reads and writes need not
know which of the two it has; what is no TLS ends the connection.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from launcher.errors import ConfigError

if TYPE_CHECKING:
    import ssl


class Stream(Protocol):
    """What a connection needs of its socket."""

    def fileno(self) -> int:
        """The descriptor; -1 when it is closed."""

    def recv(self, size: int, /) -> bytes:
        """What has come; empty at the end. Raises `BlockingIOError` when there is nothing yet."""

    def send(self, data: bytes | memoryview, /) -> int:
        """How much was taken. Raises `BlockingIOError` when nothing can be."""

    def shutdown(self, how: int, /) -> None:
        """Says that nothing more is sent."""

    def close(self) -> None:
        """Ends it."""


class TlsStream:
    """An accepted connection with TLS on top.

    Args:
        sock: accepted, non-blocking.
        context: of a server.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def fileno(self) -> int:
        """See `Stream`."""
        return self._sock.fileno()

    def recv(self, size: int, /) -> bytes:
        """See `Stream`; the handshake happens here, too."""
        with _like_a_socket():
            return self._sock.recv(size)

    def send(self, data: bytes | memoryview, /) -> int:
        """See `Stream`."""
        with _like_a_socket():
            return self._sock.send(data)

    def shutdown(self, how: int, /) -> None:
        """See `Stream`; the other end learns that nothing was cut off."""
        with contextlib.suppress(OSError, ValueError):
            self._sock.unwrap()  # sends the notice; the answer to it is not waited for
        self._sock.shutdown(how)

    def close(self) -> None:
        """See `Stream`."""
        self._sock.close()


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """The context of a server with this certificate.

    Raises:
        ConfigError: when the files cannot be used.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An empty passphrase: without one the library would ask for it on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:  # SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise ConfigError(
            f"LAUNCHER_TLS_CERT={certificate!r} and LAUNCHER_TLS_KEY cannot be used: {reason}.",
            fix="Name a certificate and its private key, both in PEM form and readable, the key without passphrase.",
        ) from None
    return context


@contextlib.contextmanager
def _like_a_socket() -> Iterator[None]:
    import ssl

    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None
