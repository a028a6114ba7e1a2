"""Tokens and the sessions that stand for them: who a request comes from.

Invariants: a token never stands in a cookie, which holds a name, an end and a keyed hash of both; a session ends by
itself, and at once when its token changes; secrets are compared in constant time; nothing is kept, so the loading page
and the page know the same sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence

COOKIE_NAME = "tts_launcher_session"
#: How long a login lasts: a month, as mail and chat programs in a browser do.
SESSION_S = 30 * 24 * 3600
#: Who holds LAUNCHER_TOKEN, in audit log and sessions; no user may be called so.
TOKEN_HOLDER = "token"

_COOKIE_MESSAGE = b"tts-launcher session 2 "

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


def session_holder(holders: Holders, headers: Mapping[str, str], now: float | None = None) -> str:
    """Whose session the request's cookie stands for; empty when there is none that holds."""
    now = time.time() if now is None else now
    for value in _cookies(headers.get("cookie", "")):
        name, _, rest = value.partition(".")
        expires, _, _ = rest.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12 and now < int(expires)):
            continue
        for holder, secret in holders:
            if holder == name and _same(value, session_cookie(holder, secret, int(expires))):
                return holder
    return ""


def session_cookie(name: str, token: str, expires: int) -> str:
    """The value of the cookie `COOKIE_NAME` that stands for a token until ``expires`` (seconds since 1970)."""
    message = _COOKIE_MESSAGE + f"{name} {expires}".encode()
    digest = hmac.new(token.encode(errors="surrogatepass"), message, hashlib.sha256).hexdigest()
    return f"{name}.{expires}.{digest}"


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
    secure = "; Secure" if is_secure else ""
    value = session_cookie(name, token, expires)
    return f"{COOKIE_NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_S}{secure}"


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
