"""`Synthesis` that is measured, and answers that are counted.

Invariants: frames pass as they are and when they are made; a request is counted once, however it ends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from launcher.frames import EVENT, PCM, Frame
from webui.metrics.requests import CANCELLED, DONE, FAILED, RequestMetrics, route_of
from webui.quality.findings import KINDS as FINDINGS


class Measured:
    """Measures one request.

    Args:
        metrics: where it is counted.
    """

    def __init__(self, metrics: RequestMetrics) -> None:
        self._metrics = metrics
        self._began = time.perf_counter()
        self._waits = True
        self._silent = True
        self._outcome = CANCELLED

    async def frames(self, source: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
        """``source``, unchanged."""
        try:
            async with contextlib.aclosing(source):
                async for frame in source:
                    if self._waits or self._silent or frame.kind == EVENT:
                        self._note(frame)
                    yield frame
        except Exception as error:  # whatever it is, it is counted and goes on
            self._outcome = FAILED
            self._metrics.count_error(error)
            raise
        finally:
            self._metrics.requests.labels(self._outcome).inc()

    def _note(self, frame: Frame) -> None:
        event: dict[str, Any] = frame.event if frame.kind == EVENT else {}
        name = event.get("event")
        if self._waits and name != "queue":
            self._waits = False
            self._metrics.wait.observe(time.perf_counter() - self._began)
        if self._silent and frame.kind == PCM:
            self._silent = False
            self._metrics.first_audio.observe(time.perf_counter() - self._began)
        if name == "mark":
            self._metrics.redos.inc(int(event.get("redos") or 0))
            for finding in event.get("findings") or ():
                if finding.get("kind") in FINDINGS:
                    self._metrics.marks.labels(finding["kind"]).inc()
        elif name == "end":
            self._end(float(event.get("audio_s") or 0.0), float(event.get("synthesis_s") or 0.0))

    def _end(self, audio_s: float, synthesis_s: float) -> None:
        self._outcome = DONE
        self._metrics.audio.inc(audio_s)
        self._metrics.synthesis.observe(synthesis_s)
        if audio_s > 0:
            self._metrics.factor.observe(synthesis_s / audio_s)


class CountAnswers:
    """ASGI middleware that counts answers by route and kind of status.

    Args:
        app: what answers.
        metrics: where they are counted.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._answers = metrics.answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answers.labels(route_of(scope["path"]), f"{message['status'] // 100}xx").inc()
            await send(message)

        await self._app(scope, receive, counted)
