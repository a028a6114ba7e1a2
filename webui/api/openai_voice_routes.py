"""Voices as OpenAI's API has them: `/v1/audio/voices`, over the engine's voices and the library's.

Invariants: the list has the fields that OpenAI's objects have and those that chat programs look for; a voice is added
as OpenAI's client sends it, a form with the recording as a file, which is decoded within the library's limits; the
engine's own voices cannot be deleted.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.errors import SpeechError
from webui.api.offer import Offer
from webui.api.threads import in_slow_thread, in_thread, kept
from webui.library.decoding import decode
from webui.library.library import Library
from webui.library.voices import StoredVoice

#: Names of the recording's part of the form: OpenAI's, and what else programs send.
_PARTS = ("audio_sample", "file", "audio")
_FRESH = {"Cache-Control": "no-store"}


def routes(library: Library, offer: Offer) -> list[Route]:
    """The routes, over one library."""
    voices = library.voices

    async def listing(_request: Request) -> Response:
        found = await _all(library, offer)
        # ``data`` as in OpenAI's lists, ``voices`` as chat programs read it.
        return JSONResponse({"object": "list", "data": found, "voices": found}, headers=_FRESH)

    async def add(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=20, max_part_size=64 * 1024) as form:
            sample = _sample(form)
            given = {
                name: value
                for name in ("name", "language", "consent", "tags")
                if isinstance(value := form.get(name), str) and value
            }
            async with kept(sample, library.parts) as path:
                recording = await in_slow_thread(request, decode, path)
        voice, is_new = await in_thread(voices.add, recording, given)
        return JSONResponse({**_stored(voice), "new": is_new}, 201 if is_new else 200)

    async def one(request: Request) -> Response:
        return JSONResponse(_stored(await in_thread(voices.get, request.path_params["id"])), headers=_FRESH)

    async def remove(request: Request) -> Response:
        voice_id = request.path_params["id"]
        if any(voice.id == voice_id for voice in (await offer.engine_info()).voices):
            raise SpeechError(
                f"voice {voice_id!r:.100} belongs to the engine.", fix="Delete voices of the library only.", param="id"
            )
        await in_thread(voices.remove, voice_id)
        return JSONResponse({"id": voice_id, "object": "audio.voice.deleted", "deleted": True})

    return [
        Route("/v1/audio/voices", listing, methods=["GET"]),
        Route("/v1/audio/voices", add, methods=["POST"]),
        Route("/v1/audio/voices/{id}", one, methods=["GET"]),
        Route("/v1/audio/voices/{id}", remove, methods=["DELETE"]),
    ]


async def _all(library: Library, offer: Offer) -> list[dict[str, Any]]:
    """The engine's voices, then the library's; whether each can be spoken with now."""
    info = await offer.info()
    stored = {voice.id: voice for voice in await in_thread(library.voices.all)}
    own = [
        {**_voice(voice.id, voice.title.get("en") or voice.id), "languages": list(voice.languages), "usable": True}
        for voice in info.voices
        if voice.id not in stored
    ]
    usable = {voice.id for voice in info.voices}
    return [*own, *({**_stored(voice), "usable": voice.id in usable} for voice in stored.values())]


def _sample(form: FormData) -> UploadFile:
    sample = next((form[name] for name in _PARTS if isinstance(form.get(name), UploadFile)), None)
    if not isinstance(sample, UploadFile):
        raise SpeechError(
            "The form has no recording.",
            fix="Send it as the file audio_sample of a multipart form, with the field name.",
            param="audio_sample",
            code="recording_missing",
        )
    return sample


def _voice(voice_id: str, name: str) -> dict[str, Any]:
    return {"id": voice_id, "object": "audio.voice", "name": name}


def _stored(voice: StoredVoice) -> dict[str, Any]:
    return {
        **_voice(voice.id, voice.name),
        "created_at": int(voice.created_at),
        "duration_s": voice.duration_s,
        "languages": [voice.language] if voice.language else [],
        "findings": list(voice.findings),
    }
