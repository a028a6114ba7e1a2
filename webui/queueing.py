"""A fair, bounded queue in front of things that serve one at a time.

Invariants: at most as many tickets are admitted as there are places; the clients take turns, so one that asks for a
hundred things delays another by one thing; a ticket that is left, admitted or not, makes room at once; one in the
background is asked to leave when somebody else has to wait, but not for ever. Used in one event loop only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from launcher.errors import SpeechError

#: How many tickets of the background in a row are asked to leave; then one may stay to its end, so that work in the
#: background goes on, slowly, also where somebody always comes.
MAX_ASKED = 3
#: How long a request takes before any was measured, in seconds; how much each one counts in the mean after that.
FIRST_GUESS_S, NEWEST_SHARE = 2.0, 0.2
#: Longest time after which a refused client is told to come back: OpenAI's client believes no longer one.
MAX_RETRY_AFTER_S = 60


class AskedToLeaveError(SpeechError):
    """Somebody in the background made room for somebody who waits."""

    def __init__(self) -> None:
        super().__init__("Somebody else came first.", fix="Try again.", code="asked_to_leave", http_status=503)


class QueueFullError(SpeechError):
    """As many requests wait as may wait.

    Args:
        size: of the queue.
        retry_after_s: when those who wait now should have been admitted.
    """

    def __init__(self, size: int, retry_after_s: int = round(FIRST_GUESS_S)) -> None:
        super().__init__(
            f"{size} requests are waiting already.",
            fix=f"Try again in {retry_after_s} s, or raise LAUNCHER_QUEUE_SIZE.",
            code="queue_full",
            http_status=429,
        )
        self.retry_after_s = retry_after_s


class Ticket:
    """One client's place in the queue."""

    def __init__(self, client: str, *, in_background: bool = False) -> None:
        self.client = client
        self.in_background = in_background
        self.admitted = False
        self.admitted_at = 0.0
        #: Set once the ticket, admitted in the background, should make room.
        self.asked_to_leave = asyncio.Event()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Waits until the position may have changed."""
        await self._changed.wait()
        self._changed.clear()

    def notify(self) -> None:
        """Wakes `changed`."""
        self._changed.set()


class FairQueue:
    """Admits a ticket for each place, the clients in turn.

    Args:
        size: tickets that may wait.
        places: tickets that may be served at the same time.
        clock: monotonic seconds.
    """

    def __init__(self, size: int, places: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mean_s: float | None = None
        self._size = size
        self._places = places
        self._admitted: set[Ticket] = set()
        self._waiting: dict[str, deque[Ticket]] = {}
        self._background: deque[Ticket] = deque()
        self._asked = 0

    @property
    def places(self) -> int:
        """Tickets that may be served at the same time."""
        return self._places

    @property
    def length(self) -> int:
        """Tickets that wait, but for those in the background."""
        return sum(len(tickets) for tickets in self._waiting.values())

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until everybody who waits now should have been admitted, 1 to `MAX_RETRY_AFTER_S`.

        From how long the last requests held their places; one that holds its place for longer counts as it is.
        """
        now = self._clock()
        held_s = [now - ticket.admitted_at for ticket in self._admitted if not ticket.in_background]
        each_s = max([FIRST_GUESS_S if self._mean_s is None else self._mean_s, *held_s])
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(each_s * self.length / self._places)))

    def join(self, client: str, *, in_background: bool = False) -> Ticket:
        """A new ticket for ``client``, admitted at once when a place is free.

        Args:
            client: takes turns with the others.
            in_background: whether everybody else comes first; such a ticket takes nobody's room.

        Raises:
            QueueFullError: when as many wait as may.
        """
        ticket = Ticket(client, in_background=in_background)
        if in_background:
            self._background.append(ticket)
            self._advance()
            return ticket
        if len(self._admitted) >= self._places and self.length >= self._size:
            raise QueueFullError(self._size, self.retry_after_s)
        self._waiting.setdefault(client, deque()).append(ticket)
        self._advance()
        self._ask_to_leave()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Gives a place up, admitted or waiting; the next one is admitted."""
        if ticket in self._admitted:
            self._admitted.remove(ticket)
            self._measure(ticket)
            if ticket.in_background and not ticket.asked_to_leave.is_set():
                self._asked = 0
        elif ticket in self._background:
            self._background.remove(ticket)
        elif ticket in self._waiting.get(ticket.client, ()):
            self._waiting[ticket.client].remove(ticket)
            if not self._waiting[ticket.client]:
                del self._waiting[ticket.client]
        self._advance()

    def position(self, ticket: Ticket) -> int:
        """How many must leave before ``ticket`` is served; 0 when it is."""
        if ticket.admitted:
            return 0
        return 1 + self._turns().index(ticket)

    def _measure(self, ticket: Ticket) -> None:
        """Counts how long a place was held; one in the background is no guest whom others wait for."""
        if ticket.in_background:
            return
        held_s = self._clock() - ticket.admitted_at
        self._mean_s = held_s if self._mean_s is None else self._mean_s + NEWEST_SHARE * (held_s - self._mean_s)

    def _ask_to_leave(self) -> None:
        """Asks as many of the background as somebody waits for, until `MAX_ASKED` of them have left."""
        background = [one for one in self._admitted if one.in_background]
        leaving = sum(one.asked_to_leave.is_set() for one in background)
        for ticket in background:
            if leaving >= self.length or self._asked >= MAX_ASKED:
                return
            if not ticket.asked_to_leave.is_set():
                ticket.asked_to_leave.set()
                leaving += 1
                self._asked += 1

    def _turns(self) -> list[Ticket]:
        """The waiting tickets in the order in which they will be admitted."""
        rows = [list(tickets) for tickets in self._waiting.values()]
        longest = max(map(len, rows), default=0)
        return [*(row[turn] for turn in range(longest) for row in rows if turn < len(row)), *self._background]

    def _admit(self, ticket: Ticket) -> None:
        self._admitted.add(ticket)
        ticket.admitted, ticket.admitted_at = True, self._clock()
        ticket.notify()

    def _advance(self) -> None:
        while len(self._admitted) < self._places and self._waiting:
            client, tickets = next(iter(self._waiting.items()))
            self._admit(tickets.popleft())
            # The client goes to the end of the round, or out of it.
            del self._waiting[client]
            if tickets:
                self._waiting[client] = tickets
        while len(self._admitted) < self._places and self._background and not self._waiting:
            self._admit(self._background.popleft())
        for ticket in self._turns():
            ticket.notify()
