"""Names and addresses of hosts, as requests carry them and as settings list them.

Invariants: pure functions over text; what is malformed is nobody's name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
#: In a list of allowed hosts: any Host header is good. It says nothing about origins.
ANY_HOST = "*"
#: In a list of allowed hosts: any address is good, but no name: a site can lead its own name here, not an address.
ANY_ADDRESS = "<address>"

#: RFC 3986: a registered name as browsers send it (international names arrive as xn--), or an address.
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_PORT = re.compile(r"[0-9]{0,5}")
#: RFC 1035 limits a name to 253 characters; with brackets and port nothing sensible is longer.
_MAX_HOST_CHARS = 300


def parse_host(value: str) -> str | None:
    """The bare name or address of a Host header, lower case, no port or brackets or final dot; ``None``: malformed."""
    text = value.strip()
    if not text or len(text) > _MAX_HOST_CHARS:
        return None
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not (rest.startswith(":") and _PORT.fullmatch(rest[1:]))):
            return None
        address = parse_address(name)
        return str(address) if isinstance(address, ipaddress.IPv6Address) else None
    name, _, port = text.partition(":")
    if not _PORT.fullmatch(port):
        return None
    name = name.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) and ".." not in name else None


def is_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Whether a Host header may name ``host`` (as `parse_host` gives it).

    Loopback addresses are always good; a name is good only when it is listed, because a site can make its own name
    lead here (DNS rebinding).
    """
    names = tuple(allowed)
    address = parse_address(host)
    if address is not None and (address.is_loopback or ANY_ADDRESS in names):
        return True
    return ANY_HOST in names or is_listed(host, names)


def is_listed(host: str, allowed: Iterable[str]) -> bool:
    """Whether ``host`` stands in the list by itself."""
    return any(host == _plain(name) for name in allowed)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that ``text`` is; ``None`` when it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """As `parse_address`, a zone left off and an IPv4 address inside IPv6 taken out."""
    address = parse_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _plain(allowed: str) -> str:
    """An entry of the allow-list in the form that `parse_host` gives."""
    bare = allowed.strip()
    address = parse_address(bare.removeprefix("[").removesuffix("]"))
    return str(address) if address is not None else bare.lower().removesuffix(".")
