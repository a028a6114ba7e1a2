"""Speech for everybody who asks for it: a fair queue in front of the engine, and patience when the engine restarts.

Invariants: page, API and batch speak through this and nothing else; a request that nobody reads any more leaves the
queue or the engine at once; a request is spoken twice only when its listener has heard nothing of the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator

from launcher.errors import EngineError
from launcher.frames import EVENT, PCM, Frame
from launcher.progress import Progress
from webui.engine.base import SpeechRequest
from webui.engine.client import EngineAwayError, EngineClient
from webui.queueing import FairQueue, Ticket

#: How long a request waits for an engine that is restarted: a cold start takes about 3 s, on a busy machine 10.
RESTART_PATIENCE_S = 30.0
#: Between two looks at an engine that is restarted.
RESTART_POLL_S = 0.2


class Synthesis:
    """Speaks requests one after another.

    Args:
        engine: the engine's process.
        queue_size: requests that may wait.
        patience_s: seconds that a request waits for an engine that died to be ready again.
    """

    def __init__(self, engine: EngineClient, queue_size: int, *, patience_s: float = RESTART_PATIENCE_S) -> None:
        self._engine = engine
        self._queue = FairQueue(queue_size)
        self._patience_s = patience_s
        self._was_ready = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._queue.length

    async def speak(
        self, request: SpeechRequest, client: str, *, buffered: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """The frames of one request: ``queue`` while it waits, then ``start`` to ``end``.

        Args:
            request: what to say.
            client: whose turn it takes; anything that tells one client from another.
            buffered: whether the reader gives nothing on before the end, so that a request whose engine died may be
                spoken again from its beginning even after sound was made; a second ``start`` says so.

        Raises:
            SpeechError: when the request is wrong or the queue is full.
            EngineAwayError: when the engine is not ready, or not again in time.
            EngineError: when it fails.
        """
        ticket = self._queue.join(client)
        try:
            async with contextlib.aclosing(self._wait(ticket)) as places:
                async for place in places:
                    yield place
            async with contextlib.aclosing(self._speak_patiently(request, buffered)) as frames:
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
        heard = False
        told: set[tuple[str, int]] = set()
        try:
            async with contextlib.aclosing(self._engine.speak(request)) as frames:
                async for frame in frames:
                    self._was_ready = True
                    heard = heard or frame.kind == PCM
                    told.add(_identity(frame))
                    yield frame
            return
        except EngineAwayError as error:
            # An engine that never was ready loads for the first time: the caller says when to come back.
            if (heard and not buffered) or not (self._was_ready or error.died):
                raise
        yield _event("progress", **Progress("restart").to_json())
        await self._until_ready()
        async with contextlib.aclosing(self._engine.speak(request)) as frames:
            async for frame in frames:
                self._was_ready = True
                # What the listener was told the first time is not told again; sound was not told.
                if buffered or frame.kind == PCM or _identity(frame) not in told:
                    yield frame

    async def _until_ready(self) -> None:
        """Waits for an engine that is restarted.

        Raises:
            EngineError: when it failed, or is not ready in time.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            state = None
            with contextlib.suppress(EngineError):
                state = (await self._engine.health())["state"]
            if state in ("ready", "unloaded"):
                return
            if time.monotonic() >= deadline:
                raise EngineAwayError("The engine did not come back in time.")
            await asyncio.sleep(RESTART_POLL_S)


def _identity(frame: Frame) -> tuple[str, int]:
    """What makes an event the same as one of the first attempt: ``start``, or ``segment`` with its index."""
    if frame.kind != EVENT:
        return ("", 0)
    event = frame.event
    return (str(event.get("event")), int(event.get("index") or event.get("done") or 0))


def _event(name: str, **fields: object) -> Frame:
    return Frame(EVENT, json.dumps({"event": name, **fields}).encode())
