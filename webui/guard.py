"""What every request passes first: Host, Origin and token, the size of its body, and the headers of every answer.

Invariants: pure ASGI around the whole application, Gradio included; the rules about Host, Origin and token are
`launcher.access`, the same that the supervisor applies while the page is not up; a body is counted as it comes, so a
missing or wrong Content-Length helps nobody; what a proxy claims about the client is not believed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from launcher.access import AccessRules, Denial, check
from webui.api.answers import error_answer

_log = logging.getLogger(__name__)

#: Gradio's page needs inline scripts and styles and `new Function` for its event handlers; blob: is for audio. Nothing
#: may come from, or go to, another host, and no other site may put the page into a frame.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
}
#: What a proxy says about the client; our server has no proxy that it trusts, and Gradio would believe all of it.
_FORWARDED = (b"forwarded", b"x-real-ip")
_FORWARDED_PREFIX = b"x-forwarded-"
#: How much of a refused body is read, and for how long, so that its sender sees the answer instead of a reset.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_S = 2.0


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: what is guarded.
        rules: about Host, Origin and token.
        max_body_bytes: of any request.
        larger_bodies: paths whose requests may be larger, with their limit: they are written to the disk as they come.
    """

    def __init__(
        self, app: ASGIApp, *, rules: AccessRules, max_body_bytes: int, larger_bodies: Mapping[str, int] | None = None
    ) -> None:
        self.app = app
        self._rules = rules
        self._max_body_bytes = max_body_bytes
        self._larger_bodies = dict(larger_bodies or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that may not pass, and hands every other one on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing here speaks WebSocket
        scope = {**scope, "headers": list(_without_forwarded(scope["headers"]))}
        secured = _secured(send)
        names = {name for name, _ in scope["headers"]}
        if {b"content-length", b"transfer-encoding"} <= names:
            # RFC 9112, section 6.1: how such a request is smuggled past a proxy that reads the other of the two.
            answer = error_answer(
                HTTPConnection(scope),
                400,
                "The request has both a Content-Length and a Transfer-Encoding.",
                fix="Send one of them.",
                code="ambiguous_length",
                headers={"Connection": "close"},
            )
            await answer(scope, receive, secured)
            return
        if self._declares_too_much(scope):
            await self._refuse_body(scope, receive, secured)
            return
        denial = self._check(scope)
        if denial is not None:
            await _denied(scope, denial)(scope, receive, secured)
            return
        await self._counted(scope, receive, secured)

    def _check(self, scope: Scope) -> Denial | None:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1")
            # A repeated Host or Origin is an attempt to be two things; joined, it matches nothing.
            headers[key] = f"{headers[key]}, {value.decode('latin-1')}" if key in headers else value.decode("latin-1")
        return check(
            self._rules,
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            query=scope["query_string"].decode("latin-1"),
        )

    def _declares_too_much(self, scope: Scope) -> bool:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return length.isdigit() and int(length) > self._limit_bytes(scope)

    def _limit_bytes(self, scope: Scope) -> int:
        return max(self._max_body_bytes, self._larger_bodies.get(scope["path"], 0))

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application; a body that grows too large ends the request with 413."""
        body = _CountedBody(receive, self._limit_bytes(scope))
        answering = False

        async def guarded_send(message: Message) -> None:
            nonlocal answering
            if body.too_large and not answering:
                return  # the application's answer to a request that was cut; ours follows
            answering = True
            await send(message)

        try:
            await self.app(scope, body.receive, guarded_send)
        except Exception:
            if not body.too_large:
                raise
        if body.too_large and not answering:
            await self._refuse_body(scope, receive, send)

    async def _refuse_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Who waits for "100 Continue" sends nothing before our answer.
        if not any(name == b"expect" for name, _ in scope["headers"]):
            await _drain(receive)
        answer = error_answer(
            HTTPConnection(scope),
            413,
            f"The request is larger than {self._limit_bytes(scope)} bytes.",
            fix="Send less at once, or raise LAUNCHER_MAX_BODY_BYTES.",
            code="body_too_large",
            headers={"Connection": "close"},
        )
        await answer(scope, receive, send)


class _CountedBody:
    """Counts what the application reads of a body, and ends it as a disconnect when it is too much."""

    def __init__(self, receive: Receive, limit_bytes: int) -> None:
        self._receive = receive
        self._left_bytes = limit_bytes
        self.too_large = False

    async def receive(self) -> Message:
        """The next message of the request."""
        if self.too_large:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left_bytes -= len(message.get("body", b""))
        if self._left_bytes < 0:
            self.too_large = True
            return {"type": "http.disconnect"}
        return message


def _without_forwarded(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return (pair for pair in headers if pair[0] not in _FORWARDED and not pair[0].startswith(_FORWARDED_PREFIX))


def _secured(send: Send) -> Send:
    """``send`` with the security headers on every answer."""

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return secured


def _denied(scope: Scope, denial: Denial) -> Response:
    connection = HTTPConnection(scope)
    wants_page = scope["method"] == "GET" and "text/html" in connection.headers.get("accept", "")
    if denial.status == 401 and wants_page and not scope["path"].startswith(("/api/", "/v1/")):
        return RedirectResponse(f"{scope.get('root_path', '')}/login", 303)
    headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else None
    return error_answer(connection, denial.status, denial.message, fix=denial.fix, code=denial.code, headers=headers)


async def _drain(receive: Receive) -> None:
    """Reads on for a moment and throws away."""
    deadline, left_bytes = time.monotonic() + _DRAIN_S, _DRAIN_BYTES
    while left_bytes > 0 and (left_s := deadline - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left_s)
        except asyncio.TimeoutError:  # its own class before Python 3.11
            return
        left_bytes -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
