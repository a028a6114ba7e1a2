"""Any application on a real server with the guard's protocol, on loopback, for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from starlette.types import ASGIApp

from webui.engine.serving import ChildServer


@contextlib.contextmanager
def serving(app: ASGIApp, **options: Any) -> Iterator[int]:
    """Serves ``app`` in a thread; gives its port. ``options`` are those of `ChildServer`."""
    sock = socket.create_server(("127.0.0.1", 0))
    started = threading.Event()
    server = ChildServer(app, grace_s=1, on_started=started.set, **options)
    thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield sock.getsockname()[1]
    finally:
        server.ask_to_stop()
        thread.join(15)
        assert not thread.is_alive(), "the server did not stop"


def raw(port: int, request: bytes, *, timeout_s: float = 20.0) -> bytes:
    """What the server answers to these very bytes, until it closes or falls silent."""
    received = b""
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
    with sock, contextlib.suppress(TimeoutError, ConnectionError):
        sock.sendall(request)
        while data := sock.recv(65536):
            received += data
    return received
