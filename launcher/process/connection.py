"""One accepted connection: read a head within bounds, answer once, drain what the client still sends, close.

Invariants: nothing blocks; every phase has a deadline and a size bound; an answer to a request with a body is not
lost, because closing with unread bytes would make the kernel send a reset that overtakes the answer.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace

from launcher.process.exchange import MAX_HEAD_BYTES, BadRequestError, Request, Response, parse_head
from launcher.process.loop import READ, WRITE, Loop
from launcher.process.tls import Stream

#: A browser sends its head in one packet; 5 s forgive a bad line and stop a slow-header attack.
HEAD_TIMEOUT_S = 5.0
#: For sending the answer and reading the rest of the request's body.
ANSWER_TIMEOUT_S = 15.0
#: After the answer and the body, for the client's own close.
LINGER_TIMEOUT_S = 2.0
#: As much of an unwanted body as is read so that its sender gets to see the answer (the page's own default bound).
MAX_DRAINED_BYTES = 32 * 1024 * 1024
#: Bodies are read for the login form only; a token is short.
MAX_BODY_BYTES = 4096
_READ_BYTES = 64 * 1024

Answer = Callable[[Request], Response]


class Connection:
    """One connection's life.

    Args:
        sock: accepted, non-blocking.
        loop: where it waits.
        answer: makes the response; called again when the first one was held back.
        needs_body: whether ``answer`` wants the request's body.
        on_close: called once when it has ended.
        may_hold: whether an answer that may be held back is, see `Response.hold_s`.
        peer: address of the other end.
        is_secure: whether ``sock`` speaks TLS.
    """

    def __init__(
        self,
        sock: Stream,
        loop: Loop,
        *,
        answer: Answer,
        needs_body: Callable[[Request], bool],
        on_close: Callable[[Connection], None],
        may_hold: Callable[[], bool] = lambda: False,
        peer: str = "",
        is_secure: bool = False,
    ) -> None:
        self.peer = peer
        self._is_secure = is_secure
        self._sock = sock
        self._loop = loop
        self._answer = answer
        self._needs_body = needs_body
        self._on_close = on_close
        self._may_hold = may_hold
        #: What is asked while its answer is held back.
        self._held: Request | None = None
        self._taken_bytes = 0
        self._received = bytearray()
        self._request: Request | None = None
        self._outgoing = memoryview(b"")
        self._answered = False
        self._undrained_bytes = 0
        self._finished_writing = False
        self.deadline = loop.clock() + HEAD_TIMEOUT_S
        loop.watch(sock, READ, self._on_readable)
        self._on_readable()  # the request is usually there already

    def close(self) -> None:
        """Ends the connection; harmless when it has ended."""
        if self._sock.fileno() < 0:
            return
        self._loop.unwatch(self._sock)
        self._sock.close()
        self._on_close(self)

    @property
    def is_held(self) -> bool:
        """Whether its answer is held back."""
        return self._held is not None

    def release(self) -> None:
        """Answers now, where the answer was held back."""
        request, self._held = self._held, None
        if request is not None:
            self._send(self._answer(request))

    def expire(self) -> None:
        """Its deadline has passed: says so when nothing was said yet, then ends."""
        if self.is_held:
            self.release()
            return
        if not self._answered:
            late = Response.of_json(408, {"error": {"message": "The request did not arrive in time."}})
            with contextlib.suppress(OSError):
                self._sock.send(late.encode())
        self.close()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if not data and self._outgoing:  # it has said all and still listens
            self._loop.watch(self._sock, WRITE, self._on_writable)
        elif not data:
            self.close()
        elif self.is_held:
            self._taken_bytes += len(data)
            if self._taken_bytes > MAX_DRAINED_BYTES:
                self.release()
        elif self._answered:
            self._drain(len(data))
        else:
            self._received += data
            self._advance()

    def _advance(self) -> None:
        """Answers as soon as what has come in suffices."""
        try:
            if self._request is None:
                end = self._received.find(b"\r\n\r\n")
                if end < 0:
                    if len(self._received) > MAX_HEAD_BYTES:
                        raise BadRequestError(431, "The request's header is too large.")
                    return
                if end > MAX_HEAD_BYTES:
                    raise BadRequestError(431, "The request's header is too large.")
                head = parse_head(bytes(self._received[: end + 4]))
                self._request = replace(head, peer=self.peer, is_secure=self._is_secure)
                del self._received[: end + 4]
            request = self._request
            if self._needs_body(request):
                if request.body_bytes is None or request.body_bytes > MAX_BODY_BYTES:
                    raise BadRequestError(413, "The form is too large.")
                if len(self._received) < request.body_bytes:
                    return
                request = replace(request, body=bytes(self._received[: request.body_bytes]))
            response = self._answer(request)
            if response.hold_s > 0 and self._may_hold():
                self._hold(request, response.hold_s)
                return
        except BadRequestError as error:
            response = Response.of_json(error.status, {"error": {"message": str(error)}})
        self._send(response)

    def _hold(self, request: Request, hold_s: float) -> None:
        self._held = request
        self._taken_bytes = len(self._received)
        self._received.clear()
        self.deadline = self._loop.clock() + hold_s

    def _send(self, response: Response) -> None:
        self._answered = True
        self.deadline = self._loop.clock() + ANSWER_TIMEOUT_S
        request = self._request
        # A chunked or refused body has no trusted length: drain until the client stops, within the bounds.
        announced = MAX_DRAINED_BYTES if request is None or request.body_bytes is None else request.body_bytes
        self._undrained_bytes = min(announced, MAX_DRAINED_BYTES) - self._taken_bytes - len(self._received)
        self._received.clear()
        self._outgoing = memoryview(response.encode(with_body=request is None or request.method != "HEAD"))
        self._on_writable()

    def _on_writable(self) -> None:
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self._sock.send(self._outgoing) :]
        except (BlockingIOError, InterruptedError):
            # The body keeps being read meanwhile: a client that sends first and reads later must not deadlock.
            self._loop.watch(self._sock, READ | WRITE, self._on_either)
            return
        except OSError:
            self.close()
            return
        self._finish_writing()

    def _on_either(self) -> None:
        self._on_writable()
        if self._sock.fileno() >= 0:
            self._on_readable()

    def _finish_writing(self) -> None:
        if self._finished_writing:
            return
        self._finished_writing = True
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._loop.watch(self._sock, READ, self._on_readable)
        self._drain(0)

    def _drain(self, count: int) -> None:
        """Counts discarded bytes; past the announced length only the client's close is waited for."""
        self._undrained_bytes -= count
        if self._undrained_bytes > 0:
            return
        if self._undrained_bytes < -MAX_HEAD_BYTES:  # keeps sending what it never announced
            self.close()
        elif self._finished_writing:
            self.deadline = min(self.deadline, self._loop.clock() + LINGER_TIMEOUT_S)
