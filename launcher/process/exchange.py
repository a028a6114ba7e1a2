"""One HTTP exchange as values: the request's head from bytes, the response to bytes.

Invariants: only the standard library; a head longer than `MAX_HEAD_BYTES` or with a doubtful body length is refused;
every response closes the connection, so there is no second request to smuggle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from launcher.channel import to_json

#: Browsers send about 1 KB, with large cookies up to 8 KB; nginx allows 4 buffers of 8 KB.
MAX_HEAD_BYTES = 16 * 1024
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class BadRequestError(ValueError):
    """The bytes are no request that we answer; ``status`` says which kind of refusal it is."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """The head of a request, and the body where a route asked for it.

    Attributes:
        path: decoded, without the query.
        headers: names in lower case; the last of several equal names counts, except Host (refused when doubled).
        body_bytes: announced length; ``None`` for a chunked body.
        peer: address of the connection's other end; empty when it has none.
        is_secure: whether the connection speaks TLS.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body_bytes: int | None = 0
    body: bytes = b""
    peer: str = ""
    is_secure: bool = False

    @property
    def wants_page(self) -> bool:
        """Whether a browser navigates here, so that a person will look at the answer."""
        if self.method not in ("GET", "HEAD"):
            return False
        mode = self.headers.get("sec-fetch-mode")
        if mode is not None:
            return mode == "navigate"
        return "text/html" in self.headers.get("accept", "")


def parse_head(head: bytes) -> Request:
    """The request whose head (through the empty line) is ``head``.

    Raises:
        BadRequestError: when it is no HTTP/1 request, or its body's length cannot be trusted.
    """
    lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1.") or not target or " " in target:
        raise BadRequestError(400, "This is no HTTP/1.1 request.")
    if method not in _METHODS:
        raise BadRequestError(501, f"The method {method[:20]!r} is not served here.")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(400, "A header line is malformed.")
        name = name.lower()
        if name in ("host", "content-length", "transfer-encoding") and name in headers:
            raise BadRequestError(400, f"The header {name} stands there twice.")
        headers[name] = value.strip()
    if not target.startswith("/"):  # the absolute form that a proxy's client sends
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, headers, _body_bytes(headers))


def _body_bytes(headers: Mapping[str, str]) -> int | None:
    if "transfer-encoding" in headers:
        if "content-length" in headers:
            raise BadRequestError(400, "The body's length is given twice.")
        return None
    text = headers.get("content-length", "0")
    # Digits only: int() would also take +1, 1_0 and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequestError(400, "The header content-length is no number.")
    return int(text)


@dataclass(frozen=True)
class Response:
    """An answer; `encode` makes its bytes.

    Attributes:
        hold_s: how long it may be held back, because a better one is expected; it is made anew then.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hold_s: float = 0.0

    @classmethod
    def of_json(cls, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
        """A JSON answer."""
        return cls(status, to_json(value), headers=headers or {})

    def encode(self, *, with_body: bool = True) -> bytes:
        """Status line, headers and (unless it answers HEAD) the body."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            **self.headers,
        }
        head = f"HTTP/1.1 {self.status} {phrase}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in fields.items()
        )
        return head.encode("latin-1") + b"\r\n" + (self.body if with_body else b"")
