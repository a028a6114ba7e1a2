"""`/login`: turns the token into a cookie, for browsers.

Invariants: the page needs no script; wrong tokens are taken only so often; the token is never echoed.
"""

from __future__ import annotations

import time
from collections import deque
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from launcher.access import AccessRules, login_cookie_header
from webui.api.answers import error_answer

#: Wrong tokens within a minute, from everybody together, after which the form waits: a person mistypes twice.
MAX_FAILURES_PER_MINUTE = 10
#: A token and its field's name are far shorter.
_MAX_FORM_BYTES = 8 * 1024

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Log in · 登录</title>
<style>body{{font:16px/1.6 system-ui,sans-serif;max-width:24rem;margin:15vh auto;padding:0 1rem;
color-scheme:light dark}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.4rem 0}}</style>
<h1>tts-launcher</h1><form method="post" action="{action}">
<label for="token">Token (LAUNCHER_TOKEN) · <span lang="zh">访问令牌</span></label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in · <span lang="zh">登录</span></button><p role="alert">{problem}</p></form></html>"""
_WRONG = 'The token is wrong. <span lang="zh">令牌不对。</span>'


def routes(rules: AccessRules) -> list[Route]:
    """The routes; without a token there is nothing to log in to, and they lead to the page."""
    failures: deque[float] = deque(maxlen=MAX_FAILURES_PER_MINUTE)

    async def form(request: Request) -> Response:
        if not rules.token:
            return RedirectResponse(_home(request), 303)
        return _form(request)

    async def log_in(request: Request) -> Response:
        if len(failures) == MAX_FAILURES_PER_MINUTE and time.monotonic() - failures[0] < 60:
            return error_answer(
                request,
                429,
                "Too many wrong tokens.",
                fix="Try again in a minute.",
                code="too_many_attempts",
                headers={"Retry-After": "60"},
            )
        body = (await request.body())[:_MAX_FORM_BYTES].decode("utf-8", "replace")
        cookie = login_cookie_header(rules, parse_qs(body).get("token", [""])[0])
        if cookie is not None:
            return RedirectResponse(_home(request), 303, {"Set-Cookie": cookie})
        if not rules.token:
            return RedirectResponse(_home(request), 303)
        failures.append(time.monotonic())
        return _form(request, _WRONG, 401)

    return [Route("/login", form, methods=["GET"]), Route("/login", log_in, methods=["POST"])]


def _home(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"


def _form(request: Request, problem: str = "", status: int = 200) -> Response:
    page = _PAGE.format(action=f"{request.scope.get('root_path', '')}/login", problem=problem)
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})
