"""What the port says while the page is not up: the loading page to people, a 503 with the way on to programs.

Invariants: every route but ``/healthz`` obeys `launcher.access`; nothing waits for the page; a response names no
secret; ``Retry-After`` is the honest moment at which the next try should succeed.
"""

from __future__ import annotations

import base64
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from launcher.access import LOGIN_PATH, AccessRules, Denial, check, login_cookie_header
from launcher.process.exchange import Request, Response

#: Clients such as OpenAI's ignore a longer pause and fall back to a guess of half a second.
MAX_RETRY_AFTER_S = 60
#: Wrong tokens a minute, from everybody together: a person mistypes, a program guesses.
MAX_WRONG_LOGINS = 10
_LOGIN_WINDOW_S = 60.0
_FOLDER = Path(__file__).resolve().parent


class Answers:
    """Makes the response to each request.

    Args:
        rules: who may ask.
        snapshot: makes the instance's snapshot.
        remaining_s: seconds until the page should be up; ``None`` when it will not come up by itself.
        last_lines: the page's and engine's last log lines, for a person who looks at a failure.
        root_path: path under which a reverse proxy shows everything; empty or ``/...``.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        rules: AccessRules,
        snapshot: Callable[[], dict[str, Any]],
        remaining_s: Callable[[], float | None],
        last_lines: Callable[[], dict[str, list[str]]],
        root_path: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._snapshot = snapshot
        self._remaining_s = remaining_s
        self._last_lines = last_lines
        self._root_path = root_path
        self._clock = clock
        self._wrong_logins: deque[float] = deque(maxlen=MAX_WRONG_LOGINS)

    def needs_body(self, request: Request) -> bool:
        """Whether a request's body is read: the login form's only, and only from who may send it."""
        return request.method == "POST" and self._path(request) == LOGIN_PATH and self._check(request) is None

    def respond(self, request: Request) -> Response:
        """The response to one request."""
        path = self._path(request)
        denial = self._check(request)
        if denial is not None:
            return self._refuse(request, denial)
        if path == "/healthz":
            return Response.of_json(200, {"status": "ok"})
        if path == LOGIN_PATH:
            return self._login(request)
        if path == "/api/status":
            return Response.of_json(200, self._snapshot(), {"X-Loading": "1"})  # tells our script from the page's
        if request.wants_page:
            return self._loading_page()
        return self._not_yet(path)

    def gate(self, request: Request) -> Response | None:
        """The response to what must not reach somebody else's app, or is not for it; ``None`` lets the request pass."""
        path = self._path(request)
        denial = self._check(request)
        if denial is not None:
            return self._refuse(request, denial)
        if path == "/healthz":
            return Response.of_json(200, {"status": "ok"})
        return self._login(request) if path == LOGIN_PATH and self._rules.token else None

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

    def _refuse(self, request: Request, denial: Denial) -> Response:
        if denial.status == 401 and request.wants_page:
            return self._login_page(401)
        headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {}
        return _error(denial.status, f"{denial.message} {denial.fix}", "invalid_request_error", denial.code, headers)

    def _login(self, request: Request) -> Response:
        home = f"{self._root_path}/"
        if not self._rules.token:
            return Response(303, headers={"Location": home})
        if request.method != "POST":
            return self._login_page(200)
        now = self._clock()
        if len(self._wrong_logins) == MAX_WRONG_LOGINS and now - self._wrong_logins[0] < _LOGIN_WINDOW_S:
            return self._login_page(429, "too_many", {"Retry-After": str(int(_LOGIN_WINDOW_S))})
        form = parse_qs(request.body.decode("utf-8", errors="replace"))
        cookie = login_cookie_header(self._rules, form.get("token", [""])[0])
        if cookie is None:
            self._wrong_logins.append(now)
            return self._login_page(401, "wrong")
        return Response(303, headers={"Location": home, "Set-Cookie": cookie})

    def _login_page(self, status: int, problem: str = "", headers: dict[str, str] | None = None) -> Response:
        return self._page("login.html", status, {"problem": problem}, headers or {})

    def _loading_page(self) -> Response:
        data = {"snapshot": self._snapshot(), "log": self._last_lines()}
        return self._page("loading.html", 503, data, self._retry_headers())

    def _page(self, name: str, status: int, data: dict[str, Any], headers: dict[str, str]) -> Response:
        nonce = base64.b64encode(os.urandom(18)).decode()
        # "<" is the only character by which text inside a script element could end it.
        embedded = json.dumps({**data, "root": self._root_path}, ensure_ascii=False).replace("<", "\\u003c")
        # The data last: what a log line says must not be taken for a placeholder.
        text = (_FOLDER / name).read_text(encoding="utf-8")
        text = text.replace("{{nonce}}", nonce).replace("{{root}}", escape(self._root_path, quote=True))
        text = text.replace("{{data}}", embedded)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return Response(
            status, text.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": policy, **headers}
        )

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
        return {"Retry-After": str(min(MAX_RETRY_AFTER_S, max(1, math.ceil(remaining_s))))}


def _error(status: int, message: str, kind: str, code: str, headers: dict[str, str]) -> Response:
    """OpenAI's error object, which every program's route answers with."""
    return Response.of_json(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)
