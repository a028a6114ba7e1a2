"""What the engine offers, known even while it restarts or is unloaded; with the library's voices where it can clone."""

from __future__ import annotations

import time
from dataclasses import replace

from webui.api.threads import in_thread
from webui.engine.base import EngineInfo, Voice
from webui.engine.client import EngineAwayError
from webui.engine.pool import EnginePool
from webui.library.library import Library
from webui.library.voices import StoredVoice
from webui.supervisor_link import SupervisorLink

#: What an engine says of itself changes only with its process; asking before every request costs milliseconds.
FRESH_S = 5.0


class Offer:
    """The engine's info: fresh when it answers, otherwise the last one.

    Args:
        engine: whom to ask.
        link: the supervisor, which knows what the engine said when it was ready.
        library: whose voices an engine that clones can speak with; ``None`` when there is none.
    """

    def __init__(self, engine: EnginePool, link: SupervisorLink, library: Library | None = None) -> None:
        self._engine = engine
        self._link = link
        self._library = library
        self._last: EngineInfo | None = None
        self._asked_at = 0.0
        self._process: tuple[object, object] = (None, None)

    async def info(self) -> EngineInfo:
        """What can be spoken with: the engine's info, with the library's voices where it can clone.

        Raises:
            EngineError: when it has never answered.
        """
        info = await self.engine_info()
        if self._library is None or "clone" not in info.capabilities:
            return info
        stored = await in_thread(self._library.voices.all)
        # The first voice is the default; the library's own default comes first in its list.
        first = [voice for voice in stored if voice.is_default]
        others = [voice for voice in stored if not voice.is_default]
        own = {voice.id for voice in info.voices}
        ours = ([_shown(voice, info) for voice in group if voice.id not in own] for group in (first, others))
        before, after = ours
        return replace(info, voices=(*before, *info.voices, *after))

    async def engine_info(self) -> EngineInfo:
        """What the engine says of itself.

        Raises:
            EngineError: when it has never answered.
        """
        told = self._link.engine
        process = (told.get("pid"), told.get("restarts"))
        if self._last is not None and process == self._process and time.monotonic() - self._asked_at < FRESH_S:
            return self._last
        try:
            self._last = await self._engine.info()
            self._asked_at, self._process = time.monotonic(), process
        except EngineAwayError:
            told = self._link.engine.get("info") or {}
            if self._last is None and "voices" not in told:
                raise
            self._last = self._last or EngineInfo.from_json(told)
        return self._last


def _shown(voice: StoredVoice, info: EngineInfo) -> Voice:
    languages = (voice.language,) if voice.language else info.languages
    return Voice(voice.id, {"en": voice.name, "zh": voice.name}, languages=languages)
