"""The control socket's server: answers commands, hears the children, tells subscribers what changes.

Invariants: nothing blocks the loop; a line, a queue of answers and the number of connections are bounded, and who
exceeds a bound or does not read is dropped; a connection that must show a token is heard only after it did.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
from collections.abc import Callable
from typing import Any

from launcher.channel import MAX_LINE_BYTES, from_json, to_json
from launcher.errors import LauncherError
from launcher.process.loop import READ, WRITE, Loop, Timer

#: The page, the engine and a few command lines need ten.
MAX_CONNECTIONS = 64
#: A subscriber that is this far behind does not read at all: a snapshot has about 2 KB.
MAX_BACKLOG_BYTES = 1024 * 1024
#: Snapshots at most five times a second: enough for a smooth bar.
PUBLISH_INTERVAL_S = 0.2

#: How long nobody is let in when the system has no descriptor to give.
_EXHAUSTED_PAUSE_S = 0.1

Command = Callable[[dict[str, Any]], dict[str, Any]]
Event = Callable[[dict[str, Any]], None]


class RefusedError(Exception):
    """A command that cannot be done; its text is the answer's ``error``."""


class ControlServer:
    """Serves a control socket.

    Args:
        sock: bound and listening.
        loop: where it waits.
        token: secret that a connection's first line must hold; empty when the socket's folder protects it.
        commands: name to function of the message; its result is the answer, `RefusedError` the refusal, and a
            `LauncherError` says why it cannot be done.
        on_event: gets what children say.
        snapshot: makes what subscribers get.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        token: str,
        commands: dict[str, Command],
        on_event: Event,
        snapshot: Callable[[], dict[str, Any]],
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._token = token
        self._commands = commands
        self._on_event = on_event
        self._snapshot = snapshot
        self._peers: set[_Peer] = set()
        self._publishing: Timer | None = None
        self._next_publish = 0.0
        sock.setblocking(False)
        self._watch()

    def publish(self) -> None:
        """Sends the snapshot to every subscriber, soon and once for several changes."""
        if self._publishing is None:
            delay_s = max(0.0, self._next_publish - self._loop.clock())
            self._publishing = self._loop.call_later(delay_s, self._send_snapshots)

    def offer(self, name: str, command: Command) -> None:
        """Adds a command."""
        self._commands[name] = command

    def close(self) -> None:
        """Ends every connection and stops listening."""
        if self._publishing is not None:
            self._publishing.cancel()
        self._loop.unwatch(self._sock)
        self._sock.close()
        for peer in list(self._peers):
            peer.close()

    def answer(self, message: dict[str, Any], peer: _Peer) -> None:
        """Deals with one message of a connection."""
        command = message.get("command")
        if command is None:
            if message.get("event") == "hello":
                peer.child_pid = message.get("pid")
            if isinstance(message.get("event"), str):
                self._on_event({"pid": peer.child_pid, **message})
            return
        if command == "subscribe":
            peer.subscribed = True
            peer.send({"ok": True, "result": self._snapshot()})
            return
        run = self._commands.get(command) if isinstance(command, str) else None
        if run is None:
            peer.send({"ok": False, "error": f"The command {str(command)[:40]!r} is not known."})
            return
        try:
            peer.send({"ok": True, "result": run(message)})
        except (RefusedError, LauncherError) as error:
            peer.send({"ok": False, "error": str(error)})

    def accepts_token(self, message: dict[str, Any]) -> bool:
        """Whether a first line shows the right token."""
        given = message.get("token")
        return isinstance(given, str) and hmac.compare_digest(
            given.encode(errors="surrogatepass"), self._token.encode()
        )

    def _send_snapshots(self) -> None:
        self._publishing = None
        self._next_publish = self._loop.clock() + PUBLISH_INTERVAL_S
        subscribers = [peer for peer in self._peers if peer.subscribed]
        if subscribers:
            event = {"event": "snapshot", "snapshot": self._snapshot()}
            for peer in subscribers:
                peer.send(event)

    def _watch(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.watch(self._sock, READ, self._on_connection)

    def _on_connection(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # out of descriptors: whoever waits is still there a moment later
            self._loop.unwatch(self._sock)
            self._loop.call_later(_EXHAUSTED_PAUSE_S, self._watch)
            return
        if len(self._peers) >= MAX_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        self._peers.add(_Peer(sock, self._loop, self, trusted=not self._token, on_close=self._peers.discard))


class _Peer:
    """One connection to the control socket."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        server: ControlServer,
        *,
        trusted: bool,
        on_close: Callable[[_Peer], None],
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._server = server
        self._trusted = trusted
        self._on_close = on_close
        self._received = bytearray()
        self._outgoing = bytearray()
        self.subscribed = False
        #: Who speaks here, by its own hello: what a child of an earlier start still says can be told apart.
        self.child_pid: Any = None
        loop.watch(sock, READ, self._on_readable)

    def send(self, message: dict[str, Any]) -> None:
        """Queues one object; drops the connection when its reader is too far behind."""
        if self._sock.fileno() < 0:
            return
        self._outgoing += to_json(message) + b"\n"
        if len(self._outgoing) > MAX_BACKLOG_BYTES:
            self.close()
        else:
            self._flush()

    def close(self) -> None:
        """Ends the connection; harmless when it has ended."""
        if self._sock.fileno() >= 0:
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._on_close(self)

    def _on_ready(self) -> None:
        self._flush()
        if self._sock.fileno() >= 0:
            self._on_readable()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self._sock.send(self._outgoing)]
        except (BlockingIOError, InterruptedError):
            self._loop.watch(self._sock, READ | WRITE, self._on_ready)
        except OSError:
            self.close()
        else:
            self._loop.watch(self._sock, READ, self._on_readable)

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            if self._sock.fileno() < 0:
                return
            self._take(bytes(line))
        if len(self._received) > MAX_LINE_BYTES:
            self.close()

    def _take(self, line: bytes) -> None:
        message: Any = None
        with contextlib.suppress(ValueError):
            message = from_json(line)
        if not isinstance(message, dict) or not (self._trusted or self._server.accepts_token(message)):
            self.close()
        elif not self._trusted:
            self._trusted = True
        else:
            self._server.answer(message, self)
