"""Who may send a request: rules about Host, Origin and token, the same on the loading page and on the page.

Invariants: pure decisions over the request's line and headers, no I/O and no state; only the standard library; a
denial says in one sentence what was wrong and in one what to do; the token never stands in an address, a denial or a
cookie (the cookie holds a keyed hash of it).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

COOKIE_NAME = "tts_launcher_session"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
#: In `AccessRules.allowed_hosts`: any Host header is good. It says nothing about origins.
ANY_HOST = "*"
#: Routes that need no token, and `/healthz` no known host either: orchestrators probe it by any address.
HEALTH_PATH = "/healthz"
LOGIN_PATH = "/login"
#: Routes of programs: another site's page has no reason to call them, not even by GET.
API_PREFIXES = ("/api/", "/v1/", "/gradio_api/")

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_COOKIE_MESSAGE = b"tts-launcher session 1"
#: RFC 3986: a registered name as browsers send it (international names arrive as xn--), or an address.
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_PORT = re.compile(r"[0-9]{0,5}")
_ORIGIN = re.compile(r"https?://([^/?#@\\\s]+)", re.IGNORECASE)
#: RFC 1035 limits a name to 253 characters; with brackets and port nothing sensible is longer.
_MAX_HOST_CHARS = 300


@dataclass(frozen=True)
class AccessRules:
    """What a request must show.

    Attributes:
        token: the secret that every request needs; empty when none is needed.
        allowed_hosts: names and addresses without port that a Host header may carry; `ANY_HOST` allows every one.
            Loopback addresses are always good; a name is good only when it is listed, because a site can make its
            own name lead here (DNS rebinding).
    """

    token: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES


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
        or _check_token(rules, path, headers, query)
    )


def session_cookie(rules: AccessRules) -> str:
    """The value of the cookie `COOKIE_NAME` that stands for the token: 64 hexadecimal digits."""
    return hmac.new(rules.token.encode(errors="surrogatepass"), _COOKIE_MESSAGE, hashlib.sha256).hexdigest()


def login_cookie_header(rules: AccessRules, form_token: str) -> str | None:
    """The ``Set-Cookie`` value that answers a right token in the login form; ``None`` when it is wrong or none is set.

    Surrounding white space, which copying brings along, is forgiven.
    """
    if not rules.token or not _same(form_token.strip(), rules.token):
        return None
    return f"{COOKIE_NAME}={session_cookie(rules)}; HttpOnly; SameSite=Strict; Path=/"


def parse_host(value: str) -> str | None:
    """The bare name or address of a Host header, lower case, no port or brackets or final dot; ``None``: malformed."""
    text = value.strip()
    if not text or len(text) > _MAX_HOST_CHARS:
        return None
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not (rest.startswith(":") and _PORT.fullmatch(rest[1:]))):
            return None
        address = _address(name)
        return str(address) if isinstance(address, ipaddress.IPv6Address) else None
    name, _, port = text.partition(":")
    if not _PORT.fullmatch(port):
        return None
    name = name.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) and ".." not in name else None


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
    if _host_allowed(rules, host):
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


def _check_token(rules: AccessRules, path: str, headers: Mapping[str, str], query: str) -> Denial | None:
    if not rules.token or path == LOGIN_PATH:
        return None
    scheme, _, sent = headers.get("authorization", "").strip().partition(" ")
    bearer = scheme.lower() == "bearer"
    if bearer and _same(sent.strip(), rules.token):
        return None
    expected = session_cookie(rules)
    if any(_same(value, expected) for value in _cookies(headers.get("cookie", ""))):
        return None
    if bearer:
        return Denial(401, "The token is wrong.", "Send the token that LAUNCHER_TOKEN sets.", "token_wrong")
    fix = "Log in at /login, or send it as `Authorization: Bearer <LAUNCHER_TOKEN>`."
    if any(part.startswith("token=") for part in query.split("&")):
        fix = f"A token in the address would end up in histories and logs and is not read. {fix}"
    return Denial(401, "This server needs a token, and the request has none that is valid.", fix, "token_required")


def _host_allowed(rules: AccessRules, host: str) -> bool:
    address = _address(host)
    loopback = address is not None and address.is_loopback
    return loopback or ANY_HOST in rules.allowed_hosts or _listed(rules, host)


def _origin_allowed(rules: AccessRules, origin: str, headers: Mapping[str, str]) -> bool:
    """Whether the Origin is this server's own host or one that is listed: `ANY_HOST` does not count here."""
    match = _ORIGIN.fullmatch(origin.strip())
    host = parse_host(match.group(1)) if match else None
    return host is not None and (host == parse_host(headers.get("host", "")) or _listed(rules, host))


def _listed(rules: AccessRules, host: str) -> bool:
    return any(host == _plain(allowed) for allowed in rules.allowed_hosts)


def _plain(allowed: str) -> str:
    """An entry of the allow-list in the form that `parse_host` gives."""
    bare = allowed.strip()
    address = _address(bare.removeprefix("[").removesuffix("]"))
    return str(address) if address is not None else bare.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _cookies(header: str) -> list[str]:
    """The values of every cookie of our name (repeated headers are joined by commas); the rest is passed over."""
    pairs = (part.partition("=") for part in re.split("[;,]", header))
    return [value.strip().strip('"') for name, _, value in pairs if name.strip() == COOKIE_NAME]


def _same(sent: str, secret: str) -> bool:
    """Compares in constant time. A server hands over headers as Latin-1, a program that calls us as plain text."""
    expected = secret.encode(errors="surrogatepass")
    if hmac.compare_digest(sent.encode(errors="surrogatepass"), expected):
        return True
    return not sent.isascii() and max(sent) < "\u0100" and hmac.compare_digest(sent.encode("latin-1"), expected)


def _shown(text: str) -> str:
    """What the request sent, bounded and printable, in quotation marks."""
    safe = "".join(letter if letter.isprintable() else "?" for letter in text[:100])
    return f'"{safe}"' + ("…" if len(text) > 100 else "")
