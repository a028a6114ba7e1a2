"""Holds one engine: loads it, lets it speak one request at a time, unloads it, and knows what state it is in.

Invariants: every method of the engine runs in the same one thread, in the order asked for; a request's audio waits
in a bounded pipe, so a slow reader stops the engine instead of filling the memory; closing the generator that `speak`
returned cancels the request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.errors import EngineError, LauncherError, SpeechError
from launcher.frames import encode_event
from launcher.progress import Progress
from webui.engine.offer import check_offer
from webui.engine.performance import Performance

if TYPE_CHECKING:  # numpy costs more than everything that `/health` needs; the engine's thread imports it
    from webui.engine.base import Cancellation, Engine, EngineInfo, SpeechRequest, WordReading
    from webui.engine.checking import Ear

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Frames that may wait for the reader: 45 s of 24 kHz sound in 2 MB.
PIPE_FRAMES = 32
#: A reader that takes nothing for so long has lost interest and must not block everybody else.
STALL_S = 60.0


class EngineHolder:
    """One engine and its thread.

    Args:
        name: shown in `/health`.
        create: makes the engine, not loaded; imports what it needs; runs in the engine's thread.
        on_progress: told about every step of loading, in the engine's thread.
        on_lost: called when nothing can be computed in this process any more; does not return where that ends it.
        usual_quality: what `SpeechRequest.quality` means by ``auto``.
        ear: listens to what is spoken, where it is looked at.
    """

    def __init__(
        self,
        name: str,
        create: Callable[[], Engine],
        on_progress: Callable[[Progress], None],
        on_lost: Callable[[], object] = lambda: None,
        *,
        usual_quality: str = "off",
        ear: Ear | None = None,
    ) -> None:
        self.name = name
        self._usual_quality = usual_quality
        self._ear = ear
        self.state = "loading"
        self.error: LauncherError | None = None
        self.progress: Progress | None = None
        self.info: EngineInfo | None = None
        self._create = create
        self._on_progress = on_progress
        self._on_lost = on_lost
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._jobs: set[Future[None]] = set()
        self._running: Cancellation | None = None
        self._used_at = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether a request is spoken or waits; a cancelled one counts until the engine has let go of it."""
        return bool(self._jobs)

    @property
    def idle_s(self) -> float:
        """Seconds since it was last asked for anything; 0 while it is busy."""
        return 0.0 if self.busy else time.monotonic() - self._used_at

    async def load(self) -> EngineInfo:
        """Loads the engine unless it is loaded, and returns what it is.

        Raises:
            LauncherError: why it cannot be loaded; the state is then ``failed``.
        """
        return await self._in_thread(self._load)

    async def unload(self) -> None:
        """Gives the engine's memory back, after the requests that came before."""
        await self._in_thread(self._unload)

    async def segments(self, request: SpeechRequest) -> list[dict[str, Any]]:
        """How the engine will cut the request's text: `Performance.described_segments`.

        Raises:
            LauncherError: when it cannot.
        """
        self._check_state()
        return await self._in_thread(self._segments, request)

    async def readings(self, text: str, language: str) -> list[WordReading]:
        """How the engine will read a text.

        Raises:
            LauncherError: when it cannot, or does not say.
        """
        self._check_state()
        return await self._in_thread(self._readings, text, language)

    def stop(self) -> None:
        """Cancels what is spoken; for the end of the process."""
        if self._running is not None:
            self._running.cancel()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        """Speaks, as encoded frames from ``start`` to ``end``; loads the engine first when it is unloaded.

        Raises:
            SpeechError: when the request is wrong.
            EngineError: when the engine is not there or fails.
        """
        from webui.engine.base import Cancellation

        self._check_state()
        cancellation = Cancellation()
        pipe = _FramePipe(asyncio.get_running_loop(), cancellation)
        job = self._thread.submit(self._speak_into, pipe, request, cancellation)
        self._jobs.add(job)
        job.add_done_callback(self._forget)
        try:
            while (item := await pipe.take()) is not None:
                if isinstance(item, LauncherError):
                    raise item
                yield item
        finally:
            cancellation.cancel()

    def _forget(self, job: Future[None]) -> None:
        self._used_at = time.monotonic()
        self._jobs.discard(job)

    def _check_state(self) -> None:
        if self.state == "failed" and self.error is not None:
            raise self.error
        if self.state == "loading":
            raise EngineLoadingError()

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _load(self) -> EngineInfo:
        if self.state == "ready" and self.info is not None:
            return self.info
        self.state, self.error = "loading", None
        try:
            self._report(Progress("import", 0, 1))
            engine = self._engine or self._create()
            self.info = engine.info()
            self._report(Progress("import", 1, 1))
            engine.load(self._report)
        except LauncherError as error:
            self.state, self.error = "failed", error
            raise
        except Exception as error:
            _log.exception("the engine failed to load")
            self.state, self.error = "failed", _unexpected("failed to load", self.name, error)
            raise self.error from error
        self._engine, self.info = engine, engine.info()
        self.state, self.progress = "ready", None
        self._used_at = time.monotonic()
        return self.info

    def _report(self, progress: Progress) -> None:
        self.progress = progress
        self._on_progress(progress)

    def _unload(self) -> None:
        if self._engine is not None and self.state == "ready":
            self._engine.unload()
            if self._ear is not None:
                self._ear.close()
            self.state = "unloaded"

    def _loaded_engine(self) -> Engine:
        if self.state == "unloaded":
            self._load()
        if self._engine is None or self.state != "ready":
            raise self.error or EngineLoadingError()
        return self._engine

    def _segments(self, request: SpeechRequest) -> list[dict[str, Any]]:
        if self._engine is None:
            raise self.error or EngineLoadingError()
        return Performance(self._engine, self._engine.info(), request).described_segments()

    def _readings(self, text: str, language: str) -> list[WordReading]:
        from webui.engine.base import Reader

        engine = self._loaded_engine()
        if not isinstance(engine, Reader):
            raise SpeechError(f"The engine {self.name} does not say how it reads.", code="not_offered")
        return engine.readings(text, language)

    def _speak_into(self, pipe: _FramePipe, request: SpeechRequest, cancellation: Cancellation) -> None:
        """Runs one request in the engine's thread; whatever happens, the pipe is ended."""
        from webui.engine.base import Cancelled, EngineLostError

        self._running = cancellation
        try:
            cancellation.check()
            engine = self._loaded_engine()
            info = engine.info()
            check_offer(request, info)
            performance = Performance(engine, info, request, usual_quality=self._usual_quality, ear=self._ear)
            with _told(engine, pipe, performance):
                for frame in performance.frames(cancellation):
                    pipe.put(frame)
        except Cancelled:
            _log.info("a request was cancelled")
        except EngineLostError as error:
            _log.exception("the engine is lost")
            self._on_lost()
            pipe.end(error)
        except LauncherError as error:
            pipe.end(error)
        except Exception as error:  # noqa: BLE001 - libraries raise anything, and the next request must still work
            _log.exception("the engine failed while speaking")
            pipe.end(_unexpected("failed while it was speaking", self.name, error))
        finally:
            self._running = None
            pipe.end(None)


@contextmanager
def _told(engine: Engine, pipe: _FramePipe, performance: Performance) -> Iterator[None]:
    """While the block runs, what the engine says of a segment's progress goes into the pipe."""
    from webui.engine.base import ReportsWhileSpeaking

    if not isinstance(engine, ReportsWhileSpeaking):
        yield
        return
    whole = performance.whole
    engine.report_speech_to(lambda progress: pipe.put(encode_event("progress", **whole(progress).to_json())))
    try:
        yield
    finally:
        engine.report_speech_to(None)


class EngineLoadingError(EngineError):
    """The engine is not ready yet; the same request will work in a moment."""

    def __init__(self) -> None:
        super().__init__("The engine is still loading.", fix="Try again in a few seconds.")


class _FramePipe:
    """Frames from the engine's thread to the event loop; holds `PIPE_FRAMES` of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cancellation: Cancellation) -> None:
        self._loop = loop
        self._cancellation = cancellation
        self._slots = threading.Semaphore(PIPE_FRAMES)
        self._items: asyncio.Queue[bytes | LauncherError | None] = asyncio.Queue()
        # There is one producer, so one slot is enough to wake it.
        cancellation.on_cancel(self._slots.release)

    def put(self, frame: bytes) -> None:
        """Hands a frame over; waits while the pipe is full.

        Raises:
            Cancelled: when the request was cancelled meanwhile.
            SpeechError: when the reader took nothing for `STALL_S`.
        """
        if not self._slots.acquire(timeout=STALL_S):
            raise SpeechError(
                f"The reader took no sound for {STALL_S:g} s.",
                fix="Read the answer as it comes.",
                code="reader_stalled",
                http_status=408,
            )
        self._cancellation.check()
        self._hand_over(frame)

    def end(self, error: LauncherError | None) -> None:
        """Says that nothing follows."""
        self._hand_over(error)

    async def take(self) -> bytes | LauncherError | None:
        """The next frame, the error that ended the request, or ``None`` at its end."""
        item = await self._items.get()
        self._slots.release()
        return item

    def _hand_over(self, item: bytes | LauncherError | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


def _unexpected(what: str, name: str, error: Exception) -> EngineError:
    reason = str(error).split("\n", 1)[0][:200]
    return EngineError(
        f"The engine {name!r} {what} ({type(error).__name__}{': ' if reason else ''}{reason}).",
        fix="The log has the details: tts-launcher logs.",
    )
