"""The engines as the page uses them: one request each, the next free one takes the next request.

Invariants: who asked first gets an engine first; an engine that did not answer is given to nobody until it says that
it is ready; used in one event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from launcher.errors import EngineError
from webui.engine.base import EngineInfo, SpeechRequest
from webui.engine.client import EngineAwayError, EngineClient

Result = TypeVar("Result")


class Claim:
    """One request's hold on an engine, or its place in the row of those who wait for one."""

    def __init__(self) -> None:
        self.engine: EngineClient | None = None
        self._granted = asyncio.Event()

    async def granted(self) -> None:
        """Waits for the engine."""
        await self._granted.wait()

    def grant(self, engine: EngineClient) -> None:
        """Hands over the engine."""
        self.engine = engine
        self._granted.set()


class EnginePool:
    """Hands out engines.

    Args:
        engines: at least one.
    """

    def __init__(self, engines: Sequence[EngineClient]) -> None:
        self._engines = tuple(engines)
        self._free = list(engines)
        self._away: set[EngineClient] = set()
        self._waiting: deque[Claim] = deque()

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._engines)

    @property
    def all_away(self) -> bool:
        """Whether none of them answered when it was last asked."""
        return len(self._away) == len(self._engines)

    def claim(self) -> Claim:
        """A claim, granted at once when an engine is free and nobody waits."""
        claim = Claim()
        self._waiting.append(claim)
        self._grant()
        return claim

    def release(self, claim: Claim, *, away: bool = False) -> None:
        """Gives a claim back, granted or not.

        Args:
            claim: from `claim`; harmless a second time.
            away: whether the engine did not answer.
        """
        if claim in self._waiting:
            self._waiting.remove(claim)
        engine, claim.engine = claim.engine, None
        if engine is not None:
            self._free.append(engine)
            if away:
                self._away.add(engine)
        self._grant()

    async def look(self) -> None:
        """Asks the engines that were away whether they are back; those that are, are handed out."""
        await asyncio.gather(*(self._look_at(engine) for engine in self._free if engine in self._away))

    async def info(self) -> EngineInfo:
        """What the engines are and can do, from the first that says so; they are all alike.

        Raises:
            EngineError: when none does.
        """
        return await self._any(EngineClient.info)

    async def segments(self, request: SpeechRequest) -> list[dict[str, Any]]:
        """How the text will be cut: see `EngineClient.segments`."""
        return await self._any(lambda engine: engine.segments(request))

    async def readings(self, request: SpeechRequest) -> list[dict[str, Any]]:
        """How the text will be read: see `EngineClient.readings`."""
        return await self._any(lambda engine: engine.readings(request))

    async def _any(self, ask: Callable[[EngineClient], Awaitable[Result]]) -> Result:
        """The first answer; those that are free are asked first, those that were away last."""
        *others, last = sorted(self._engines, key=lambda engine: (engine in self._away, engine not in self._free))
        for engine in others:
            with contextlib.suppress(EngineAwayError):
                return await ask(engine)
        return await ask(last)

    async def _look_at(self, engine: EngineClient) -> None:
        with contextlib.suppress(EngineError):
            # One that has unloaded itself loads with the request.
            if (await engine.health())["state"] in ("ready", "unloaded"):
                self._away.discard(engine)
                self._grant()

    def _grant(self) -> None:
        for engine in [engine for engine in self._free if engine not in self._away]:
            if not self._waiting:
                return
            self._free.remove(engine)
            self._waiting.popleft().grant(engine)
