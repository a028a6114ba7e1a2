"""A request's quality loop: each segment's sound is looked at, marked when it is suspicious, spoken again if wished.

Invariants: with ``mark`` every sample goes out when it is made; with ``redo`` a segment goes out once it is whole, and
what goes out is the least suspicious of its tries; the seeds of further tries follow from the request's, so that the
same request gives the same sound; a segment that is spoken again changes nothing about the others.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from launcher.errors import LauncherError
from webui.engine.base import (
    AudioChunk,
    Cancellation,
    Engine,
    EngineInfo,
    EngineLostError,
    Pcm,
    Respeaker,
    Segment,
    SpeechRequest,
)
from webui.engine.glossary import apply_glossary
from webui.engine.request import AUTO, MARK, OFF, REDO
from webui.quality.findings import Finding, badness
from webui.quality.inspection import Asked, inspect
from webui.quality.pace import Pace

_log = logging.getLogger(__name__)

#: How often one segment is spoken at most: what three seeds do not mend, the text or the voice is to blame for.
MAX_TRIES = 3
#: IndexTTS-2.5's way to write how a word is read, `<行|XING2>`: the word alone is spoken.
_ANNOTATION = re.compile(r"<([^<>|]*)\|[^<>]*>")
#: Between two looks at whether the request was cancelled, while the ear listens.
_LOOK_S = 0.05
_NOTHING: Pcm = np.zeros(0, np.int16)


class Ear(Protocol):
    """Reads speech back and compares it with its text."""

    def listen(self, pcm: Pcm, rate_hz: int, asked: Asked) -> Future[Finding | None]:
        """What differs too much from the text, if anything; never fails, an ear that is ill hears nothing."""

    def close(self) -> None:
        """Gives its memory back; `listen` may follow."""


@dataclass(frozen=True)
class Verdict:
    """What was thought of a segment that has gone out.

    Attributes:
        index: of the segment, among those of its part.
        findings: what is suspicious about it.
        redos: how often it was spoken again.
        seed: with which what went out was spoken, when that is not the request's.
    """

    index: int
    findings: tuple[Finding, ...] = ()
    redos: int = 0
    seed: int | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to say about it."""
        return not self.findings and not self.redos

    def to_json(self, first: int) -> dict[str, Any]:
        """The event ``mark``; ``first``: how many segments of the whole come before the part's."""
        own = {} if self.seed is None else {"seed": self.seed}
        findings = [finding.to_json() for finding in self.findings]
        return {"index": first + self.index, "findings": findings, "redos": self.redos, **own}


@dataclass(frozen=True)
class Redo:
    """A segment is spoken again; ``index`` as in `Verdict`."""

    index: int


#: What comes of a part: its sound, and what is said about it.
Piece = AudioChunk | Verdict | Redo


@dataclass
class _Try:
    """One time that a segment was spoken."""

    pcm: Pcm
    findings: tuple[Finding, ...]
    pace: Pace
    seed: int | None = None


def mode_of(request: SpeechRequest, info: EngineInfo, usual: str) -> str:
    """What is done with a request: ``off``, ``mark`` or ``redo``.

    Args:
        request: `SpeechRequest.quality` decides unless it is ``auto``.
        info: an engine without the capability ``redo`` draws no random numbers, so it makes no slips: nothing is
            looked for unless the request asks for it, because what were found would be false alarms.
        usual: what ``auto`` stands for with every other engine.
    """
    if request.quality != AUTO:
        return request.quality
    return usual if "redo" in info.capabilities else OFF


def further_seed(seed: int, index: int, number: int) -> int:
    """The seed of a segment's ``number``-th further try, from the request's."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}/{number}".encode()).digest()[:4], "big")


class Checker:
    """The loop of one request.

    Args:
        engine: that speaks.
        info: of it.
        request: the whole one; its parts share its budget.
        mode: `mode_of`.
        ear: listens besides; ``None``: there is none.
    """

    def __init__(self, engine: Engine, info: EngineInfo, request: SpeechRequest, mode: str, ear: Ear | None) -> None:
        self._engine = engine
        self._rate_hz = info.sample_rate_hz
        self._mode = mode
        self._ear = ear
        self._left = request.redos if mode == REDO else 0
        self._paces: dict[str, Pace] = {}
        self._heard: list[tuple[Verdict, Future[Finding | None]]] = []

    def speak(self, request: SpeechRequest, first: int, cancellation: Cancellation) -> Iterator[Piece]:
        """Speaks one part of the request.

        Args:
            request: of the part.
            first: how many segments of the whole come before it.
            cancellation: of the request.

        Raises:
            Whatever `Engine.synthesize` raises.
        """
        chunks = self._engine.synthesize(request, cancellation)
        if self._mode == OFF:
            yield from chunks
            return
        held: list[Pcm] = []
        for made in _with_ends(chunks):
            if isinstance(made, AudioChunk):
                held.append(made.pcm)
                if self._mode == MARK:
                    yield made
                continue
            said, held = np.concatenate([_NOTHING, *held]), []
            if self._mode == MARK:
                yield from self._mark(request, made, said, cancellation)
            else:
                yield from self._redo(request, made, first, said, cancellation)
        yield from self._verdicts(cancellation, wait=True)

    def _mark(
        self, request: SpeechRequest, segment: Segment, pcm: Pcm, cancellation: Cancellation
    ) -> Iterator[Verdict]:
        asked = _asked(request, segment)
        findings, pace = inspect(pcm, self._rate_hz, asked, self._paces.get(segment.language))
        self._paces[segment.language] = pace
        verdict = Verdict(segment.index, findings)
        if self._ear is None:
            yield verdict
            return
        # The ear takes a while: meanwhile the engine goes on.
        self._heard.append((verdict, self._ear.listen(pcm, self._rate_hz, asked)))
        yield from self._verdicts(cancellation, wait=False)

    def _verdicts(self, cancellation: Cancellation, *, wait: bool) -> Iterator[Verdict]:
        """The verdicts that the ear has finished with, or all of them."""
        while self._heard and (wait or self._heard[0][1].done()):
            verdict, listening = self._heard.pop(0)
            yield replace(verdict, findings=(*verdict.findings, *_result(listening, cancellation)))

    def _redo(
        self, request: SpeechRequest, segment: Segment, first: int, pcm: Pcm, cancellation: Cancellation
    ) -> Iterator[Piece]:
        best = self._try(request, segment, pcm, cancellation)
        redos = 0
        while best.findings and redos < MAX_TRIES - 1 and self._left > 0 and request.seed is not None:
            redos, self._left = redos + 1, self._left - 1
            yield Redo(segment.index)
            seed = further_seed(request.seed, first + segment.index, redos)
            said = self._again(replace(request, seed=seed), segment, cancellation)
            if said is None:
                break
            attempt = replace(self._try(request, segment, said, cancellation), seed=seed)
            if badness(attempt.findings) < badness(best.findings):
                best = attempt
        self._paces[segment.language] = best.pace
        yield AudioChunk(best.pcm, segment)
        yield Verdict(segment.index, best.findings, redos, best.seed)

    def _again(self, request: SpeechRequest, segment: Segment, cancellation: Cancellation) -> Pcm | None:
        """The segment's sound with another seed; ``None`` when that failed, because what was there is still good."""
        assert isinstance(self._engine, Respeaker), "mode_of asks for the capability"
        try:
            pieces = [chunk.pcm for chunk in self._engine.respeak(request, segment, cancellation)]
        except EngineLostError:
            raise
        except LauncherError as error:
            _log.warning("a segment could not be spoken again: %s", error)
            self._left = 0
            return None
        return np.concatenate(pieces) if pieces else None

    def _try(self, request: SpeechRequest, segment: Segment, pcm: Pcm, cancellation: Cancellation) -> _Try:
        asked = _asked(request, segment)
        findings, pace = inspect(pcm, self._rate_hz, asked, self._paces.get(segment.language))
        if self._ear is not None:
            findings = (*findings, *_result(self._ear.listen(pcm, self._rate_hz, asked), cancellation))
        return _Try(pcm, findings, pace)


def _asked(request: SpeechRequest, segment: Segment) -> Asked:
    text = apply_glossary(segment.text, request.glossary) if request.glossary else segment.text
    return Asked(_ANNOTATION.sub(r"\1", text), segment.language, request.speed / request.duration_factor)


def _result(listening: Future[Finding | None], cancellation: Cancellation) -> tuple[Finding, ...]:
    """What the ear found; a cancelled request does not wait for it."""
    while True:
        cancellation.check()
        try:
            found = listening.result(timeout=_LOOK_S)
        except (TimeoutError, FutureTimeoutError):  # two classes before Python 3.11
            continue
        return () if found is None else (found,)


def _with_ends(chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk | Segment]:
    """The chunks as they come, and each segment once it is whole.

    That is known as soon as its engine says so (`AudioChunk.ends`), else when something of the next one is made.
    """
    current: Segment | None = None
    for chunk in chunks:
        if current is not None and chunk.segment.index != current.index:
            yield current
        current = chunk.segment
        if len(chunk.pcm):
            yield chunk
        if chunk.ends:
            yield current
            current = None
    if current is not None:
        yield current
