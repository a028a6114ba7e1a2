"""The way out: directly or through the user's proxy, decided for each address.

Invariants: this machine is always reached directly; names in lower case win over upper case, as in curl; a proxy's
password never appears in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from launcher.config.parsers import is_loopback
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from urllib3 import PoolManager


def proxy_for(url: str, settings: Mapping[str, str]) -> str:
    """The proxy for ``url``; empty for a direct way.

    Args:
        url: http or https.
        settings: names such as ``https_proxy`` and ``NO_PROXY``, as `launcher.config.Config.standard` has them.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    if is_loopback(host) or _is_direct(host, port, _setting(settings, "no_proxy")):
        return ""
    proxy = _setting(settings, f"{parts.scheme}_proxy") or _setting(settings, "all_proxy")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _setting(settings: Mapping[str, str], name: str) -> str:
    return settings.get(name) or settings.get(name.upper()) or ""


def _is_direct(host: str, port: int, listed: str) -> bool:
    """Whether a list such as ``10.0.0.0/8,.lan,example.org:8080`` holds the host."""
    for item in filter(None, (part.strip().lower() for part in listed.split(","))):
        if item == "*":
            return True
        if "/" in item:
            if _in_network(host, item):
                return True
            continue
        name, separator, wanted = item.rpartition(":")
        if not separator or not wanted.isdigit() or ":" in name.strip("[]"):
            name, wanted = item, str(port)
        name = name.strip("[]").removeprefix("*").lstrip(".")
        if wanted == str(port) and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name, or no network
        return False


def make_pool(url: str, settings: Mapping[str, str], **options: Any) -> PoolManager:
    """A pool of connections on the way to ``url``'s host.

    Args:
        url: the address that it is for; hosts that need another way need a pool of their own.
        settings: as for `proxy_for`.
        options: for `urllib3.PoolManager`.

    Raises:
        ConfigError: when the proxy is of a kind that is not supported.
    """
    import urllib3

    proxy = proxy_for(url, settings)
    if not proxy:
        return urllib3.PoolManager(**options)
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"The proxy for {urlsplit(url).hostname} is of the kind {parts.scheme}, which is not supported.",
            fix="Set HTTPS_PROXY to the http:// address of the same proxy, or list the host in NO_PROXY.",
        )
    headers = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=credentials)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)
