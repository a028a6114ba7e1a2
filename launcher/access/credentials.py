"""Tokens and the sessions that stand for them: who a request comes from.

Invariants: a token never stands in a cookie, which holds a name, an end and a keyed hash of both; a session ends by
itself, at once when its token changes, and when somebody logs out (`launcher.access.ended`); secrets are compared in
constant time; nothing else is kept, so the loading page and the page know the same sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Container, Iterable, Mapping, Sequence

COOKIE_NAME = "tts_launcher_session"
#: How long a login lasts: a month, as mail and chat programs in a browser do.
SESSION_S = 30 * 24 * 3600
#: Who holds LAUNCHER_TOKEN, in audit log and sessions; no user may be called so.
TOKEN_HOLDER = "token"

_COOKIE_MESSAGE = b"tts-launcher session 3 "

#: Name and token of each who may come in.
Holders = Sequence[tuple[str, str]]


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The token of ``Authorization: Bearer``; ``None`` when there is none."""
    scheme, _, sent = headers.get("authorization", "").strip().partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else None


def holder_of(holders: Holders, token: str) -> str:
    """Whose token it is; empty when it is nobody's. Every one is compared, so time tells nothing."""
    found = ""
    for name, secret in holders:
        if secret and _same(token, secret):
            found = found or name
    return found


def session_holder(
    holders: Holders, headers: Mapping[str, str], now: float | None = None, ended: Container[str] = ()
) -> str:
    """Whose session the request's cookie stands for; empty when there is none that holds.

    Args:
        holders: who may come in.
        headers: names in lower case.
        now: seconds since 1970.
        ended: values of cookies whose sessions somebody has ended.
    """
    return next((holder for holder, value, _ in sessions_of(holders, headers, now) if value not in ended), "")


def sessions_of(
    holders: Holders, headers: Mapping[str, str], now: float | None = None
) -> Iterable[tuple[str, str, int]]:
    """Every session that a request's cookies stand for: name, cookie's value, end in seconds since 1970."""
    now = time.time() if now is None else now
    for value in _cookies(headers.get("cookie", "")):
        parts = value.split(".")
        if len(parts) != 4:
            continue
        name, expires, nonce, _ = parts
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12 and now < int(expires)):
            continue
        for holder, secret in holders:
            if holder == name and _same(value, session_cookie(holder, secret, int(expires), nonce)):
                yield holder, value, int(expires)


def session_cookie(name: str, token: str, expires: int, nonce: str = "") -> str:
    """The value of the cookie `COOKIE_NAME` that stands for a token until ``expires`` (seconds since 1970).

    ``nonce`` tells the sessions of one token apart, so that one of them can end.
    """
    message = _COOKIE_MESSAGE + f"{name} {expires} {nonce}".encode(errors="surrogatepass")
    digest = hmac.new(token.encode(errors="surrogatepass"), message, hashlib.sha256).hexdigest()
    return f"{name}.{expires}.{nonce}.{digest}"


def login_cookie_header(
    holders: Holders, form_token: str, *, is_secure: bool = False, now: float | None = None
) -> str | None:
    """The ``Set-Cookie`` value that answers a right token in the login form; ``None`` when it is wrong or none is set.

    Surrounding white space, which copying brings along, is forgiven.

    Args:
        holders: who may come in.
        form_token: what was typed.
        is_secure: whether the browser speaks TLS, so that the cookie never travels without.
        now: seconds since 1970.
    """
    name = holder_of(holders, form_token.strip())
    if not name:
        return None
    token = dict(holders)[name]
    expires = int(time.time() if now is None else now) + SESSION_S
    secure = _secure(is_secure)
    value = session_cookie(name, token, expires, os.urandom(8).hex())
    return f"{COOKIE_NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_S}{secure}"


def logout_cookie_header(*, is_secure: bool = False) -> str:
    """The ``Set-Cookie`` value that takes the session's cookie out of a browser."""
    return f"{COOKIE_NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{_secure(is_secure)}"


def _secure(is_secure: bool) -> str:
    return "; Secure" if is_secure else ""


def _cookies(header: str) -> Iterable[str]:
    """The values of every cookie of our name (repeated headers are joined by commas); the rest is passed over."""
    pairs = (part.partition("=") for part in re.split("[;,]", header))
    return [value.strip().strip('"') for name, _, value in pairs if name.strip() == COOKIE_NAME]


def _same(sent: str, secret: str) -> bool:
    """Compares in constant time. A server hands over headers as Latin-1, a program that calls us as plain text."""
    expected = secret.encode(errors="surrogatepass")
    if hmac.compare_digest(sent.encode(errors="surrogatepass"), expected):
        return True
    return not sent.isascii() and max(sent) < "\u0100" and hmac.compare_digest(sent.encode("latin-1"), expected)
