"""How a text would be read: `/api/readings`.

Invariant: what is answered comes from the engine itself; one that does not say is reported as not checked.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from webui.api.offer import Offer
from webui.api.preparation import Preparation
from webui.api.speech import speech_request
from webui.engine.pool import EnginePool

#: Longest text whose readings are asked for; the answer has a word a line.
MAX_CHARS = 500
CAPABILITY = "readings"


def routes(engine: EnginePool, offer: Offer, preparation: Preparation) -> list[Route]:
    """The route, over the engines."""

    async def readings(request: Request) -> Response:
        wanted, wishes = await speech_request(request, MAX_CHARS)
        info = await offer.info()
        if CAPABILITY not in info.capabilities:
            return JSONResponse({"checked": False, "engine": info.name, "text": wanted.text, "readings": []})
        prepared = await preparation.prepare(wanted, "page", wishes)
        try:
            found = await engine.readings(prepared.request)
        except SpeechError as error:
            if error.code != "nothing_to_say":
                raise
            found = []
        return JSONResponse({"checked": True, "engine": info.name, "text": prepared.request.text, "readings": found})

    return [Route("/api/readings", readings, methods=["POST"])]
