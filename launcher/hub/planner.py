"""Which bytes of one file are fetched next, by whom: a pure planner without threads, sockets or a clock.

A file is what is done, what is leased (somebody fetches it now) and what is pending. A lease that is recorded step by
step loses only its last step when it breaks.

Invariants: at every moment done, leased and pending ranges are disjoint and together the whole file; a byte is
accepted by at most one lease, so that no two connections ever write the same place.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Range = tuple[int, int]  # first byte, one past the last

#: A rest that ends sooner than this, in seconds, is not worth another connection.
WORTH_SPLITTING_S = 0.5
#: Smaller parts cost more in requests than they gain.
MIN_PART_BYTES = 64 * 1024
#: What a connection gets to show its speed, and what to expect of one that has shown nothing.
_STARTING_S = 1.5
_GUESS_BYTES_PER_S = 1e6
#: Speed is looked at over so many seconds.
_WINDOW_S = 2.0


@dataclass(eq=False)
class Lease:
    """A range that one connection fetches.

    Attributes:
        start: first byte.
        end: one past the last; may come nearer while the lease lives.
        accepted: up to here bytes have been taken from the connection.
        recorded: up to here bytes are safe on disk.
        holder: whoever fetches it.
        begun: when it was made.
    """

    start: int
    end: int
    accepted: int
    recorded: int
    holder: object
    begun: float
    _since: float = 0.0
    _from: int = 0
    _rate: float = 0.0

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self.end - self.accepted

    def rate(self, now: float) -> float:
        """Bytes per second lately; falls while nothing arrives."""
        elapsed = now - self._since
        current = (self.accepted - self._from) / elapsed if elapsed > 0 else 0.0
        if elapsed >= _WINDOW_S or self._rate == 0:
            return current
        return (current * elapsed + self._rate * (_WINDOW_S - elapsed)) / _WINDOW_S

    def note(self, now: float) -> None:
        """Moves the window of `rate` on."""
        if now - self._since >= _WINDOW_S:
            self._rate = (self.accepted - self._from) / (now - self._since)
            self._since, self._from = now, self.accepted


class Planner:
    """The state of one file's transfer.

    Args:
        size: of the file, in bytes.
        done: ranges that are there already.
    """

    def __init__(self, size: int, done: Iterable[Range] = ()) -> None:
        self.size = size
        self._done: list[Range] = merged(done)
        self._pending: list[Range] = list(gaps(self._done, size))
        self._leases: list[Lease] = []

    @property
    def done(self) -> tuple[Range, ...]:
        """What is there, in order, adjacent ranges joined."""
        return tuple(self._done)

    @property
    def done_bytes(self) -> int:
        """How much is there."""
        return sum(end - start for start, end in self._done)

    @property
    def is_complete(self) -> bool:
        """Whether everything is there."""
        return self.done_bytes == self.size

    @property
    def pending_bytes(self) -> int:
        """How much nobody fetches yet."""
        return sum(end - start for start, end in self._pending)

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is being fetched."""
        return tuple(self._leases)

    @property
    def prefix(self) -> int:
        """How many bytes from the beginning on are there without a gap."""
        return self._done[0][1] if self._done and self._done[0][0] == 0 else 0

    def take(self, holder: object, most_bytes: int, now: float) -> Lease | None:
        """The first pending part, at most ``most_bytes`` of it; ``None`` when nothing is pending."""
        if not self._pending:
            return None
        start, end = self._pending[0]
        # A crumb that would be left behind is taken along.
        stop = end if end - start <= most_bytes + MIN_PART_BYTES else start + most_bytes
        if stop == end:
            del self._pending[0]
        else:
            self._pending[0] = (stop, end)
        return self._lease(start, stop, holder, now)

    def take_rest(self, holder: object, now: float) -> Lease | None:
        """The first missing byte and all that follows, for a mirror that serves only whole files.

        The lease spans what is done in between, too: its holder gets those bytes anyway. ``None`` while anybody else
        fetches, or when nothing is missing.
        """
        if not self._pending or self._leases:
            return None
        start = self._pending[0][0]
        self._pending.clear()
        self._done = [span for span in self._done if span[1] <= start]
        return self._lease(start, self.size, holder, now)

    def split(self, holder: object, rate: float, now: float) -> Lease | None:
        """A part of the lease that would take longest, cut so that both end together.

        Args:
            holder: whoever is idle.
            rate: the speed to expect of it, in bytes per second; 0 when it is not known.
            now: seconds on any clock that only goes forward.

        Returns:
            The new lease, or ``None`` when no rest is worth it.
        """
        hope = rate or _GUESS_BYTES_PER_S

        def speed(lease: Lease) -> float:
            # One that has just begun has shown nothing yet.
            return lease.rate(now) if now - lease.begun >= _STARTING_S else max(lease.rate(now), hope)

        candidates = [lease for lease in self._leases if lease.left > 0]
        victim = max(candidates, key=lambda lease: lease.left / max(speed(lease), 1.0), default=None)
        if victim is None or victim.left / max(speed(victim), 1.0) < WORTH_SPLITTING_S:
            return None
        slow, fast = speed(victim), max(hope, speed(victim))
        kept = int(victim.left * slow / (slow + fast))
        if victim.left - kept < MIN_PART_BYTES:
            # A crumb moves only as a whole and only to somebody much faster.
            if slow * 4 > fast:
                return None
            kept = 0
        cut = victim.accepted + kept
        start, end = cut, victim.end
        victim.end = cut
        return self._lease(start, end, holder, now)

    def accept(self, lease: Lease, length: int, now: float) -> int:
        """How many of ``length`` bytes that have arrived belong to the lease; the rest was given to somebody else."""
        taken = min(length, lease.left)
        lease.accepted += taken
        lease.note(now)
        return taken

    def record(self, lease: Lease) -> None:
        """Everything that was accepted for the lease is safe on disk."""
        if lease.accepted > lease.recorded:
            self._done = merged([*self._done, (lease.recorded, lease.accepted)])
            lease.recorded = lease.accepted

    def release(self, lease: Lease) -> None:
        """The lease is over; what it did not record is pending again."""
        self._leases.remove(lease)
        if lease.recorded < lease.end:
            self._add_pending((lease.recorded, lease.end))

    def drop(self, start: int, end: int) -> None:
        """The range is not there after all: its bytes are wrong or damaged. It may hold ranges that are leased."""
        for low, high in self._done:
            cut = (max(low, start), min(high, end))
            if cut[0] < cut[1]:
                self._add_pending(cut)
        self._done = [part for span in self._done for part in _without(span, (start, end))]

    def _lease(self, start: int, end: int, holder: object, now: float) -> Lease:
        lease = Lease(start, end, start, start, holder, now, now, start)
        self._leases.append(lease)
        return lease

    def _add_pending(self, span: Range) -> None:
        insort(self._pending, span)
        self._pending = merged(self._pending)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The ranges in order, those that touch or overlap joined, empty ones left out."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def gaps(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """What the merged ``ranges`` leave out of ``size`` bytes."""
    place = 0
    for start, end in ranges:
        if place < start:
            yield place, start
        place = end
    if place < size:
        yield place, size


def _without(span: Range, cut: Range) -> Iterator[Range]:
    if span[0] < min(span[1], cut[0]):
        yield span[0], min(span[1], cut[0])
    if max(span[0], cut[1]) < span[1]:
        yield max(span[0], cut[1]), span[1]
