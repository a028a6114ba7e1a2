"""Takes as they are spoken: what goes to a listener is kept, and the listener does not wait for it.

Invariants: a frame is passed on before anything is done with it but a note in memory; a thread of its own writes, so
a slow disk delays nobody; what waits for that thread is bounded, a take beyond it is not kept; only a take that was
spoken to its end is kept; a failure to keep one is a line in the log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from launcher.errors import LauncherError
from launcher.frames import EVENT, PCM, Frame
from webui.engine.base import SpeechRequest
from webui.library.history import HistoryStore, Take
from webui.library.voices import VoiceStore

_log = logging.getLogger(__name__)

#: Seconds that takes which are still being written get when the page ends.
CLOSE_S = 2.0
#: Sound that may wait for the disk, in bytes: about 20 minutes of speech.
MAX_WAITING_BYTES = 64 << 20
#: Samples encoded at once.
_BLOCK_SAMPLES = 65_536


@dataclass(frozen=True)
class Origin:
    """Where a take comes from.

    Attributes:
        request: as it was asked, with ids of voices and no path.
        engine: its name; ``weights``: commit of each of its repositories.
        source: ``page`` or ``api``.
        voices: voices of the library that it is spoken with.
    """

    request: SpeechRequest
    engine: str
    weights: Mapping[str, str]
    source: str
    voices: tuple[str, ...] = ()


@dataclass
class _Draft:
    """A take that is being spoken; touched by the writing thread alone, but for ``id`` and ``skipped``."""

    id: str
    origin: Origin
    path: Path
    file: IO[bytes] | None = None
    sample_rate_hz: int = 0
    segments: list[dict[str, Any]] = field(default_factory=list)
    lost: bool = False
    skipped: bool = False


class Recorder:
    """Keeps takes.

    Args:
        history: where they go; ``None`` keeps none, and only counts how often voices are used.
        voices: whose uses are counted.
        parts: folder for unfinished files.
        max_waiting_bytes: sound that may wait for the disk.
    """

    def __init__(
        self,
        history: HistoryStore | None,
        voices: VoiceStore,
        parts: Path,
        *,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._history = history
        self._voices = voices
        self._parts = parts
        self._max_waiting_bytes = max_waiting_bytes
        #: Sound given to the writing thread and taken by it; each is counted in one thread only.
        self._given_bytes = self._taken_bytes = 0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Sound that waits for the disk."""
        return self._given_bytes - self._taken_bytes

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Ends the thread once it has written what it was given, or leaves it when that takes longer."""
        self._work.put(None)
        self._thread.join(timeout_s)

    def begin(self, origin: Origin) -> str:
        """The id that a take will have; empty when takes are not kept."""
        return uuid.uuid4().hex if self._history is not None else ""

    async def keep(
        self, frames: AsyncGenerator[Frame, None], origin: Origin, take_id: str
    ) -> AsyncGenerator[Frame, None]:
        """Passes frames on and keeps what they say; the ``start`` event gets ``take``, the take's id.

        Args:
            frames: of one request; closed with this generator.
            origin: of the take.
            take_id: from `begin`.
        """
        draft = _Draft(take_id, origin, self._parts / f"{take_id or uuid.uuid4().hex}.pcm")
        ended = False
        async with contextlib.aclosing(frames):
            try:
                async for frame in frames:
                    event = frame.event if frame.kind == EVENT else {}
                    ended = ended or event.get("event") == "end"
                    self._give(draft, frame, event)
                    if event.get("event") == "start" and take_id:
                        frame = Frame(EVENT, json.dumps({**event, "take": take_id}).encode())  # noqa: PLW2901
                    yield frame
            finally:
                self._work.put(lambda: self._finish(draft, ended))

    def _give(self, draft: _Draft, frame: Frame, event: Mapping[str, Any]) -> None:
        if frame.kind == PCM:
            if self.waiting_bytes > self._max_waiting_bytes or draft.skipped:
                draft.skipped = True
                return
            self._given_bytes += len(frame.payload)
        self._work.put(lambda: self._note(draft, frame, event))

    # --- the writing thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - whatever it is, speech was heard, and the next take may succeed
                _log.exception("a take could not be kept")

    def _note(self, draft: _Draft, frame: Frame, event: Mapping[str, Any]) -> None:
        name = event.get("event")
        if frame.kind == PCM:
            self._taken_bytes += len(frame.payload)
        if name == "start":
            is_first = not draft.sample_rate_hz
            self._restart(draft, event)
            if is_first and draft.origin.voices:
                self._voices.count_use(draft.origin.voices)
        elif name == "segment":
            self._mark(draft, event)
        elif name == "mark":
            self._remark(draft, event)
        elif frame.kind == PCM and self._history is not None and not draft.lost:
            try:
                if draft.file is None:
                    draft.file = draft.path.open("wb")
                draft.file.write(frame.payload)
            except OSError as error:
                draft.lost = True
                _log.warning("a take could not be kept: %s", error)
        elif name == "end":
            self._end(draft, event)

    def _restart(self, draft: _Draft, event: Mapping[str, Any]) -> None:
        """The beginning; a second one when the engine died and speaks it all again."""
        self._discard(draft)
        draft.sample_rate_hz = int(event["sample_rate_hz"])
        draft.segments = [{**segment, "start_s": None} for segment in event.get("segments", [])]

    def _mark(self, draft: _Draft, event: Mapping[str, Any]) -> None:
        index = int(event.get("index", -1))
        if 0 <= index < len(draft.segments) and draft.sample_rate_hz:
            draft.segments[index]["start_s"] = round(int(event.get("start_sample", 0)) / draft.sample_rate_hz, 3)

    @staticmethod
    def _remark(draft: _Draft, event: Mapping[str, Any]) -> None:
        """What was thought of a segment, and with which seed it was spoken when that is its own."""
        index = int(event.get("index", -1))
        if 0 <= index < len(draft.segments):
            draft.segments[index] |= {name: event[name] for name in ("findings", "redos", "seed") if event.get(name)}

    def _end(self, draft: _Draft, event: Mapping[str, Any]) -> None:
        if draft.skipped:
            _log.warning("a take is not kept: the disk is too slow for all that is spoken")
        if draft.file is None or draft.lost or draft.skipped or self._history is None:
            return
        sound = draft.path.with_suffix(".flac")
        try:
            draft.file.close()
            _to_flac(draft.path, sound, draft.sample_rate_hz)
            self._history.add(_take(draft, event, sound.stat().st_size), sound)
        except (LauncherError, OSError, RuntimeError) as error:  # soundfile's own errors are RuntimeErrors
            _log.warning("a take could not be kept: %s", error)
        finally:
            sound.unlink(missing_ok=True)

    def _finish(self, draft: _Draft, ended: bool) -> None:
        if not ended and draft.file is not None:
            _log.debug("a take was not spoken to its end")
        self._discard(draft)

    @staticmethod
    def _discard(draft: _Draft) -> None:
        if draft.file is not None:
            with contextlib.suppress(OSError):  # a full disk does not take the rest now, either
                draft.file.close()
            draft.file = None
        draft.path.unlink(missing_ok=True)


def _take(draft: _Draft, event: Mapping[str, Any], size_bytes: int) -> Take:
    request = draft.origin.request
    return Take(
        id=draft.id,
        created_at=time.time(),
        engine=draft.origin.engine,
        voice=request.voice,
        language=request.language,
        source=draft.origin.source,
        seed=request.seed,
        duration_s=round(draft.path.stat().st_size / 2 / draft.sample_rate_hz, 3),
        synthesis_s=float(event.get("synthesis_s") or 0.0),
        sample_rate_hz=draft.sample_rate_hz,
        size_bytes=size_bytes,
        file=f"{draft.id}.flac",
        text=request.text,
        weights=dict(draft.origin.weights),
        request=request.to_json(),
        segments=draft.segments,
    )


def _to_flac(source: Path, target: Path, sample_rate_hz: int) -> None:
    import soundfile  # libsndfile leaves Python's lock alone while it encodes

    class Unsynced(soundfile.SoundFile):  # type: ignore[misc]
        """Whoever takes the file in brings it to the disk; doing it twice halves what a slow disk can follow."""

        def flush(self) -> None: ...

    with (
        source.open("rb") as raw,
        Unsynced(target, "w", sample_rate_hz, 1, subtype="PCM_16", format="FLAC") as sound,
    ):
        while block := raw.read(_BLOCK_SAMPLES * 2):
            sound.write(np.frombuffer(block[: len(block) // 2 * 2], "<i2"))
