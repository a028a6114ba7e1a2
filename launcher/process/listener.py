"""The port: accepts while the page is not up, leaves the backlog to the page while it is.

Invariants: the listening socket stays open from the first moment to the end (where the system can pass a descriptor
on), so that no connection is ever refused; the descriptor is shared with the page, so another process may take a
connection first and `accept` finds none.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from launcher.access.clients import is_counted
from launcher.errors import PortError
from launcher.process.connection import Answer, Connection
from launcher.process.exchange import Request
from launcher.process.loop import READ, Loop, Timer
from launcher.process.tls import Stream, TlsStream

if TYPE_CHECKING:
    import ssl

#: Connections that are answered at a time; what comes meanwhile waits in the kernel's backlog.
MAX_CONNECTIONS = 256
#: Of these, for one address; a browser opens six, and this machine's own programs are not counted.
MAX_OF_ONE_ADDRESS = 64
#: Answers that are held back at a time; others, and the loading page, need places, too.
MAX_HELD = 64
_SWEEP_S = 0.5
#: Pause when the system is out of descriptors; those who ask wait in the backlog meanwhile.
_EXHAUSTED_PAUSE_S = 0.2


class Listener:
    """Answers on the port while the page cannot.

    Args:
        sock: bound and listening.
        loop: where it waits.
        answer, needs_body: as `Connection` takes them.
        rebind: makes a new listening socket for the same address or raises `PortError`, where a child cannot share
            ``sock`` (Windows); ``None`` where it can.
        tls: makes the port speak HTTPS.
        is_counted: whether the connections of an address are limited.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        answer: Answer,
        needs_body: Callable[[Request], bool],
        rebind: Callable[[], socket.socket] | None = None,
        tls: ssl.SSLContext | None = None,
        is_counted: Callable[[str], bool] = lambda address: is_counted(address, ()),
    ) -> None:
        self._tls = tls
        self._is_counted = is_counted
        self._addresses: Counter[str] = Counter()
        self._sock: socket.socket | None = sock
        self._loop = loop
        self._answer = answer
        self._needs_body = needs_body
        self._rebind = rebind
        self._connections: set[Connection] = set()
        self._accepting = False
        self._sweep: Timer | None = None
        sock.setblocking(False)

    @property
    def accepting(self) -> bool:
        """Whether the supervisor answers on the port."""
        return self._accepting and self._sock is not None

    @property
    def descriptor(self) -> int | None:
        """What the page inherits; ``None`` where it has to bind the port itself."""
        return self._sock.fileno() if self._sock is not None and self._rebind is None else None

    def accept(self) -> None:
        """Starts answering; harmless when it does already."""
        self._accepting = True
        self._take_port()
        self._watch()

    def hand_over(self) -> None:
        """Leaves new connections to the page, which accepts on the same socket; who waits for that is told."""
        self._accepting = False
        if self._sock is not None:
            self._loop.unwatch(self._sock)
        self.release()

    def release(self) -> None:
        """Gives every answer that is held back: what was waited for is there, or will not come."""
        for connection in [each for each in self._connections if each.is_held]:
            connection.release()

    def free_for_child(self) -> None:
        """Closes the socket just before a page that must bind it itself; does nothing where it is shared."""
        if self._rebind is not None and self._sock is not None:
            self.hand_over()
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        """Ends every connection and frees the port."""
        self.hand_over()
        for connection in list(self._connections):
            connection.close()
        if self._sweep is not None:
            self._sweep.cancel()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _take_port(self) -> None:
        """Binds the port again where it was freed, as soon as the page that is going lets go of it."""
        if self._sock is not None or self._rebind is None or not self._accepting:
            return
        try:
            self._sock = self._rebind()
        except PortError:
            self._loop.call_later(_EXHAUSTED_PAUSE_S, self._take_port)
            return
        self._sock.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        if self._accepting and self._sock is not None and len(self._connections) < MAX_CONNECTIONS:
            self._loop.watch(self._sock, READ, self._on_connection)

    def _on_connection(self) -> None:
        # A few at a time: the loop has other things to do, and what is left makes it come back at once.
        for _ in range(32):
            if self._sock is None or not self._accepting:
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.unwatch(self._sock)
                self._loop.call_later(_EXHAUSTED_PAUSE_S, self._watch)
                return
            self._serve(sock, str(address[0]) if address else "")
            if len(self._connections) >= MAX_CONNECTIONS:
                self._loop.unwatch(self._sock)
                return

    def _serve(self, sock: socket.socket, address: str) -> None:
        if self._addresses[address] >= MAX_OF_ONE_ADDRESS:
            sock.close()
            return
        sock.setblocking(False)
        stream: Stream = sock
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                stream = TlsStream(sock, self._tls)
        except OSError:  # it has gone already
            sock.close()
            return
        if self._is_counted(address):
            self._addresses[address] += 1
        connection = Connection(
            stream,
            self._loop,
            answer=self._answer,
            needs_body=self._needs_body,
            on_close=self._forget,
            may_hold=self.may_hold,
            peer=address,
            is_secure=self._tls is not None,
        )
        if stream.fileno() >= 0:  # it may have ended already
            self._connections.add(connection)
        if self._sweep is None and self._connections:
            self._sweep = self._loop.call_later(_SWEEP_S, self._end_overdue)

    def may_hold(self) -> bool:
        """Whether one answer more may be held back."""
        return sum(each.is_held for each in list(self._connections)) < MAX_HELD

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._addresses[connection.peer] -= 1
        if self._addresses[connection.peer] <= 0:
            del self._addresses[connection.peer]
        self._watch()

    def _end_overdue(self) -> None:
        now = self._loop.clock()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire()
        self._sweep = self._loop.call_later(_SWEEP_S, self._end_overdue) if self._connections else None
