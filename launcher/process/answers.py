"""What the port says while the page is not up: the loading page to people, a 503 with the way on to programs.

Invariants: every route but ``/healthz`` obeys `launcher.access`; nothing waits for the page; a response names no
secret; ``Retry-After`` is the honest moment at which the next try should succeed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from launcher.access import (
    LOGIN_PATH,
    LOGOUT_PATH,
    AccessRules,
    Denial,
    check,
    end_sessions,
    login_cookie_header,
    logout_cookie_header,
)
from launcher.access.attempts import Attempts
from launcher.access.audit import AuditLog
from launcher.access.clients import Asker, Network, find_asker
from launcher.access.login_page import fill, login_template, render_login
from launcher.access.rules import who_asks
from launcher.process.exchange import Request, Response

#: Clients such as OpenAI's ignore a longer pause and fall back to a guess of half a second.
MAX_RETRY_AFTER_S = 60
#: How long a request for speech is kept waiting for the page: a page starts in 4 s, on a busy machine in 15, and
#: clients wait for an answer much longer but come back twice at most.
HOLD_S = 15.0
#: The request that is worth that, see above.
SPEECH_PATH = "/v1/audio/speech"
#: When to come back, in milliseconds, once the page is up; OpenAI's clients prefer this header to `Retry-After`.
_AT_ONCE_MS = 100
#: Wrong tokens a minute, of one address and of everybody together: a person mistypes, a program guesses.
MAX_WRONG_LOGINS, MAX_WRONG_LOGINS_OF_ALL = 10, 60
_LOGIN_WINDOW_S = 60.0
METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FOLDER = Path(__file__).resolve().parent


class Answers:
    """Makes the response to each request.

    Args:
        rules: who may ask.
        snapshot: makes the instance's snapshot.
        remaining_s: seconds until the page should be up; ``None`` when it will not come up by itself.
        last_lines: the page's and engine's last log lines, for a person who looks at a failure.
        root_path: path under which a reverse proxy shows everything; empty or ``/...``.
        trusted: reverse proxies that say who asks.
        audit: gets logins and refusals.
        clock: monotonic seconds.
        metrics: makes the text of `/metrics`.
        hold_s: how long a request for speech is kept waiting for the page; 0 answers at once.
    """

    def __init__(
        self,
        *,
        rules: AccessRules,
        snapshot: Callable[[], dict[str, Any]],
        remaining_s: Callable[[], float | None],
        last_lines: Callable[[], dict[str, list[str]]],
        root_path: str = "",
        trusted: tuple[Network, ...] = (),
        audit: AuditLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        metrics: Callable[[], str] = lambda: "",
        hold_s: float = 0.0,
    ) -> None:
        # Read now: an update takes the files away while this process goes on and is visited.
        self._loading = (_FOLDER / "loading.html").read_text(encoding="utf-8")
        login_template()
        self._hold_s = hold_s
        self._metrics = metrics
        self._rules = rules
        self._snapshot = snapshot
        self._remaining_s = remaining_s
        self._last_lines = last_lines
        self._root_path = root_path
        self._trusted = trusted
        self._audit = audit or AuditLog(None)
        self._wrong_logins = Attempts(MAX_WRONG_LOGINS, _LOGIN_WINDOW_S, clock, total=MAX_WRONG_LOGINS_OF_ALL)
        self._denials = Attempts(MAX_WRONG_LOGINS, _LOGIN_WINDOW_S, clock, total=MAX_WRONG_LOGINS_OF_ALL)

    def needs_body(self, request: Request) -> bool:
        """Whether a request's body is read: the login form's only, and only from who may send it."""
        return request.method == "POST" and self._path(request) == LOGIN_PATH and self._check(request) is None

    def respond(self, request: Request) -> Response:
        """The response to one request."""
        path = self._path(request)
        denial = self._check(request)
        if denial is not None:
            return self._refuse(request, denial)
        if path in (LOGIN_PATH, LOGOUT_PATH):
            return self._login(request) if path == LOGIN_PATH else self._logout(request)
        known = self._known(path)
        if known is not None:
            return known
        if request.wants_page:
            return self._loading_page()
        may_wait = request.method == "POST" and path == SPEECH_PATH
        return replace(self._not_yet(path), hold_s=self._hold_s if may_wait and self._remaining_s() else 0.0)

    def gate(self, request: Request) -> Response | None:
        """The response to what must not reach somebody else's app, or is not for it; ``None`` lets the request pass."""
        path = self._path(request)
        denial = self._check(request)
        if denial is not None:
            return self._refuse(request, denial)
        if path == LOGIN_PATH and self._rules.holders:
            return self._login(request)
        if path == LOGOUT_PATH and self._rules.holders and request.method == "POST":
            return self._logout(request)
        return self._known(path) if path in ("/healthz", "/metrics") else None

    def is_secure(self, request: Request) -> bool:
        """Whether the visitor's own connection is encrypted, as far as it or a trusted proxy says."""
        return self._asker(request).is_secure

    def _known(self, path: str) -> Response | None:
        """What can be told without the page."""
        if path == "/healthz":
            return Response.of_json(200, {"status": "ok"})
        if path == "/api/status":
            return Response.of_json(200, self._snapshot(), {"X-Loading": "1"})  # tells our script from the page's
        if path == "/metrics":
            return Response(200, self._metrics().encode(), METRICS_MEDIA_TYPE)
        return None

    def _path(self, request: Request) -> str:
        root = self._root_path
        if root and (request.path == root or request.path.startswith(f"{root}/")):
            return request.path[len(root) :] or "/"
        return request.path

    def _check(self, request: Request) -> Denial | None:
        return check(
            self._rules,
            method=request.method,
            path=self._path(request),
            headers=request.headers,
            query=request.query,
        )

    def _asker(self, request: Request) -> Asker:
        return find_asker(request.peer, request.headers, self._trusted, is_secure=request.is_secure)

    def _note(self, event: str, request: Request, status: int, code: str = "", who: str = "") -> None:
        address = self._asker(request).address
        self._audit.write(
            event, who=who, address=address, method=request.method, path=self._path(request), status=status, code=code
        )

    def _refuse(self, request: Request, denial: Denial) -> Response:
        if not self._denials.take(self._asker(request).address):  # a flood must not push everything else out
            self._note("denied", request, denial.status, denial.code)
        if denial.status == 401 and request.wants_page:
            return self._login_page(401)
        headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {}
        return _error(denial.status, f"{denial.message} {denial.fix}", "invalid_request_error", denial.code, headers)

    def _login(self, request: Request) -> Response:
        home = f"{self._root_path}/"
        if not self._rules.holders:
            return Response(303, headers={"Location": home})
        if request.method != "POST":
            return self._login_page(200, who=who_asks(self._rules, request.headers))
        asker = self._asker(request)
        wait_s = self._wrong_logins.wait_s(asker.address)
        if wait_s:
            self._note("login", request, 429, "too_many_attempts")
            return self._login_page(429, "too_many", {"Retry-After": str(wait_s)})
        typed = parse_qs(request.body.decode("utf-8", errors="replace")).get("token", [""])[0]
        cookie = login_cookie_header(self._rules.holders, typed, is_secure=asker.is_secure)
        if cookie is None:
            self._wrong_logins.note(asker.address)
            self._note("login", request, 401, "token_wrong")
            return self._login_page(401, "wrong")
        self._note("login", request, 303, who=who_asks(self._rules, {"cookie": cookie.partition(";")[0]}))
        return Response(303, headers={"Location": home, "Set-Cookie": cookie})

    def _logout(self, request: Request) -> Response:
        """Ends the session that the request shows; a GET, which any link can make, only leads to the button."""
        headers = {"Location": f"{self._root_path}{LOGIN_PATH}"}
        if request.method == "POST":
            self._note("logout", request, 303, who=end_sessions(self._rules, request.headers))
            headers["Set-Cookie"] = logout_cookie_header(is_secure=self._asker(request).is_secure)
        return Response(303, headers=headers)

    def _login_page(
        self, status: int, problem: str = "", headers: dict[str, str] | None = None, who: str = ""
    ) -> Response:
        return _page(status, render_login(self._root_path, problem, who), headers or {})

    def _loading_page(self) -> Response:
        data = {"snapshot": self._snapshot(), "log": self._last_lines()}
        return _page(503, fill(self._loading, self._root_path, data), self._retry_headers())

    def _not_yet(self, path: str) -> Response:
        headers = self._retry_headers()
        snapshot = self._snapshot()
        failure = next((each["error"] for each in snapshot["components"].values() if each["state"] == "failed"), None)
        if "Retry-After" in headers:
            message, code = f"The page is starting; try again in {headers['Retry-After']} s.", "loading"
        elif failure is not None:
            message, code = f"{failure['message']} {failure['fix']}".strip(), "failed"
        else:
            message, code = "The instance is stopping.", "stopping"
        if path.startswith("/v1/"):
            return _error(503, message, "server_error", code, headers)
        body = {"error": {"message": message, "type": "server_error", "param": None, "code": code}, **snapshot}
        return Response.of_json(503, body, headers)

    def _retry_headers(self) -> dict[str, str]:
        remaining_s = self._remaining_s()
        if remaining_s is None:
            return {"x-should-retry": "false"}  # OpenAI's clients obey it
        headers = {"Retry-After": str(min(MAX_RETRY_AFTER_S, max(1, math.ceil(remaining_s))))}
        # It has come up while the request waited: the next one meets it.
        return headers if remaining_s > 0 else {**headers, "retry-after-ms": str(_AT_ONCE_MS)}


def _page(status: int, page: tuple[str, str], headers: dict[str, str]) -> Response:
    """A page with its policy."""
    text, policy = page
    return Response(
        status,
        text.encode("utf-8", "backslashreplace"),
        "text/html; charset=utf-8",
        {"Content-Security-Policy": policy, **headers},
    )


def _error(status: int, message: str, kind: str, code: str, headers: dict[str, str]) -> Response:
    """OpenAI's error object, which every program's route answers with."""
    return Response.of_json(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)
