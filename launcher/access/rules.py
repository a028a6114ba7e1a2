"""Rules about Host, Origin and credentials: whether one request may pass.

Invariants: decisions over the request's line and headers, with no state but the clock and the list of ended sessions; a
denial says in one sentence what was wrong and in one what to do; a token never stands in an address or a denial.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.access.credentials import TOKEN_HOLDER, bearer_of, holder_of, session_holder, sessions_of
from launcher.access.ended import EndedSessions
from launcher.access.hosts import LOOPBACK_NAMES, is_allowed, is_listed, parse_host

#: Routes that need no token, and `/healthz` no known host either: orchestrators probe it by any address.
HEALTH_PATH = "/healthz"
LOGIN_PATH, LOGOUT_PATH = "/login", "/logout"
#: Routes of programs: another site's page has no reason to call them, not even by GET.
API_PREFIXES = ("/api/", "/v1/", "/gradio_api/")

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_ORIGIN = re.compile(r"https?://([^/?#@\\\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class AccessRules:
    """What a request must show.

    Attributes:
        token: a secret that opens everything; empty when there is none.
        allowed_hosts: names and addresses without port that a Host header may carry; `ANY_HOST` allows every one,
            `ANY_ADDRESS` every address.
        users: names with a token each. Without ``token`` and ``users`` nobody needs any.
        ended: sessions that somebody has ended.
    """

    token: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ended: EndedSessions = field(default_factory=lambda: EndedSessions(None), repr=False, compare=False)

    @property
    def holders(self) -> tuple[tuple[str, str], ...]:
        """Name and token of each who may come in; empty when everybody may."""
        own = ((TOKEN_HOLDER, self.token),) if self.token else ()
        return (*own, *self.users)


@dataclass(frozen=True)
class Denial:
    """Why a request is refused.

    Attributes:
        status: of the HTTP answer.
        message: one sentence: what is wrong. It quotes the request: escape it in HTML.
        fix: one sentence: what to do about it.
        code: a stable machine-readable word.
    """

    status: int
    message: str
    fix: str
    code: str


def check(rules: AccessRules, *, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Denial | None:
    """Decides about one request; ``None`` lets it pass.

    Args:
        rules: what it must show.
        method: as sent.
        path: without query and root path.
        headers: names in lower case.
        query: without the question mark.
    """
    if path == HEALTH_PATH and method in _SAFE_METHODS:
        return None
    return (
        _check_host(rules, headers)
        or _check_site(rules, method, path, headers)
        or _check_credentials(rules, path, headers, query)
    )


def who_asks(rules: AccessRules, headers: Mapping[str, str]) -> str:
    """The name of whoever sent a request; empty when it shows nothing that is valid."""
    bearer = bearer_of(headers)
    found = holder_of(rules.holders, bearer) if bearer else ""
    return found or session_holder(rules.holders, headers, ended=rules.ended)


def end_sessions(rules: AccessRules, headers: Mapping[str, str]) -> str:
    """Ends every session that a request's cookies stand for; the name of whose they were, empty when there was none."""
    found = ""
    for name, cookie, expires in sessions_of(rules.holders, headers):
        rules.ended.end(cookie, expires)
        found = found or name
    return found


def _check_host(rules: AccessRules, headers: Mapping[str, str]) -> Denial | None:
    value = headers.get("host", "")
    if not value.strip():
        return Denial(
            400, "The request has no Host header.", "Use an HTTP/1.1 client, which sends one.", "host_missing"
        )
    host = parse_host(value)
    if host is None:
        return Denial(
            400, f"The Host header {_shown(value)} is malformed.", "Send a name or address, and a port.", "host_invalid"
        )
    if is_allowed(host, rules.allowed_hosts):
        return None
    return Denial(
        421,
        f"This server does not answer for the host {_shown(host)}.",
        f"Open it by an address that it knows, or add {_shown(host)} to LAUNCHER_ALLOWED_HOSTS.",
        "host_not_allowed",
    )


def _check_site(rules: AccessRules, method: str, path: str, headers: Mapping[str, str]) -> Denial | None:
    """Refuses what another site's page makes a browser send: changes, web sockets, and calls of the API."""
    changing = method.upper() not in _SAFE_METHODS or "websocket" in headers.get("upgrade", "").lower()
    origin = headers.get("origin")
    if changing and origin is not None:
        return None if _origin_allowed(rules, origin, headers) else _site_denial(_shown(origin))
    programmatic = any(f"{path}/".startswith(prefix) for prefix in API_PREFIXES)
    cross_site = headers.get("sec-fetch-site", "").strip().lower() == "cross-site"
    if cross_site and (changing or programmatic):
        if origin is not None and _origin_allowed(rules, origin, headers):
            return None
        return _site_denial("another site")
    return None


def _site_denial(site: str) -> Denial:
    return Denial(
        403,
        f"The request comes from a page of {site}, not from this server's own.",
        "Use this server's own page, or add that site's host to LAUNCHER_ALLOWED_HOSTS.",
        "origin_not_allowed",
    )


def _check_credentials(rules: AccessRules, path: str, headers: Mapping[str, str], query: str) -> Denial | None:
    if not rules.holders or path in (LOGIN_PATH, LOGOUT_PATH) or who_asks(rules, headers):
        return None
    if bearer_of(headers) is not None:
        return Denial(
            401, "The token is wrong.", "Send the token that LAUNCHER_TOKEN or LAUNCHER_USERS sets.", "token_wrong"
        )
    fix = "Log in at /login, or send it as `Authorization: Bearer <LAUNCHER_TOKEN>`."
    if any(part.startswith("token=") for part in query.split("&")):
        fix = f"A token in the address would end up in histories and logs and is not read. {fix}"
    return Denial(401, "This server needs a token, and the request has none that is valid.", fix, "token_required")


def _origin_allowed(rules: AccessRules, origin: str, headers: Mapping[str, str]) -> bool:
    """Whether the Origin is this server's own host or one that is listed: `ANY_HOST` does not count here."""
    match = _ORIGIN.fullmatch(origin.strip())
    host = parse_host(match.group(1)) if match else None
    return host is not None and (host == parse_host(headers.get("host", "")) or is_listed(host, rules.allowed_hosts))


def _shown(text: str) -> str:
    """What the request sent, bounded and printable, in quotation marks."""
    safe = "".join(letter if letter.isprintable() else "?" for letter in text[:100])
    return f'"{safe}"' + ("…" if len(text) > 100 else "")
