"""`/login` turns a token into a session, for browsers; `/logout` ends it.

Invariants: wrong tokens are taken only so often; the token is never echoed; only a POST from our own pages ends a
session, and the guard sees to the latter.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from launcher.access import LOGIN_PATH, LOGOUT_PATH, AccessRules, login_cookie_header, logout_cookie_header
from launcher.access.attempts import Attempts
from launcher.access.login_page import render_login
from launcher.access.rules import end_sessions
from webui.api.answers import WHO, error_answer

#: Wrong tokens within a minute, of one address and of everybody together, after which the form waits: a person
#: mistypes twice.
MAX_FAILURES_PER_MINUTE, MAX_FAILURES_OF_ALL = 10, 60
#: A token and its field's name are far shorter.
_MAX_FORM_BYTES = 8 * 1024


def routes(rules: AccessRules) -> list[Route]:
    """The routes; without a token there is nothing to log in to, and they lead to the page."""
    failures = Attempts(MAX_FAILURES_PER_MINUTE, 60.0, time.monotonic, total=MAX_FAILURES_OF_ALL)

    async def form(request: Request) -> Response:
        if not rules.holders:
            return RedirectResponse(_home(request), 303)
        return _form(request)

    async def log_in(request: Request) -> Response:
        address = request.client.host if request.client else ""
        wait_s = failures.wait_s(address)
        if wait_s:
            return error_answer(
                request,
                429,
                "Too many wrong tokens.",
                fix=f"Try again in {wait_s} s.",
                code="too_many_attempts",
                headers={"Retry-After": str(wait_s)},
            )
        body = (await request.body())[:_MAX_FORM_BYTES].decode("utf-8", "replace")
        typed = parse_qs(body).get("token", [""])[0]
        cookie = login_cookie_header(rules.holders, typed, is_secure=request.url.scheme == "https")
        if cookie is not None:
            return RedirectResponse(_home(request), 303, {"Set-Cookie": cookie})
        if not rules.holders:
            return RedirectResponse(_home(request), 303)
        failures.note(address)
        return _form(request, "wrong", 401)

    async def log_out(request: Request) -> Response:
        headers = {}
        if request.method == "POST":  # any link can make a GET: it only leads to the button
            end_sessions(rules, request.headers)
            headers["Set-Cookie"] = logout_cookie_header(is_secure=request.url.scheme == "https")
        return RedirectResponse(f"{request.scope.get('root_path', '')}{LOGIN_PATH}", 303, headers)

    return [
        Route(LOGIN_PATH, form, methods=["GET"]),
        Route(LOGIN_PATH, log_in, methods=["POST"]),
        Route(LOGOUT_PATH, log_out, methods=["GET", "POST"]),
    ]


def _home(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"


def _form(request: Request, problem: str = "", status: int = 200) -> Response:
    page, policy = render_login(request.scope.get("root_path", ""), problem, request.scope.get(WHO) or "")
    return HTMLResponse(page, status, {"Cache-Control": "no-store", "Content-Security-Policy": policy})
