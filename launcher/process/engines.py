"""The engines of an instance as one thing: started when their weights are there, taken away and brought back together.

Invariants: each engine keeps its own crash budget and its own process; who does not name one asks for the memory of
all of them; that nobody speaks takes the memory of all or of none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from launcher.process.keeper import Keeper
from launcher.process.snapshot import ALL_ENGINES

#: An idle engine says so twice a second (`webui/engine/worker.py`); a word older than this counts no more.
IDLE_WORD_S = 3.0


class Engines:
    """What is done to several keepers at once.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._keepers: dict[str, Keeper] = {}
        self._clock = clock
        self._waiting: set[str] = set()
        self._idle_since: dict[str, float] = {}

    def __contains__(self, component: object) -> bool:
        return component in self._keepers

    def add(self, keeper: Keeper) -> None:
        """One more, which waits to be started."""
        self._keepers[keeper.component] = keeper
        self._waiting.add(keeper.component)

    def wait(self, names: Collection[str]) -> None:
        """These are started as soon as their weights are there."""
        for name in names:
            if self._keepers[name].child is None:
                self._waiting.add(name)
                self._keepers[name].wait()

    def start(self) -> None:
        """Starts those that wait."""
        for name in self._take_waiting():
            self._keepers[name].start()

    def refuse(self, error: dict[str, str]) -> None:
        """What those that wait need cannot be had."""
        for name in self._take_waiting():
            self._keepers[name].refuse(error)

    def load(self, component: str = ALL_ENGINES) -> None:
        """Brings one of them back, or all."""
        for keeper in self._meant(component):
            keeper.load()

    def unload(self, component: str = ALL_ENGINES) -> None:
        """Takes one of them away until it is wanted, or all."""
        self._idle_since.clear()
        for keeper in self._meant(component):
            keeper.unload()

    def are_idle(self, component: str) -> bool:
        """Notes that one has nothing to do; whether that is now true of every one that runs."""
        now = self._clock()
        self._idle_since[component] = now
        running = [name for name, keeper in self._keepers.items() if keeper.state not in ("unloaded", "failed")]
        return all(now - self._idle_since.get(name, float("-inf")) <= IDLE_WORD_S for name in running)

    def _meant(self, component: str) -> list[Keeper]:
        return list(self._keepers.values()) if component == ALL_ENGINES else [self._keepers[component]]

    def _take_waiting(self) -> list[str]:
        names = [name for name in self._keepers if name in self._waiting]
        self._waiting.clear()
        return names
