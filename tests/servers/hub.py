"""A Hub to test against: the protocol of huggingface.co and ModelScope with real sockets, and faults at a switch.

Routes: model and revision, the tree in pages, HEAD and GET of ``resolve`` (a small file by a 307 to this host, a large
one by a 302 to the origin, which may be another host), ModelScope's listing and bytes. Also a command, see ``--help``.
Invariants: every request is kept, also one that gets no answer; `close` leaves no thread and no socket.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from tests.servers.answers import Answers
from tests.servers.faults import NO_FAULTS, SCOPES, FaultBox, Faults
from tests.servers.repos import Content, GeneratedFile, Repo, RepoFile
from tests.servers.wire import Connection, Gone, Request

__all__ = ["SCOPES", "Content", "Faults", "GeneratedFile", "HubServer", "Repo", "RepoFile", "Request"]


class HubServer:
    """A hub on a loopback address; a context manager.

    Args:
        repos: ``org/name`` to repository; ModelScope's routes serve the same names.
        host: address to listen on, such as ``127.0.0.2``.
        port: 0 takes a free one.
        faults: one set of switches or several, of which the first that fits a request counts.
        throttle_bytes_per_s: speed of each connection; ``None`` for as fast as it goes.
        token: what a visitor must send as ``Authorization: Bearer``; empty for open to all.
        origin_host: address of the origin of large files, which has a port of its own; empty for ``host``.

    Attributes:
        url, origin_url: ``http://host:port`` of the hub and of the origin; a library that follows redirects within
            one host takes them for two.
        requests: every request so far.
    """

    def __init__(
        self,
        repos: Mapping[str, Repo],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | Sequence[Faults] = NO_FAULTS,
        throttle_bytes_per_s: float | None = None,
        token: str = "",
        origin_host: str = "",
    ) -> None:
        self.requests: list[Request] = []
        self._throttle = throttle_bytes_per_s
        self._faults = FaultBox([faults] if isinstance(faults, Faults) else faults)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        self._listeners = [_listen(host, port), _listen(origin_host or host, 0)]
        self.url, self.origin_url = map(_address, self._listeners)
        self._answers = Answers(repos, self._faults, origin_url=self.origin_url, token=token)
        for listener in self._listeners:
            self._spawn(self._accept, listener)

    def set_faults(self, *faults: Faults) -> None:
        """Other switches from now on; none at all makes the hub healthy."""
        self._faults.replace(faults)

    def set_throttle(self, bytes_per_s: float | None) -> None:
        """Another speed of each connection from now on, in the middle of an answer, too."""
        self._throttle = bytes_per_s

    def set_repos(self, repos: Mapping[str, Repo]) -> None:
        """Other repositories from now on, as after a commit."""
        self._answers.repos = dict(repos)

    def count(self, method: str | None = None, path_contains: str = "") -> int:
        """How many requests there were, of all methods or one, with this text in their path."""
        return len([one for one in self.seen() if method in (None, one.method) and path_contains in one.path])

    def seen(self) -> list[Request]:
        """Every request so far, a copy."""
        with self._lock:
            return list(self.requests)

    def bytes_sent(self) -> int:
        """Bytes of all answers' bodies so far."""
        return sum(request.bytes_sent for request in self.seen())

    def forget(self) -> None:
        """Counts from nothing again."""
        with self._lock:
            self.requests.clear()

    def close(self) -> None:
        """Stops: what is under way breaks off, later visitors are refused."""
        self._stopping.set()
        for listener in self._listeners:
            # Shutting down wakes accept() on Linux; macOS refuses it, and closing wakes it there.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            connection.close()
        for thread in threads:
            thread.join(10)

    def __enter__(self) -> HubServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self, work: object, argument: object) -> None:
        thread = threading.Thread(target=work, args=(argument,), daemon=True)  # type: ignore[arg-type]
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive() or one.ident is None]
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = Connection(sock, self._stopping, lambda: self._throttle)
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        try:
            while (request := connection.read_request()) is not None:
                with self._lock:
                    self.requests.append(request)
                self._answers.answer(connection, request)
                if request.headers.get("connection", "").lower() == "close":
                    break
        except Gone:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=256)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


if __name__ == "__main__":
    from tests.servers.command import main

    raise SystemExit(main())
