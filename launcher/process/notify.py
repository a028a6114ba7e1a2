"""What a supervisor says to systemd: ready, what it is doing, that it lives, that it stops; and the socket it may get.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). Invariants: without systemd every
call does nothing; a service manager that does not listen never stops or slows the supervisor; a watchdog's sign of
life comes from the supervisor's loop and depends on no probe of a page or an engine.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Any

from launcher.errors import StartError

#: The variables of the three protocols; they are meant for this process and no child of it.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
#: sd_listen_fds(3): the first descriptor that is handed over.
FIRST_DESCRIPTOR = 3
#: While the page loads, systemd's patience is renewed by this much; a loading page answers meanwhile.
EXTENSION_S = 60
#: systemd shows one line.
_STATUS_CHARS = 200


class Notifier:
    """Tells a service manager how the instance does.

    Args:
        address: of its datagram socket (``/path`` or ``@abstract``); empty when there is none.
        watchdog_s: after how much silence it restarts us; 0 when it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = address
        self._watchdog_s = watchdog_s if address else 0.0
        self._socket: socket.socket | None = None
        self._said: dict[str, str] = {}
        self._ready = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int) -> Notifier:
        """What the environment of the process ``pid`` offers."""
        watchdog_s = 0.0
        if environ.get("WATCHDOG_PID", str(pid)) == str(pid):
            with contextlib.suppress(ValueError):
                watchdog_s = max(0.0, int(environ.get("WATCHDOG_USEC", "0")) / 1e6)
        address = environ.get("NOTIFY_SOCKET", "")
        return cls(address if address[:1] in ("/", "@") and len(address) > 1 else "", watchdog_s)

    @property
    def interval_s(self) -> float:
        """How often to call `alive`: half of what systemd allows, as sd_watchdog_enabled(3) advises; 0 for never."""
        return self._watchdog_s / 2

    def show(self, snapshot: Mapping[str, Any]) -> None:
        """Says what is new in a snapshot of the instance."""
        if snapshot["state"] == "stopping":
            self._say({"STOPPING": "1", "STATUS": "Stopping."})
            return
        components = snapshot["components"]
        page = components.get("app", components.get("page"))["state"]
        fields = {"STATUS": status_line(snapshot)}
        if page == "ready" and not self._ready:
            fields["READY"] = "1"
        elif not self._ready:
            fields["EXTEND_TIMEOUT_USEC"] = str(EXTENSION_S * 1_000_000)
        self._ready |= self._say(fields) and "READY" in fields

    def alive(self) -> None:
        """Says that the loop turns."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, fields: dict[str, str]) -> bool:
        """Sends the fields when one of them is new; what could not be sent counts as unsaid, and is said later."""
        if all(self._said.get(name) == value for name, value in fields.items()):
            return True
        sent = self._send("\n".join(f"{name}={value}" for name, value in fields.items()))
        if sent:
            self._said.update(fields)
        return sent

    def _send(self, text: str) -> bool:
        if not self._address:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(f"\0{self._address[1:]}" if self._address[0] == "@" else self._address)
            self._socket.send(text.encode("utf-8", "replace"))
        except OSError:  # gone or full: the next word tries again
            self.close()
            return False
        return True


def status_line(snapshot: Mapping[str, Any]) -> str:
    """A snapshot as the one line that ``systemctl status`` shows."""
    parts = [f"{snapshot['url']} {snapshot['state']}"]
    for name, component in snapshot["components"].items():
        text = f"{name} {component['state']}"
        progress = component["progress"]
        if progress and component["state"] != "ready":
            share = f" {100 * min(1.0, progress['done'] / progress['total']):.0f} %" if progress["total"] else ""
            text += f" ({progress['stage']}{share})"
        if component["error"]:
            text += f": {component['error']['message']}"
        parts.append(text)
    return " ".join("; ".join(parts).split())[:_STATUS_CHARS]


def inherited_socket(environ: Mapping[str, str], pid: int) -> socket.socket | None:
    """The listening socket that systemd has opened for us, or ``None`` when it has not.

    Args:
        environ: with ``LISTEN_PID`` and ``LISTEN_FDS``.
        pid: of this process.

    Raises:
        StartError: when what it handed over is not one listening TCP socket.
    """
    if os.name != "posix" or environ.get("LISTEN_PID") != str(pid):
        return None
    count = environ.get("LISTEN_FDS", "")
    if count != "1":
        raise StartError(f"LISTEN_FDS={count!r:.20} sockets were handed over; this needs one.", fix="Name one address.")
    try:
        sock = socket.socket(fileno=FIRST_DESCRIPTOR)
    except OSError as error:
        raise StartError(f"LISTEN_FDS: descriptor {FIRST_DESCRIPTOR} is no socket: {error.strerror}.") from None
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) if hasattr(socket, "SO_ACCEPTCONN") else 1
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM or not listens:
        sock.close()
        raise StartError(
            "The socket that was handed over does not listen on a TCP port.",
            fix="Use ListenStream=ADDRESS:PORT and Accept=no in the socket unit.",
        )
    sock.set_inheritable(False)
    return sock


def forget(environ: MutableMapping[str, str]) -> None:
    """Removes the protocols' variables, so that no child takes them for its own."""
    for name in VARIABLES:
        environ.pop(name, None)
