"""What the engine offers, known even while it restarts or is unloaded."""

from __future__ import annotations

from webui.engine.base import EngineInfo
from webui.engine.client import EngineAwayError, EngineClient
from webui.engine.pool import EnginePool
from webui.supervisor_link import SupervisorLink


class Offer:
    """The engine's info: fresh when it answers, otherwise the last one.

    Args:
        engine: whom to ask.
        link: the supervisor, which knows what the engine said when it was ready.
    """

    def __init__(self, engine: EngineClient | EnginePool, link: SupervisorLink) -> None:
        self._engine = engine
        self._link = link
        self._last: EngineInfo | None = None

    async def info(self) -> EngineInfo:
        """What the engine is and can do.

        Raises:
            EngineError: when it has never answered.
        """
        try:
            self._last = await self._engine.info()
        except EngineAwayError:
            told = self._link.engine.get("info") or {}
            if self._last is None and "voices" not in told:
                raise
            self._last = self._last or EngineInfo.from_json(told)
        return self._last
