"""Who asks, when a reverse proxy stands in between.

Invariants: what a header claims is believed only when the connection itself comes from a trusted proxy; of a chain of
addresses the last one that is no trusted proxy counts, because everything before it was written by that client.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.access.hosts import parse_address, plain_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: A chain of proxies is two or three long; more is somebody's invention.
_MAX_CHAIN = 20


@dataclass(frozen=True)
class Asker:
    """Where a request comes from.

    Attributes:
        address: of the client; ``local`` when the connection has none (a Unix socket).
        is_secure: whether the client speaks TLS, with us or with the trusted proxy.
        is_loopback: whether it is a program on this machine.
    """

    address: str
    is_secure: bool = False
    is_loopback: bool = False


def is_counted(peer: str, trusted: tuple[Network, ...]) -> bool:
    """Whether the connections of an address are limited: neither this machine's nor a trusted proxy's are."""
    return not (_asker(peer, False).is_loopback or _is_in(peer, trusted))


def parse_networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks (``10.0.0.0/8``).

    Raises:
        ValueError: when one is neither.
    """
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def find_asker(
    peer: str, headers: Mapping[str, str], trusted: tuple[Network, ...], *, is_secure: bool = False
) -> Asker:
    """Who sent a request.

    Args:
        peer: address of the connection's other end; empty for a Unix socket.
        headers: names in lower case, repeated ones joined by commas.
        trusted: proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
        is_secure: whether the connection itself speaks TLS.
    """
    if not _is_in(peer, trusted):
        return _asker(peer, is_secure)
    chain = [_bare(part) for part in headers.get("x-forwarded-for", "").split(",")[-_MAX_CHAIN:] if part.strip()]
    client = next((address for address in reversed(chain) if not _is_in(address, trusted)), peer)
    # The proxy that talks to us wrote the last word.
    scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return _asker(client if parse_address(client) else peer, scheme == "https" or (not scheme and is_secure))


def _asker(address: str, is_secure: bool) -> Asker:
    parsed = plain_address(address)
    return Asker(str(parsed or "local"), is_secure, parsed is None or parsed.is_loopback)


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    parsed = plain_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def _bare(part: str) -> str:
    """One entry of X-Forwarded-For without port and brackets."""
    text = part.strip().strip('"')
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
