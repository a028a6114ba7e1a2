"""Lets an engine finish at its own speed while a reader is slow: what is not read yet waits in memory, within bounds.

Invariants: frames arrive in order and unchanged, an error after the frames before it; a reader that leaves ends the
request at once; a reader that takes nothing holds an engine for `STALL_S` seconds at most, and memory for `KEEP_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator

from launcher.errors import SpeechError
from launcher.frames import Frame

#: Of one request: more than twenty minutes of sound at 24 kHz.
MAX_REQUEST_BYTES = 64 * 1024 * 1024
#: Of all requests together.
MAX_TOTAL_BYTES = 256 * 1024 * 1024
#: How long a reader may take nothing while its engine waits for it.
STALL_S = 30.0
#: How long a reader may take nothing of what is finished: a player that has enough for now comes back for more.
KEEP_S = 600.0


class ReadAhead:
    """What waits for slow readers.

    Args:
        max_request_bytes, max_total_bytes: bounds of one request and of all of them.
        stall_s, keep_s: how long a reader may take nothing, while the engine waits and after it has finished.
    """

    def __init__(
        self,
        *,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        stall_s: float = STALL_S,
        keep_s: float = KEEP_S,
    ) -> None:
        self.max_request_bytes = max_request_bytes
        self.max_total_bytes = max_total_bytes
        self.stall_s = stall_s
        self.keep_s = keep_s
        self.total_bytes = 0

    async def read(self, frames: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
        """The same frames, which are taken from their source as they come.

        Raises:
            SpeechError: when the reader has taken nothing for too long.
        """
        waiting = _Waiting(self)
        filling = asyncio.ensure_future(waiting.fill(frames))
        try:
            while (frame := await waiting.take()) is not None:
                yield frame
            await filling  # raises what the source raised
        finally:
            filling.cancel()
            # What it raised was raised above already, or nobody is there any more to hear it.
            await asyncio.wait([filling])
            waiting.forget()


class _Waiting:
    """The frames of one request that are not read yet."""

    def __init__(self, ahead: ReadAhead) -> None:
        self._ahead = ahead
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._ended = False
        self._came = asyncio.Event()
        self._taken = asyncio.Event()

    async def fill(self, frames: AsyncGenerator[Frame, None]) -> None:
        """Takes every frame from the source, and stays until the reader has them.

        Raises:
            SpeechError: when the reader has taken nothing for too long.
        """
        try:
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    self._put(frame)
                    while self._is_full():
                        await self._wait_for_reader(self._ahead.stall_s)
            self._end()
            while self._frames:
                await self._wait_for_reader(self._ahead.keep_s)
        finally:
            self._end()

    async def take(self) -> Frame | None:
        """The next frame; ``None`` after the last one."""
        while not self._frames:
            if self._ended:
                return None
            self._came.clear()
            await self._came.wait()
        frame = self._frames.popleft()
        self._count(-_size(frame))
        self._taken.set()
        return frame

    def forget(self) -> None:
        """Gives the memory back."""
        self._frames.clear()
        self._count(-self._bytes)

    def _put(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._count(_size(frame))
        self._came.set()

    def _end(self) -> None:
        self._ended = True
        self._came.set()

    def _count(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        self._ahead.total_bytes += size_bytes

    def _is_full(self) -> bool:
        over = self._ahead.total_bytes > self._ahead.max_total_bytes
        return bool(self._frames) and (over or self._bytes > self._ahead.max_request_bytes)

    async def _wait_for_reader(self, within_s: float) -> None:
        self._taken.clear()
        try:
            await asyncio.wait_for(self._taken.wait(), within_s)
        except asyncio.TimeoutError:  # its own class before Python 3.11
            self.forget()
            raise SpeechError(
                f"Nothing of the answer was read for {within_s:g} s.",
                fix="Read the answer as it comes, or ask again.",
                code="reader_stalled",
            ) from None


def _size(frame: Frame) -> int:
    return len(frame.payload)
