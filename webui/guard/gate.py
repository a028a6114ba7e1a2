"""What every request passes first: who asks, the rules, limits of number, size and pace, and a line in the audit log.

Invariants: pure ASGI around the whole application, Gradio included; the rules about Host, Origin and token are
`launcher.access`, the same that the supervisor applies while the page is not up; what a proxy claims about the client
is believed only from a trusted one, and nobody behind the guard sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from launcher.access import LOGIN_PATH, LOGOUT_PATH, AccessRules, Denial, check
from launcher.access.attempts import Attempts
from launcher.access.audit import AuditLog
from launcher.access.clients import Asker, Network, find_asker
from launcher.access.rules import who_asks
from webui.api.answers import WHO, error_answer
from webui.guard.bodies import BODY_GRACE_S, BoundedBody, drain
from webui.guard.closed import is_closed
from webui.guard.headers import joined, secured, without_forwarded

#: Routes that make an engine work, and what follows them.
SPEECH_PATHS = ("/api/speak", "/api/jobs", "/v1/audio/speech", "/v1/jobs", "/gradio_api/call/")
GRADIO_SPEECH_PATHS = ("/gradio_api/queue/join", "/gradio_api/run/", "/gradio_api/api/")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
#: Wrong tokens, and lines about refusals in the audit log, of one address and of everybody within a minute.
MAX_DENIALS, MAX_DENIALS_OF_ALL = 20, 120
_WINDOW_S = 60.0


@dataclass(frozen=True)
class Limits:
    """How much of everything.

    Attributes:
        body_bytes: of any request.
        larger_bodies: paths whose requests may be larger, with their limit: they are written to the disk as they come.
        requests_per_minute: that speak or change something, of one user or address; those of programs on this machine
            are not counted.
        body_grace_s: see `webui.guard.bodies`.
    """

    body_bytes: int = 32 * 1024 * 1024
    larger_bodies: Mapping[str, int] = field(default_factory=dict)
    requests_per_minute: int = 600
    body_grace_s: float = BODY_GRACE_S


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: what is guarded.
        rules: about Host, Origin and token.
        limits: how much of everything.
        trusted: reverse proxies that say who asks.
        root_path: under which a reverse proxy shows everything, whether it cuts that off or not.
        audit: gets a line for each refusal and each request that changes something or speaks.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: AccessRules,
        limits: Limits,
        trusted: tuple[Network, ...] = (),
        root_path: str = "",
        audit_dir: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._rules = rules
        self._limits = limits
        self._trusted = trusted
        self._root_path = root_path
        self._audit = AuditLog(Path(audit_dir) if audit_dir else None)
        self._requests = Attempts(limits.requests_per_minute, _WINDOW_S, clock)
        self._wrong_tokens = Attempts(MAX_DENIALS, _WINDOW_S, clock)
        self._told = Attempts(MAX_DENIALS, _WINDOW_S, clock, total=MAX_DENIALS_OF_ALL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that may not pass, and hands every other one on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing here speaks WebSocket
        headers = joined(scope["headers"])
        peer = scope["client"][0] if scope.get("client") else ""
        asker = find_asker(peer, headers, self._trusted, is_secure=scope["scheme"] == "https")
        scope = self._seen(scope, asker)
        visit = _Visit(scope, receive, secured(send), headers, asker)
        refusal = self._refusal(visit)
        if refusal is not None:
            if refusal.status_code == 413 and "expect" not in headers:
                await drain(receive)  # who waits for "100 Continue" sends nothing before our answer
            await refusal(scope, receive, visit.send)
            return
        scope[WHO] = visit.who
        await self._serve(visit)

    def _seen(self, scope: Scope, asker: Asker) -> Scope:
        """The scope as everything behind the guard sees it."""
        path = scope["path"]
        # As often as it stands there: the routes behind would cut off what is left of it, and so be others than these.
        while self._root_path and (path == self._root_path or path.startswith(f"{self._root_path}/")):
            path = path[len(self._root_path) :] or "/"
        port = scope["client"][1] if scope.get("client") else 0
        return {
            **scope,
            "headers": without_forwarded(scope["headers"]),
            "client": (asker.address, port),
            "scheme": "https" if asker.is_secure else "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": self._root_path,
        }

    def _refusal(self, visit: _Visit) -> Response | None:
        """The answer to a request that may not pass."""
        if {"content-length", "transfer-encoding"} <= visit.headers.keys():
            # RFC 9112, section 6.1: how such a request is smuggled past a proxy that reads the other of the two.
            message = "The request has both a Content-Length and a Transfer-Encoding."
            return self._refuse(visit, Denial(400, message, "Send one of them.", "ambiguous_length"))
        length = visit.headers.get("content-length", "0")
        limit_bytes = self._limit_bytes(visit.path)
        if length.isascii() and length.isdigit() and int(length) > limit_bytes:
            return self._refuse(visit, _too_large(limit_bytes))
        query = visit.scope["query_string"].decode("latin-1")
        denial = check(self._rules, method=visit.method, path=visit.path, headers=visit.headers, query=query)
        if denial is not None:
            return self._denied(visit, denial)
        if is_closed(visit.path):
            return self._refuse(visit, Denial(404, "There is nothing here.", "", "not_found"))
        if self._rules.holders:
            visit.who = who_asks(self._rules, visit.headers)
        if visit.event in ("speech", "change") and not visit.asker.is_loopback:
            wait_s = self._requests.take(visit.who or visit.asker.address)
            if wait_s:
                limit = self._limits.requests_per_minute
                message = f"More than {limit} requests that speak or change something within a minute."
                fix = "Try again later, or raise LAUNCHER_RATE_LIMIT."
                return self._refuse(visit, Denial(429, message, fix, "too_many_requests"), {"Retry-After": str(wait_s)})
        return None

    def _denied(self, visit: _Visit, denial: Denial) -> Response:
        """The answer to what the rules refuse; a guess too many is not even told that it was wrong."""
        wants_page = visit.method == "GET" and "text/html" in visit.headers.get("accept", "")
        if denial.status == 401 and wants_page and not visit.path.startswith(("/api/", "/v1/")):
            self._tell(visit, denial)
            return RedirectResponse(f"{self._root_path}{LOGIN_PATH}", 303)
        if denial.code == "token_wrong":
            wait_s = self._wrong_tokens.take(visit.asker.address)
            if wait_s:
                denial = Denial(429, "Too many wrong tokens.", f"Try again in {wait_s} s.", "too_many_attempts")
                return self._refuse(visit, denial, {"Retry-After": str(wait_s)})
        return self._refuse(visit, denial, {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {})

    def _refuse(self, visit: _Visit, denial: Denial, headers: Mapping[str, str] | None = None) -> Response:
        self._tell(visit, denial)
        closing = {"Connection": "close"} if denial.status in (400, 408, 413) else {}
        return error_answer(
            HTTPConnection(visit.scope),
            denial.status,
            denial.message,
            fix=denial.fix,
            code=denial.code,
            headers={**closing, **(headers or {})},
        )

    def _tell(self, visit: _Visit, denial: Denial) -> None:
        if not self._told.take(visit.asker.address):  # a flood must not push everything else out of the log
            self._note("denied", visit, denial.status, code=denial.code)

    def _note(self, event: str, visit: _Visit, status: int, **more: object) -> None:
        address = visit.asker.address
        self._audit.write(
            event, who=visit.who, address=address, method=visit.method, path=visit.path, status=status, **more
        )

    def _limit_bytes(self, path: str) -> int:
        return max(self._limits.body_bytes, self._limits.larger_bodies.get(path, 0))

    async def _serve(self, visit: _Visit) -> None:
        """Runs the application; a body that grows too large or comes too slowly ends the request."""
        limit_bytes = self._limit_bytes(visit.path)
        body = BoundedBody(visit.receive, limit_bytes, grace_s=self._limits.body_grace_s)
        began, status = time.monotonic(), 0

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if body.is_refused and not status:
                return  # the application's answer to a request that was cut; ours follows
            status = status or message.get("status", 0)
            await visit.send(message)

        try:
            await self.app(visit.scope, body.receive, guarded_send)
        except Exception:
            # What was answered with 500 is in the log; what breaks off in the midst must break the connection, too.
            if not body.is_refused and status != 500:
                raise
        finally:
            if visit.event and not body.is_refused:
                self._note(visit.event, visit, status, seconds=round(time.monotonic() - began, 3))
        if body.is_refused and not status:
            if body.too_large and "expect" not in visit.headers:
                await drain(visit.receive)
            refusal = self._refuse(visit, _too_large(limit_bytes) if body.too_large else _TOO_SLOW)
            await refusal(visit.scope, visit.receive, visit.send)


@dataclass
class _Visit:
    """One request on its way through the guard."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Mapping[str, str]
    asker: Asker
    who: str = ""

    @property
    def path(self) -> str:
        """Without query and root path."""
        return str(self.scope["path"])

    @property
    def method(self) -> str:
        """As sent."""
        return str(self.scope["method"])

    @property
    def event(self) -> str:
        """What the audit log calls it; empty for what only reads."""
        if self.method in _SAFE_METHODS:
            return ""
        if self.path in (LOGIN_PATH, LOGOUT_PATH):
            return self.path[1:]
        return "speech" if self.path.startswith((*SPEECH_PATHS, *GRADIO_SPEECH_PATHS)) else "change"


_TOO_SLOW = Denial(408, "The request's body came too slowly.", "Send it again.", "body_too_slow")


def _too_large(limit_bytes: int) -> Denial:
    return Denial(
        413,
        f"The request is larger than {limit_bytes} bytes.",
        "Send less at once, or raise LAUNCHER_MAX_BODY_BYTES.",
        "body_too_large",
    )
