"""The headers of every answer, and those of a request that are not believed.

Invariants: an answer may set a header of its own instead; nothing may come from, or go to, another host.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

#: Gradio writes the page's configuration into inline scripts, so those are allowed; text that becomes a program is not:
#: `gr.HTML` and events with a script of their own would need that, and the page has neither. blob: is for audio. No
#: other site may put the page into a frame.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
#: Not Strict-Transport-Security: it would bind every other port of the same name to HTTPS, too.
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with it browsers send the login form with the origin "null", as a foreign page's would be.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
}
#: What a proxy says about the client. Gradio would believe all of it, so nobody behind the guard sees it.
_FORWARDED = (b"forwarded", b"x-real-ip")
_FORWARDED_PREFIX = b"x-forwarded-"

RawHeaders = Iterable[tuple[bytes, bytes]]


def joined(headers: RawHeaders) -> dict[str, str]:
    """Names and values as text; a repeated header's values are joined by commas.

    A repeated Host or Origin is an attempt to be two things; joined, it matches nothing.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def without_forwarded(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The headers without what a proxy said."""
    return [pair for pair in headers if pair[0] not in _FORWARDED and not pair[0].startswith(_FORWARDED_PREFIX)]


def secured(send: Send) -> Send:
    """``send`` with the security headers on every answer."""

    async def secured_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return secured_send
