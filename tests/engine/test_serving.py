"""A child's server at its end: who has come by then is answered."""

from __future__ import annotations

import socket

from starlette.responses import PlainTextResponse

from tests.guard.serving import raw, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_request_that_comes_with_the_end_is_answered() -> None:
    """Its bytes lie in the socket, unread: closing would make the kernel reset the connection."""
    with serving(PlainTextResponse("here"), on_stopping=lambda: early.sendall(REQUEST)) as port:
        early = socket.create_connection(("127.0.0.1", port), timeout=20)
        # Accepted after the other one; so the server knows both.
        assert b"here" in raw(port, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    with early:
        answer = early.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"here")
