"""One request over HTTP and its answer, with nothing but the standard library.

Invariants: every failure is a `LauncherError`; closing an answer drops its connection, which cancels the request.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

from launcher.channel import open_socket
from launcher.errors import EngineError, LauncherError, NotRunningError, SpeechError
from launcher.frames import EVENT, Frame, FrameError, FrameReader

_READ_BYTES = 64 * 1024


class ChannelConnection(http.client.HTTPConnection):
    """HTTP over an address as `launcher.channel` writes it."""

    def __init__(self, address: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._address = address

    def connect(self) -> None:
        """Opens the connection."""
        self.sock = open_socket(self._address, self.timeout)


class Answer:
    """One request and its answer; closing it drops the connection."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str | bytes],
    ) -> None:
        self._connection = connection
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        kind = "application/json" if isinstance(body, Mapping) else "application/octet-stream"
        sent = {**headers, "Connection": "close", **({"Content-Type": kind} if content is not None else {})}
        try:
            connection.request(method, path, content, sent)
            self._response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotRunningError(
                f"Nobody answers at {connection.host}:{connection.port} ({error or type(error).__name__}).",
                fix="See what runs: launcher status",
            ) from None
        except BaseException:
            connection.close()
            raise
        self.status = self._response.status

    def read1(self, size: int) -> bytes:
        """The next bytes of the body, empty at its end.

        Raises:
            EngineError: when the connection broke.
        """
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException):
            raise broken_off() from None

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            value = json.loads(self._response.read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        return value if isinstance(value, dict) else {}

    def error(self) -> LauncherError:
        """The error that the answer carries."""
        data = self.json().get("error")
        return error_from(data if isinstance(data, dict) else {}, self.status)

    def close(self) -> None:
        """Drops the connection."""
        self._response.close()
        self._connection.close()


def frames_of(answer: Answer) -> Iterator[Frame]:
    """The answer's frames up to ``end``.

    Raises:
        LauncherError: the answer's ``error`` event, or that it broke off.
    """
    reader = FrameReader()
    while data := answer.read1(_READ_BYTES):
        try:
            frames = reader.feed(data)
        except FrameError:
            raise broken_off() from None
        for frame in frames:
            event = frame.event if frame.kind == EVENT else {}
            if event.get("event") == "error":
                raise error_from(event, int(event.get("http_status") or 500))
            yield frame
            if event.get("event") == "end":
                return
    raise broken_off()


def broken_off() -> EngineError:
    """What to say when the stream ended before its end."""
    return EngineError("The engine ended in the middle of the speech.", fix="Say it again; launcher logs says why.")


def error_from(data: Mapping[str, Any], status: int) -> LauncherError:
    """The exception for an error object and the status that came with it."""
    message = str(data.get("message") or f"The server answered {status}.")
    fix = str(data.get("fix") or "")
    if status >= 500:
        return EngineError(message, fix=fix)
    return SpeechError(message, fix=fix, param=str(data.get("param") or ""), http_status=status)
