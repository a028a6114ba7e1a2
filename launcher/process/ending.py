"""In which order an instance ends: first the page, which lets its requests finish, then the engines that speak them.

Invariants: the whole end takes no longer than its grace and a moment; a page that does not serve is not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.process.keeper import Keeper
from launcher.process.loop import Loop
from launcher.process.snapshot import ENGINE, PAGE, kind_of

#: What an engine gets at least: it cancels what it is at and goes.
LEAST_GRACE_S = 1.0


class Ending:
    """The end of one run.

    Args:
        loop: whose clock counts.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waited_for: Keeper | None = None
        self._waiting: list[Keeper] = []
        self._deadline = 0.0

    def begin(self, keepers: Mapping[str, Keeper], grace_s: float) -> None:
        """Ends everything but the engines, and those too when no page needs them."""
        self._deadline = self._loop.clock() + grace_s
        page = keepers.get(PAGE)
        if page is not None and page.child is not None and page.state == "ready":
            self._waited_for = page
            self._waiting = [keeper for name, keeper in keepers.items() if kind_of(name) == ENGINE]
        for keeper in keepers.values():
            if keeper not in self._waiting:
                keeper.stop(grace_s)

    def go_on(self) -> None:
        """Ends the engines once the page has ended; harmless at any other time."""
        if self._waited_for is not None and self._waited_for.child is None:
            self._end_waiting(max(LEAST_GRACE_S, self._deadline - self._loop.clock()))

    def cut_short(self) -> None:
        """Ends the engines although the page has not ended."""
        self._end_waiting(0.0)

    def _end_waiting(self, grace_s: float) -> None:
        waiting, self._waiting = self._waiting, []
        for keeper in waiting:
            keeper.stop(grace_s)
