"""Who holds a port?

Invariants: a free port costs one bind and no scan; a holder that the operating system hides is reported with what is
known of it (pid 0, owner where Linux tells it); nothing is ever connected to.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from launcher.access.hosts import plain_address
from launcher.process.facts import ProcessFacts, observe

#: Windows' own number for "address in use"; there ``EACCES`` also means that another user holds the port exclusively.
_WSAEADDRINUSE = 10048
_LINUX_LISTEN = "0A"


def port_free(host: str, port: int) -> bool:
    """Whether ``host``:``port`` can be bound now; true as well when it cannot for a reason other than a holder.

    Args:
        host: name or address; ``0.0.0.0`` and ``::`` stand for every address.
        port: 1 to 65535.
    """
    for family, address in _addresses(host, port):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:  # this machine has no IPv6, though a table of names has it
            continue
        with contextlib.closing(probe):
            if os.name == "posix":
                # As a server does: a port whose old connections wait out their time is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                with contextlib.suppress(OSError):
                    # As a server does: the address of all of them is IPv4's, too.
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, _WSAEADDRINUSE):
                    return False
                if os.name == "nt" and error.errno == errno.EACCES:
                    return False
    return True


def port_holder(host: str, port: int) -> ProcessFacts | None:
    """The process that listens where ``host``:``port`` would, or ``None`` when the port is free.

    Of several processes that share the socket it is the oldest. When the holder is hidden (another user's), the facts
    have pid 0 and an empty command.

    Args:
        host: name or address; ``0.0.0.0`` and ``::`` stand for every address, in both directions.
        port: 1 to 65535.
    """
    if port_free(host, port):
        return None
    wanted = {str(address[0]) for _, address in _addresses(host, port)}
    pids, owner = (_holders_on_linux if sys.platform == "linux" else _holders)(wanted, port)
    holders = [facts for pid in pids if (facts := observe(pid)) is not None]
    if holders:
        return min(holders, key=lambda facts: (facts.created_at, facts.pid))
    return None if port_free(host, port) else ProcessFacts(0, 0.0, owner, (), None, None, "", 0)


def wait_port_free(host: str, port: int, timeout_s: float) -> bool:
    """Waits until ``host``:``port`` can be bound; false when it cannot after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not port_free(host, port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The numeric addresses that ``host`` stands for; none when the name is unknown."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return []
    return [(family, (str(address[0]), port)) for family, _, _, _, address in found]


def _holders(wanted: set[str], port: int) -> tuple[set[int], str]:
    """The processes that listen on ``port`` at an address that excludes one of ``wanted``; no owner is known here."""
    try:
        connections = psutil.net_connections(kind="tcp")
        pairs: list[tuple[Any, int | None]] = [(connection, connection.pid) for connection in connections]
    except (psutil.Error, OSError):
        # macOS tells everybody's connections to root only: ask each process that may be asked.
        pairs = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                pairs += [(connection, process.pid) for connection in process.net_connections(kind="tcp")]
    pids = {
        pid
        for connection, pid in pairs
        if pid
        and connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        and any(_overlap(connection.laddr.ip, address) for address in wanted)
    }
    return pids, ""


def _holders_on_linux(wanted: set[str], port: int) -> tuple[set[int], str]:
    """As `_holders`, from /proc: every process that shares the socket, and its owner even when the pids are hidden."""
    sockets: set[str] = set()
    owner = ""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = Path(table).read_text().splitlines()[1:]
        for line in lines:
            # Columns by proc(5): number, local address (hexadecimal IP:port), remote, state, and 7 is uid, 9 inode.
            columns = line.split()
            address, _, number = columns[1].partition(":")
            if columns[3] != _LINUX_LISTEN or int(number, 16) != port:
                continue
            if any(_overlap(_address_of_hex(address), other) for other in wanted):
                sockets.add(f"socket:[{columns[9]}]")
                owner = _user_name(int(columns[7]))
    return {pid for pid in psutil.pids() if _holds_one_of(pid, sockets)}, owner


def _holds_one_of(pid: int, sockets: set[str]) -> bool:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if str(Path(entry.path).readlink()) in sockets:
                    return True
    return False


def _address_of_hex(text: str) -> str:
    """An address as /proc/net/tcp writes it: 32-bit words in the machine's own byte order."""
    data = bytes.fromhex(text)
    words = [data[start : start + 4] for start in range(0, len(data), 4)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(packed))


def _overlap(first: str, second: str) -> bool:
    """Whether two listening addresses exclude each other: equal, or either of them stands for every address."""
    one, other = plain_address(first), plain_address(second)
    if one is None or other is None:
        return first == second
    return one == other or one.is_unspecified or other.is_unspecified


def _user_name(uid: int) -> str:
    if sys.platform == "win32":
        return ""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
