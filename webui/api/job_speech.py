"""How a job's row is spoken: as everything else is, with the library's voices and glossary, but after everybody else.

Invariant: a row is no take of the history; its job keeps it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from launcher.errors import SpeechError
from launcher.frames import Frame
from webui.api.offer import Offer
from webui.api.openai_voices import voice_id
from webui.api.preparation import Preparation, Wishes
from webui.engine.base import SpeechRequest
from webui.jobs.runner import SpeakRow
from webui.synthesis import Synthesis

#: Whose turn the rows take in the queue.
CLIENT = "jobs"


def row_speaker(synthesis: Synthesis, offer: Offer, preparation: Preparation) -> SpeakRow:
    """Speaks one row.

    Args:
        synthesis: the queue in front of the engines.
        offer: which voices there are.
        preparation: knows the library.
    """

    async def speak(fields: Mapping[str, Any], options: Mapping[str, Any]) -> AsyncGenerator[Frame, None]:
        values = dict(fields)
        info = await offer.info()
        if values.get("voice"):
            with contextlib.suppress(SpeechError):  # neither the engine's nor OpenAI's: the library may know it
                values["voice"] = voice_id(values["voice"], info)
        request = SpeechRequest.from_json(values)
        wishes = Wishes(use_glossary=bool(options.get("use_glossary", True)), keep=False)
        prepared = await preparation.prepare(request, "batch", wishes)
        frames = synthesis.speak(prepared.request, CLIENT, buffered=True, in_background=True)
        async with contextlib.aclosing(frames):
            async for frame in frames:
                yield frame

    return speak
