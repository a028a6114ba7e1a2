"""A child's server at its end: who has come by then is answered."""

from __future__ import annotations

import json
import socket
import threading

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.guard.serving import raw, serving
from webui.engine.connections import ENDING

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


def test_who_waits_too_long_at_the_end_is_told_to_come_back() -> None:
    began, ended = threading.Event(), threading.Event()

    async def never(scope: Scope, receive: Receive, _send: Send) -> None:
        if scope["type"] == "http":
            began.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            ended.set()

    with serving(never, is_busy=lambda: not ended.is_set(), busy_s=0.1) as port:
        waiting = socket.create_connection(("127.0.0.1", port), timeout=20)
        waiting.sendall(REQUEST)
        assert began.wait(20)
    with waiting:
        answer = waiting.makefile("rb").read()
    assert (
        answer.startswith(b"HTTP/1.1 503")
        and b"Retry-After: 5" in answer
        and json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == ENDING
    )
    assert ended.is_set()
