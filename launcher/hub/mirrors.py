"""How each mirror does during a transfer: its speed, its pauses, and why it is out.

Invariants: whoever changes a mirror holds the transfer's lock; a mirror that is out never comes back within a
transfer; several connections that fail at the same moment count as one strike.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.hub.client import MirrorFault
from launcher.hub.endpoints import Endpoint

#: Less than this is no progress: a mirror that cuts every answer after a few bytes must not live on that.
PROGRESS_BYTES = 64 * 1024
_RATE_WEIGHT = 0.3


@dataclass(frozen=True)
class Patience:
    """How much a transfer puts up with.

    Attributes:
        strikes: failures in a row, without progress between them, after which a mirror is out.
        first_pause_s: after the first strike; doubled after each further one.
        longest_pause_s: of those pauses.
        give_up_s: a transfer that all mirrors together serve more slowly than ``least_bytes_per_s`` for so long fails;
            also the longest pause that a mirror may ask for when there is no other.
        least_bytes_per_s: at less than this a model takes days: an error serves its user better.
        slow_after_s: a connection gets so long before its speed is judged.
        slow_share: below this share of the best mirror's speed a connection is given up.
    """

    strikes: int = 8
    first_pause_s: float = 0.25
    longest_pause_s: float = 5.0
    give_up_s: float = 60.0
    least_bytes_per_s: float = 20_000.0
    slow_after_s: float = 5.0
    slow_share: float = 0.05


@dataclass(eq=False)
class Mirror:
    """One endpoint during a transfer.

    Attributes:
        endpoint: what it is.
        limit: connections that it gets now; fewer after it said that it is busy.
        active: connections that are fetching.
        strikes: failures in a row.
        resting_until: no request before that time.
        out: why it serves nothing any more; empty while it does.
        is_rangeless: it serves whole files only.
        rate: bytes per second of one connection; 0 while it is not known.
        received_bytes: in all, useful or not.
        last_trouble: what went wrong last; empty when nothing has.
    """

    endpoint: Endpoint
    limit: int = 0
    active: int = 0
    strikes: int = 0
    resting_until: float = 0.0
    out: str = ""
    is_rangeless: bool = False
    rate: float = 0.0
    received_bytes: int = 0
    last_trouble: str = ""
    _struck_at: float = field(default=-1.0, repr=False)

    def __post_init__(self) -> None:
        self.limit = self.limit or self.endpoint.connections

    @property
    def url(self) -> str:
        """Its address."""
        return self.endpoint.url

    @property
    def silence(self) -> str:
        """What to say of one that has had no trouble and is not enough, as a clause."""
        return "is far too slow" if self.received_bytes else "sent nothing"

    def is_ready(self, now: float) -> bool:
        """Whether it may get a request."""
        return not self.out and now >= self.resting_until and self.active < self.limit

    def praise(self, bytes_per_s: float) -> None:
        """A lease of it went well at this speed."""
        self.strikes = 0
        self.limit = min(self.limit + 1, self.endpoint.connections)
        self.rate = bytes_per_s if not self.rate else self.rate + _RATE_WEIGHT * (bytes_per_s - self.rate)

    def strike(self, fault: MirrorFault, started: float, now: float, patience: Patience) -> None:
        """A request that began at ``started`` failed now in a way that may pass."""
        self.last_trouble = fault.message
        if fault.retry_after_s is not None:
            self.resting_until = max(self.resting_until, now + fault.retry_after_s)
        if started <= self._struck_at:
            return  # it began before the last strike: the same trouble
        self._struck_at = now
        self.strikes += 1
        if fault.kind == "busy":
            self.limit = max(1, self.limit // 2)
        if self.strikes >= patience.strikes:
            self.out = f"{fault.message}, {self.strikes} times in a row"
            return
        pause = min(patience.longest_pause_s, patience.first_pause_s * 2 ** (self.strikes - 1))
        # Jitter keeps many clients from coming back in the same moment.
        self.resting_until = max(self.resting_until, now + pause * random.uniform(0.5, 1.5))


def reasons_text(reasons: Mapping[str, str]) -> str:
    """Addresses with what is wrong with each, as one clause."""
    return "; ".join(f"{url} {reason}" for url, reason in reasons.items())
