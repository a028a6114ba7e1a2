"""Taking the port: a listening socket for a host and a number, or the reason why not.

Invariants: a port whose old connections wait out their time is free (SO_REUSEADDR), one that somebody listens on is
not; on Windows, where that option would steal a port, exclusive use is asked for instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from launcher.errors import ConfigError, PortError

PREFERRED_PORT = 7860
#: `auto` tries this many numbers in a row, which a person can guess, before the system chooses one.
AUTO_RANGE = 20
#: The kernel's queue bridges the moments in which nobody accepts; Linux cuts it to net.core.somaxconn (4096).
BACKLOG = 2048
_IN_USE = (errno.EADDRINUSE, errno.EACCES if os.name == "nt" else errno.EADDRINUSE, 10048)


class PortInUseError(PortError):
    """Somebody else listens on the port."""


def bind_port(host: str, port: int) -> socket.socket:
    """A listening socket.

    Args:
        host: name or address; of a name's addresses the IPv4 one is preferred.
        port: 1 to 65535; 0 takes a free one, 7860 preferred.

    Raises:
        PortInUseError: when somebody listens there.
        PortError: when the port may not be used.
        ConfigError: when the host is not an address of this machine.
    """
    if port:
        return _bind(host, port)
    for candidate in range(PREFERRED_PORT, PREFERRED_PORT + AUTO_RANGE):
        with contextlib.suppress(PortInUseError):
            return _bind(host, candidate)
    return _bind(host, 0)


def url_of(host: str, port: int, root_path: str = "", scheme: str = "http") -> str:
    """The address under which a browser on this machine reaches the port."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{shown}:{port}{root_path}"


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise _unknown_host(host) from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _bind_error(host, port, error) from None
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR), 1)
        if family == socket.AF_INET6 and host == "::":
            with contextlib.suppress(OSError):  # where the system cannot, IPv6 alone has to do
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _bind_error(host, port, error) from None
    return sock


def _bind_error(host: str, port: int, error: OSError) -> PortError | ConfigError:
    if error.errno in _IN_USE:
        return PortInUseError(
            f"Port {port} on {host} is in use.", fix="Choose another one with --port N, or --port auto for a free one."
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return _unknown_host(host)
    if error.errno == errno.EACCES:
        return PortError(
            f"Port {port} on {host} may not be used by this user.", fix="Choose one above 1023 with --port N."
        )
    return PortError(f"Port {port} on {host} cannot be bound: {error.strerror}.", fix="Choose another with --port N.")


def _unknown_host(host: str) -> ConfigError:
    return ConfigError(
        f"LAUNCHER_HOST={host!r} is no address of this machine.", fix="Use 127.0.0.1, or an address of a network card."
    )
