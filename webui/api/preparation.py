"""From what was asked to what the engine is asked: voices of the library, the glossary, a seed; and the take's origin.

Invariants: a voice of the library reaches an engine only as a recording, and only an engine that clones; what is kept
of a request names voices, never paths; where there is no library a request passes as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from launcher.errors import SpeechError
from launcher.frames import Frame
from webui.api.offer import Offer
from webui.api.threads import in_thread
from webui.engine.base import EngineInfo, SpeechRequest
from webui.engine.client import EngineAwayError
from webui.engine.glossary import apply_glossary
from webui.engine.request import MAX_GLOSSARY_TERMS
from webui.library.fields import read_flag
from webui.library.library import Library
from webui.library.recorder import Origin
from webui.library.uploads import Uploads
from webui.library.voices import StoredVoice
from webui.markup import map_text
from webui.text import main_language

#: Header of an answer with the id under which the take will stand in the history.
TAKE_HEADER = "X-Take-Id"


@dataclass(frozen=True)
class Wishes:
    """Fields of a request's body that are about the library.

    Attributes:
        use_glossary: whether its glossary is applied.
        keep: whether the take is kept in its history.
    """

    use_glossary: bool = True
    keep: bool = True


@dataclass(frozen=True)
class Prepared:
    """A request for the engine.

    Attributes:
        request: what the engine is asked.
        origin: what is kept of it; ``None`` when nothing is.
        take_id: of the take; empty when it is not kept.
    """

    request: SpeechRequest
    origin: Origin | None = None
    take_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """For the answer."""
        return {TAKE_HEADER: self.take_id} if self.take_id else {}


_ALL = Wishes()


class Preparation:
    """Prepares requests and keeps what is spoken.

    Args:
        library: voices, glossary and history; ``None`` when there is none.
        offer: what the engine can.
        uploads: recordings that were sent for a request; ``None`` when none can be.
    """

    def __init__(self, library: Library | None, offer: Offer, uploads: Uploads | None = None) -> None:
        self._library = library
        self._offer = offer
        self._uploads = uploads

    async def prepare(self, request: SpeechRequest, source: str, wishes: Wishes = _ALL) -> Prepared:
        """The request as the engine takes it.

        Args:
            request: as it was asked.
            source: ``page`` or ``api``.
            wishes: about the library.

        Raises:
            SpeechError: when a voice's recording is gone, or the engine cannot speak with it.
        """
        if self._library is None:
            return Prepared(request)
        try:
            info = await self._offer.engine_info()
        except EngineAwayError:
            return Prepared(request)  # the engine's answer will say so, or come late
        return await in_thread(self._prepared, self._library, request, info, source, wishes)

    def recorded(self, frames: AsyncGenerator[Frame, None], prepared: Prepared) -> AsyncGenerator[Frame, None]:
        """The frames, which are kept on the way."""
        if self._library is None or prepared.origin is None:
            return frames
        return self._library.recorder.keep(frames, prepared.origin, prepared.take_id)

    def _prepared(
        self, library: Library, request: SpeechRequest, info: EngineInfo, source: str, wishes: Wishes
    ) -> Prepared:
        if request.seed is None and "seed" in info.capabilities:
            request = replace(request, seed=secrets.randbelow(2**32))  # known, so that the take can be made again
        asked, spoken, voices = _with_voices(library, request, info)
        if self._uploads is not None:
            spoken = _with_uploads(self._uploads, spoken)
        if wishes.use_glossary:
            language = request.language if request.language != "auto" else main_language(request.text)
            spoken = _with_glossary(spoken, library.glossary.readings(request.text, language), info)
        if not wishes.keep:
            return Prepared(spoken)
        origin = Origin(asked, info.name, info.weights, source, voices)
        return Prepared(spoken, origin, library.recorder.begin(origin))


def take_wishes(body: dict[str, Any]) -> Wishes:
    """Takes the fields of `Wishes` out of a request's body.

    Raises:
        SpeechError: when one is neither true nor false.
    """
    given = {name: body.pop(name) for name in ("use_glossary", "keep") if name in body}
    return Wishes(**{name: read_flag(value, name) for name, value in given.items()})


def _with_voices(
    library: Library, request: SpeechRequest, info: EngineInfo
) -> tuple[SpeechRequest, SpeechRequest, tuple[str, ...]]:
    """The request with ids of voices, the same with recordings, and the voices of the library in it."""
    own = {voice.id for voice in info.voices}
    ids: dict[str, Any] = {name: PurePath(getattr(request, name)).name for name in ("reference", "emotion_reference")}
    paths: dict[str, Any] = {}
    used: list[str] = []
    if not request.reference and request.voice not in own:
        voice = _named(library, request.voice, info) if request.voice else _default(library, info)
        if voice is not None:
            ids["voice"] = voice.id
            paths |= {"voice": "", "reference": str(library.voices.path(voice).resolve())}
            used.append(voice.id)
    if "emotion_reference" in info.capabilities and request.emotion_reference not in {"", *own}:
        voice = library.voices.find(request.emotion_reference)
        if voice is not None:
            ids["emotion_reference"] = voice.id
            paths["emotion_reference"] = str(library.voices.path(voice).resolve())
            used.append(voice.id)
    return replace(request, **ids), replace(request, **paths), tuple(dict.fromkeys(used))


def _with_uploads(uploads: Uploads, request: SpeechRequest) -> SpeechRequest:
    """The request with the files of the recordings that were sent for it."""
    paths: dict[str, Any] = {}
    for name in ("reference", "emotion_reference"):
        path = uploads.path(getattr(request, name), name)
        if path is not None:
            paths[name] = str(path)
    return replace(request, **paths)


def _named(library: Library, name: str, info: EngineInfo) -> StoredVoice | None:
    voice = library.voices.find(name)
    if voice is not None and "clone" not in info.capabilities:
        title = info.title.get("en") or info.name
        raise SpeechError(
            f"The voice {voice.name!r} is a recording, and {title} cannot clone voices.",
            fix=f"Use one of {', '.join(own.id for own in info.voices)}, or start an engine that clones.",
            param="voice",
            code="cannot_clone",
        )
    return voice


def _default(library: Library, info: EngineInfo) -> StoredVoice | None:
    return library.voices.default() if "clone" in info.capabilities else None


def _with_glossary(request: SpeechRequest, readings: tuple[tuple[str, str], ...], info: EngineInfo) -> SpeechRequest:
    """The request with the library's readings; the request's own win."""
    merged: Mapping[str, tuple[str, str]] = {pair[0].casefold(): pair for pair in (*readings, *request.glossary)}
    if not merged:
        return request
    # The longest win in an engine, too; what is beyond the limit is left as it is written.
    pairs = tuple(sorted(merged.values(), key=lambda pair: len(pair[0]), reverse=True)[:MAX_GLOSSARY_TERMS])
    if "glossary" in info.capabilities:
        return replace(request, glossary=pairs)
    if request.markup:
        return replace(request, text=map_text(request.text, lambda text: apply_glossary(text, pairs)), glossary=())
    return replace(request, text=apply_glossary(request.text, pairs), glossary=())
