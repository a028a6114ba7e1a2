"""How a test hub misbehaves: one switch for each way in which real mirrors do.

A request falls into one of three scopes: ``api`` (model, listing), ``head`` (locating a file: HEAD, or a GET that is
answered by a redirect) and ``body`` (an answer that carries a file's bytes). Invariant: without a switch nothing
changes; a switch counts only the requests that it changes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

SCOPES = ("api", "head", "body")
_ALL = frozenset(SCOPES)


@dataclass(frozen=True)
class Faults:
    """A set of switches, for all files or one, for always or some requests.

    Attributes:
        path: only requests for this file; empty for all, the listing included.
        first_requests: only so many of the requests that the switches change; ``None`` for always.
        skip_requests: so many of them pass unharmed before.
        every: only each so-manieth of them.
        stall: scopes whose requests get no answer; the body stops after ``stall_after_bytes``.
        unavailable: scopes answered 503.
        too_many: scopes answered 429, with ``Retry-After: retry_after_s`` (none when it is ``None``).
        redirect_to: 308 to the same path at this address, for the scopes ``redirected``.
        not_found: 404 for the file, which the listing still names.
        expire_after_requests: an origin's location is good for so many requests and is answered 403 afterwards.
        drip_bytes_per_s: the body trickles, in tiny writes.
        reset_after_bytes, cut_after_bytes: the connection is reset, or closed, after so many bytes of a body.
        no_range: ranges are ignored; the answer is 200 with the whole file.
        wrong_range: a range is answered with the bytes of another place.
        wrong_bytes: every byte of a body is another.
        flip_byte_at: the byte at this offset of the file is another.
        short_by_bytes: the body ends so many bytes early and its Content-Length says so.
        missing_headers: some of ``commit``, ``etag``, ``size``.
        wrong_etag: headers name another digest than the listing.
        wrong_digest: the listing and the headers name another digest than the content's.
        stale: ``main`` is the commit before, and the newest one is not known.
        page_size: entries of one page of the listing.
        xet_cas_url: files are offered over Xet from this address.
    """

    path: str = ""
    first_requests: int | None = None
    skip_requests: int = 0
    every: int = 1
    stall: Sequence[str] = ()
    stall_after_bytes: int = 0
    unavailable: Sequence[str] = ()
    too_many: Sequence[str] = ()
    retry_after_s: float | None = 1
    redirect_to: str = ""
    redirected: Sequence[str] = SCOPES
    not_found: bool = False
    expire_after_requests: int | None = None
    drip_bytes_per_s: float | None = None
    reset_after_bytes: int | None = None
    cut_after_bytes: int | None = None
    no_range: bool = False
    wrong_range: bool = False
    wrong_bytes: bool = False
    flip_byte_at: int | None = None
    short_by_bytes: int = 0
    missing_headers: Sequence[str] = ()
    wrong_etag: bool = False
    wrong_digest: bool = False
    stale: bool = False
    page_size: int | None = None
    xet_cas_url: str = ""

    def scopes(self) -> frozenset[str]:
        """The scopes that the switches change."""
        found = {*self.stall, *self.unavailable, *self.too_many, *(self.redirected if self.redirect_to else ())}
        if self.stale or self.wrong_digest or self.missing_headers or self.wrong_etag or self.xet_cas_url:
            return _ALL
        if self.page_size is not None:
            found.add("api")
        if self.not_found:
            found |= {"head", "body"}
        in_body = (self.drip_bytes_per_s, self.reset_after_bytes, self.cut_after_bytes, self.flip_byte_at)
        if (
            any(value is not None for value in (*in_body, self.expire_after_requests))
            or self.no_range
            or self.wrong_range
            or self.wrong_bytes
            or self.short_by_bytes
        ):
            found.add("body")
        unknown = found - _ALL
        if unknown:
            raise ValueError(f"unknown scopes {sorted(unknown)}; there are {SCOPES}")
        return frozenset(found)


NO_FAULTS = Faults()


class FaultBox:
    """The switches of a running server, which may change at any time.

    Args:
        faults: applied in this order; the first that fits a request is its set.
    """

    def __init__(self, faults: Sequence[Faults]) -> None:
        self._lock = threading.Lock()
        self.replace(faults)

    def replace(self, faults: Sequence[Faults]) -> None:
        """New switches, counted from nothing."""
        entries = [(one, one.scopes(), [0]) for one in faults]
        with self._lock:
            self._entries = entries

    def pick(self, scope: str, path: str) -> Faults:
        """The switches for one request; counts it.

        Args:
            scope: one of `SCOPES`.
            path: the file's; empty for the listing.
        """
        with self._lock:
            for faults, scopes, count in self._entries:
                if scope not in scopes or (faults.path and faults.path != path):
                    continue
                number = count[0]
                count[0] += 1
                since = number - faults.skip_requests
                last = faults.first_requests
                if since >= 0 and (last is None or since < last) and since % faults.every == 0:
                    return faults
        return NO_FAULTS
