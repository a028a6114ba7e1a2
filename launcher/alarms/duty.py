"""The watch over a running instance: looks now and then, shows what is on, and tells people once.

Invariants: the supervisor's loop never waits for a disk or a network: looking happens in a thread, telling in a
process of its own; one alarm is told once, and again only when it was off in between and some hours have passed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.alarms.names import Alarm

#: Soon after the start, then often enough for people; what is watched changes over minutes.
FIRST_S, INTERVAL_S = 5.0, 60.0
#: A disk that hovers around its limit is told of a few times a day.
TELL_AGAIN_S = 6 * 3600.0


@dataclass(frozen=True)
class Instance:
    """What of the supervisor is needed.

    Attributes:
        later: calls something in the loop after some seconds.
        from_thread: calls something in the loop, from any thread.
        snapshot: the present state; called in the loop.
        show: takes the alarms that are on, in place of those before; called in the loop.
    """

    later: Callable[[float, Callable[[], None]], object]
    from_thread: Callable[[Callable[[], None]], None]
    snapshot: Callable[[], dict[str, Any]]
    show: Callable[[Sequence[dict[str, str]]], None]


class Duty:
    """Watches one instance.

    Args:
        instance: the supervisor's side.
        look: judges a snapshot; may take its time.
        tell: tells people of new alarms; must return at once.
        first_s, interval_s: seconds until the first look, and between two.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        instance: Instance,
        look: Callable[[dict[str, Any]], list[Alarm]],
        tell: Callable[[Sequence[Alarm]], None],
        *,
        first_s: float = FIRST_S,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance = instance
        self._look = look
        self._tell = tell
        self._interval_s = interval_s
        self._clock = clock
        self._looking: threading.Thread | None = None
        self._on: tuple[Alarm, ...] = ()
        self._told: dict[str, float] = {}
        instance.later(first_s, self._turn)

    def _turn(self) -> None:
        self._instance.later(self._interval_s, self._turn)
        if self._looking is not None and self._looking.is_alive():
            return  # a disk that does not answer: one thread waits for it, not one a minute
        snapshot = self._instance.snapshot()
        self._looking = threading.Thread(target=self._work, args=(snapshot,), name="alarms", daemon=True)
        with contextlib.suppress(RuntimeError):  # the system has no thread to give: the next turn asks again
            self._looking.start()

    def _work(self, snapshot: dict[str, Any]) -> None:
        alarms = tuple(self._look(snapshot))
        self._instance.from_thread(lambda: self._found(alarms))

    def _found(self, alarms: tuple[Alarm, ...]) -> None:
        if alarms != self._on:
            self._instance.show([one.to_json() for one in alarms])
        before = {one.code for one in self._on}
        self._on = alarms
        now = self._clock()
        # Figures in the sentence change; the code says whether it is news.
        new = [
            one
            for one in alarms
            if one.code not in before and now - self._told.get(one.code, -TELL_AGAIN_S) >= TELL_AGAIN_S
        ]
        if new:
            self._told.update({one.code: now for one in new})
            self._tell(new)
