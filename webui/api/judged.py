"""What was found about a request's segments, told with an answer that is sent once all of it is known."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from launcher.frames import EVENT, Frame

#: ``marked=1,redos=2``: segments that still sound wrong, and how often any was spoken again; not for answers that are
#: sent while they are made.
QUALITY_HEADER = "X-Quality"


class Judged:
    """Watches the frames of one request."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    async def frames(self, source: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
        """``source``, unchanged."""
        async with contextlib.aclosing(source):
            async for frame in source:
                event = frame.event if frame.kind == EVENT else {}
                if event.get("event") == "end" and "marked" in event:
                    self.headers = {QUALITY_HEADER: f"marked={event['marked']},redos={event.get('redos', 0)}"}
                yield frame
