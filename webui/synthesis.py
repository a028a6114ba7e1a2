"""Speech for everybody who asks for it: a fair queue in front of the engines, and patience when one restarts.

Invariants: page, API and batch speak through this and nothing else; a request that nobody reads any more leaves the
queue or the engine at once; a request is spoken twice only when its listener has heard nothing of the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from typing import Any

from launcher.frames import EVENT, PCM, Frame
from launcher.progress import Progress
from webui.engine.base import SpeechRequest
from webui.engine.client import EngineAwayError, EngineFailedError
from webui.engine.pool import Claim, EnginePool
from webui.queueing import AskedToLeaveError, FairQueue, Ticket
from webui.read_ahead import ReadAhead
from webui.supervisor_link import SupervisorLink

#: How long a request waits for an engine that is restarted: a cold start takes about 3 s, on a busy machine 10.
RESTART_PATIENCE_S = 30.0
#: Between two looks at an engine that is restarted.
RESTART_POLL_S = 0.2
#: How long a request waits for an engine that was unloaded: gigabytes from a cold disk.
WAKE_PATIENCE_S = 600.0
#: States of an engine that was unloaded, or is about to be.
RESTING = ("unloaded", "stopping")
#: Times that a request is tried: one engine may die under it, and those that turn out not to be there count little.
MAX_ATTEMPTS = 4


class Synthesis:
    """Speaks requests, each engine one after another.

    Args:
        engines: whom to give the requests to.
        queue_size: requests that may wait.
        patience_s: seconds that a request waits for an engine that died to be ready again.
        link: the supervisor, which brings an unloaded engine back; ``None`` when there is none.
    """

    def __init__(
        self,
        engines: EnginePool,
        queue_size: int,
        *,
        patience_s: float = RESTART_PATIENCE_S,
        link: SupervisorLink | None = None,
    ) -> None:
        self._link = link
        self._pool = engines
        self._queue = FairQueue(queue_size, self._pool.size)
        self._patience_s = patience_s
        self._was_ready = False
        #: Requests that somebody waits for or listens to; what works in the background does not count.
        self.listeners = 0
        # The engine is given back when it has finished, whether or not its listener has heard everything.
        self._ahead = ReadAhead()
        #: Stands around the frames of every request, to measure it.
        self.measure: Callable[[AsyncGenerator[Frame, None]], AsyncGenerator[Frame, None]] = lambda frames: frames

    @property
    def engines(self) -> EnginePool:
        """Whom requests are given to."""
        return self._pool

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._queue.length

    @property
    def places(self) -> int:
        """Requests that are spoken at the same time."""
        return self._queue.places

    def speak(
        self, request: SpeechRequest, client: str, *, buffered: bool = False, in_background: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """The frames of one request: ``queue`` while it waits, then ``start`` to ``end``.

        Args:
            request: what to say.
            client: whose turn it takes; anything that tells one client from another.
            buffered: whether the reader gives nothing on before the end, so that a request whose engine died may be
                spoken again from its beginning even after sound was made; a second ``start`` says so.
            in_background: whether everybody else comes first: such a request waits, and gives up what it has begun.

        Raises:
            AskedToLeaveError: when a request in the background had to give up; it may be made again.
            SpeechError: when the request is wrong or the queue is full.
            EngineAwayError: when the engine is not ready, or not again in time.
            EngineError: when it fails.
        """
        join = partial(self._queue.join, client, in_background=in_background)
        frames = self._ahead.read(self.measure(self._speak(request, join, buffered)))
        return frames if in_background else self._listened_to(frames)

    async def _listened_to(self, frames: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
        """The frames; meanwhile somebody listens."""
        self.listeners += 1
        try:
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    yield frame
        finally:
            self.listeners -= 1

    async def _speak(
        self, request: SpeechRequest, join: Callable[[], Ticket], buffered: bool
    ) -> AsyncGenerator[Frame, None]:
        ticket = join()
        try:
            async with contextlib.aclosing(self._wait(ticket)) as places:
                async for place in places:
                    yield place
            spoken = self._speak_patiently(request, buffered)
            if ticket.in_background:
                spoken = _until_asked(spoken, ticket.asked_to_leave)
            async with contextlib.aclosing(spoken) as frames:
                async for frame in frames:
                    yield frame
        finally:
            self._queue.leave(ticket)

    async def _wait(self, ticket: Ticket) -> AsyncGenerator[Frame, None]:
        told = 0
        while not ticket.admitted:
            position = self._queue.position(ticket)
            if position != told:
                told = position
                yield _event("queue", position=position)
                continue
            await ticket.changed()

    async def _speak_patiently(self, request: SpeechRequest, buffered: bool) -> AsyncGenerator[Frame, None]:
        heard = died = False
        told: set[tuple[str, int]] = set()
        for attempt in range(MAX_ATTEMPTS):
            before, away = frozenset(told), False
            claim = self._pool.claim()
            try:
                async with contextlib.aclosing(self._until_granted(claim, is_retry=attempt > 0)) as steps:
                    async for step in steps:
                        yield step
                assert claim.engine is not None
                async with contextlib.aclosing(claim.engine.speak(request)) as frames:
                    async for frame in frames:
                        self._was_ready = True
                        heard = heard or frame.kind == PCM
                        told.add(_identity(frame))
                        # What the listener was told the first time is not told again; sound was not told.
                        if buffered or frame.kind == PCM or _identity(frame) not in before:
                            yield frame
                return
            except EngineAwayError as error:
                # An engine that never was ready loads for the first time: the caller says when to come back.
                may_wait = error.died or self._was_ready or self._state in (*RESTING, "ready")
                away = claim.engine is not None and may_wait
                again = away and not (heard and not buffered) and not (died and error.died)
                if not again or attempt == MAX_ATTEMPTS - 1:
                    raise
                died = died or error.died
            finally:
                self._pool.release(claim, away=away)

    @property
    def _state(self) -> str:
        """The engine's state as the supervisor sees it; empty without one."""
        return "" if self._link is None else str(self._link.engine.get("state", ""))

    @property
    def _is_resting(self) -> bool:
        return self._state in RESTING

    def _step(self) -> Frame:
        """How far the engine that is awaited is."""
        progress = None if self._link is None else self._link.engine.get("progress")
        return _event("progress", **progress) if progress else _RESTART

    async def _until_granted(self, claim: Claim, *, is_retry: bool) -> AsyncGenerator[Frame, None]:
        """Waits for an engine that is free or restarted, or wakes those that were unloaded; yields how far it is.

        Raises:
            EngineFailedError: when it failed.
            EngineAwayError: when it is not ready in time.
        """
        deadline = time.monotonic() + self._patience_s
        told: Frame | None = None
        if is_retry:
            yield _RESTART
        while claim.engine is None:
            if self._link is not None and self._is_resting:
                self._link.load_engine()
                # From nothing: as long as a first start.
                deadline = time.monotonic() + max(self._patience_s, WAKE_PATIENCE_S)
            await _first_of(claim.granted(), self._pool.look())
            if claim.engine is not None:
                return
            if self._link is not None and self._state == "failed":
                error = self._link.engine.get("error") or {}
                words = str(error.get("message") or "The engine failed.")
                raise EngineFailedError(words, fix=str(error.get("fix") or ""))
            step = self._step()
            if not self._pool.all_away:
                deadline = max(deadline, time.monotonic() + self._patience_s)  # others are served meanwhile
                step = _event("queue", position=1)
            elif time.monotonic() >= deadline:
                raise EngineAwayError("The engine did not come back in time.")
            if step != told and not (is_retry and step == _RESTART):
                told = step
                yield step
            await _first_of(claim.granted(), asyncio.sleep(RESTART_POLL_S))


async def _first_of(*waits: Coroutine[Any, Any, None]) -> None:
    """Waits until one of them is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _identity(frame: Frame) -> tuple[str, int]:
    """What makes an event the same as one of the first attempt: ``start``, or ``segment`` with its index."""
    if frame.kind != EVENT:
        return ("", 0)
    event = frame.event
    return (str(event.get("event")), int(event.get("index") or event.get("done") or 0))


def _event(name: str, **fields: object) -> Frame:
    return Frame(EVENT, json.dumps({"event": name, **fields}).encode())


_RESTART = _event("progress", **Progress("restart").to_json())


async def _until_asked(frames: AsyncGenerator[Frame, None], asked: asyncio.Event) -> AsyncGenerator[Frame, None]:
    """The frames, until ``asked`` is set.

    Raises:
        AskedToLeaveError: when it was; the source is closed then, in the midst of a frame, too.
    """

    async def following() -> Frame | None:
        return await anext(frames, None)

    leaving = asyncio.ensure_future(asked.wait())
    try:
        while True:
            coming = asyncio.ensure_future(following())
            try:
                await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    raise AskedToLeaveError
                frame = coming.result()
            finally:
                coming.cancel()
                await asyncio.wait([coming])
            if frame is None:
                return
            yield frame
    finally:
        leaving.cancel()
        await frames.aclose()
