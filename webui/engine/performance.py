"""One request spoken: the passages of its markup, each with an engine's segments, as frames.

Invariants: frames come in `launcher.frames`' order, whatever the passages; an engine never sees a tag; what an engine
cannot do of a tag is left out and named in ``start``; this module needs neither numpy nor the engine's packages.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from launcher.errors import SpeechError
from launcher.frames import encode_event, encode_pcm
from launcher.progress import Progress
from webui import markup

if TYPE_CHECKING:  # numpy costs more than everything that `/health` needs; the engine's thread imports it
    from webui.engine.base import Cancellation, Engine, EngineInfo, Segment, SpeechRequest
    from webui.engine.checking import Checker, Ear, Piece

#: PCM bytes of one frame: 1.4 s at 24 kHz; large enough to be cheap, small enough for flow control to bite.
FRAME_PCM_BYTES = 64 * 1024


@dataclass(frozen=True)
class Part:
    """A passage as an engine speaks it.

    Attributes:
        request: without markup; ``None`` for a pause at the end.
        segments: of the request; their indexes count on from part to part.
        pause_s: silence before it.
        said: what the tags say, as the events tell it.
    """

    request: SpeechRequest | None
    segments: tuple[Segment, ...]
    pause_s: float
    said: dict[str, Any]


class Performance:
    """A request, planned.

    Args:
        engine: that will speak.
        info: of the engine.
        request: what to say.
        usual_quality: what `SpeechRequest.quality` means by ``auto``.
        ear: listens to the segments, where they are looked at; ``None``: there is none.

    Raises:
        SpeechError: for a wrong tag, or a text with nothing to say.
    """

    def __init__(
        self,
        engine: Engine,
        info: EngineInfo,
        request: SpeechRequest,
        *,
        usual_quality: str = "off",
        ear: Ear | None = None,
    ) -> None:
        from webui.engine.checking import Checker, mode_of

        self._quality = mode_of(request, info, usual_quality)
        if self._quality == "redo" and request.seed is None:
            request = replace(request, seed=secrets.randbits(32))  # from which those of further tries follow
        self._checker: Checker = Checker(engine, info, request, self._quality, ear)
        self._engine = engine
        self._rate_hz = info.sample_rate_hz
        self._seed = request.seed
        self.parts, self.ignored = _plan(engine, info, request)
        self.segments = [segment for part in self.parts for segment in part.segments]
        self._begun = 0  # segments of the parts before the one that is spoken
        self._samples, self._current, self._started = 0, -1, 0.0
        self._marked = self._redos = 0

    def shown_segments(self) -> list[dict[str, Any]]:
        """Every segment as JSON, with what its tags say: ``emotion``, ``speed``, ``pause_s`` (silence before it) where
        there is one, and ``pause_after_s`` of the last.
        """
        shown = [
            {"index": segment.index, "text": segment.text, "language": segment.language}
            | part.said
            | ({"pause_s": part.pause_s} if part.pause_s and segment is part.segments[0] else {})
            for part in self.parts
            for segment in part.segments
        ]
        if self.parts[-1].request is None:
            shown[-1]["pause_after_s"] = self.parts[-1].pause_s
        return shown

    def described_segments(self) -> list[dict[str, Any]]:
        """`shown_segments` with ``tokens`` and ``symbols`` where the engine knows them."""
        from webui.engine.base import ShowsSymbols

        shown = self.shown_segments()
        if isinstance(self._engine, ShowsSymbols):
            requests = [part.request for part in self.parts for _ in part.segments]
            for entry, segment, request in zip(shown, self.segments, requests, strict=True):
                assert request is not None
                tokens, symbols = self._engine.symbols(request, segment)
                entry |= {"tokens": tokens, "symbols": symbols}
        return shown

    def frames(self, cancellation: Cancellation) -> Iterator[bytes]:
        """Speaks, as pieces of whole frames; see `webui.engine.base.Engine.synthesize` for what it raises."""
        self._started = time.monotonic()
        notes = {"ignored": list(self.ignored)} if self.ignored else {}
        start = {"sample_rate_hz": self._rate_hz, "segments": self.shown_segments(), "quality": self._quality}
        yield encode_event("start", **start, **notes)
        for part in self.parts:
            silence = round(part.pause_s * self._rate_hz)
            yield from _pcm_frames(bytes(2 * silence))
            self._samples += silence
            if part.request is None:
                break
            self._begun = part.segments[0].index
            for piece in self._checker.speak(part.request, self._begun, cancellation):
                yield from self._frames_of(piece)
        looked_at = {} if self._quality == "off" else {"marked": self._marked, "redos": self._redos}
        yield encode_event(
            "end",
            samples=self._samples,
            audio_s=round(self._samples / self._rate_hz, 3),
            synthesis_s=round(time.monotonic() - self._started, 3),
            seed=self._seed,
            **looked_at,
        )

    def _frames_of(self, piece: Piece) -> Iterator[bytes]:
        from webui.engine.checking import Redo, Verdict

        if isinstance(piece, Redo):
            yield encode_event("progress", **Progress("redo", self._begun + piece.index, len(self.segments)).to_json())
        elif isinstance(piece, Verdict):
            self._marked += bool(piece.findings)
            self._redos += piece.redos
            if not piece.is_silent:
                yield encode_event("mark", **piece.to_json(self._begun))
        else:
            index = self._begun + piece.segment.index
            news = b""
            if index != self._current:
                self._current = index
                if index:
                    news = encode_event("progress", **self._progress(index, self._started).to_json())
                news += encode_event("segment", index=index, text=piece.segment.text, start_sample=self._samples)
            # What comes at one moment travels as one piece.
            frames = _pcm_frames(piece.pcm.astype("<i2", copy=False).tobytes())
            if together := news + next(frames, b""):
                yield together
            yield from frames
            self._samples += len(piece.pcm)

    def whole(self, progress: Progress) -> Progress:
        """What an engine tells of the part that it speaks, as progress of all parts."""
        if progress.done is None or len(self.parts) == 1:
            return progress
        return replace(progress, done=progress.done + self._begun, total=len(self.segments))

    def _progress(self, done: int, started: float) -> Progress:
        """How much is spoken; the rest is estimated from the characters spoken per second so far."""
        elapsed_s = time.monotonic() - started
        spoken = sum(len(segment.text) for segment in self.segments[:done])
        left = sum(len(segment.text) for segment in self.segments[done:])
        eta_s = round(elapsed_s * left / spoken, 2) if spoken else None
        return Progress("speak", done, len(self.segments), "steps", round(done / max(elapsed_s, 1e-3), 3), eta_s)


def _plan(engine: Engine, info: EngineInfo, request: SpeechRequest) -> tuple[list[Part], tuple[str, ...]]:
    """The parts, and which kinds of tags have no effect."""
    if not request.markup:
        return [Part(request, tuple(engine.segments(request)), 0.0, {})], ()
    passages = markup.spoken(markup.parse(request.text))
    feels = "emotion_vector" in info.capabilities
    ignored = ("emotion",) if not feels and any(passage.emotion for passage in passages) else ()
    parts: list[Part] = []
    count = 0
    for passage in passages:
        if not passage.text:
            parts.append(Part(None, (), passage.pause_s, {}))
            continue
        own = _request(request, passage, info, feels=feels)
        segments = tuple(replace(segment, index=count + n) for n, segment in enumerate(engine.segments(own)))
        said: dict[str, Any] = {}
        if passage.emotion is not None and feels:
            said["emotion"] = passage.emotion.as_dict()
        if passage.speed is not None:
            said["speed"] = passage.speed
        if not segments:
            raise SpeechError("A passage has nothing to say.", fix="Add a word.", param="input", code="nothing_to_say")
        count += len(segments)
        parts.append(Part(own, segments, passage.pause_s, said))
    return parts, ignored


def _request(request: SpeechRequest, passage: markup.Passage, info: EngineInfo, *, feels: bool) -> SpeechRequest:
    """The request of one passage; a speed beyond what the engine speaks is as near as it can."""
    changes: dict[str, Any] = {"text": passage.text, "markup": False}
    if passage.emotion is not None and feels:
        mode = "vector" if passage.emotion.total else "voice"
        changes |= {"emotion": passage.emotion, "emotion_mode": mode, "emotion_text": "", "emotion_reference": ""}
    if passage.speed is not None:
        low, high = info.speed_range
        changes["speed"] = min(max(request.speed * passage.speed, low), high)
    return replace(request, **changes)


def _pcm_frames(pcm: bytes) -> Iterator[bytes]:
    for offset in range(0, len(pcm), FRAME_PCM_BYTES):
        yield encode_pcm(pcm[offset : offset + FRAME_PCM_BYTES])
