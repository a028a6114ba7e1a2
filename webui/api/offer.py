"""What the engine offers, known even while it restarts."""

from __future__ import annotations

from webui.engine.base import EngineInfo
from webui.engine.client import EngineAwayError, EngineClient


class Offer:
    """The engine's info: fresh when it answers, otherwise the last one.

    Args:
        engine: whom to ask.
    """

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._last: EngineInfo | None = None

    async def info(self) -> EngineInfo:
        """What the engine is and can do.

        Raises:
            EngineError: when it has never answered.
        """
        try:
            self._last = await self._engine.info()
        except EngineAwayError:
            if self._last is None:
                raise
        return self._last
