"""Speaks the rows of jobs, as many at once as there are engines, behind whoever waits at the page.

Invariants: the jobs take turns; a row is begun only when nobody else waits, and put back when somebody comes; an engine
that is away, or has failed for good, costs a row nothing; one that dies under the same row again and again makes that
row fail; what a row did wrong is written at the row, what the disk did stops its job with a sentence; what a full disk
does not take is written when it has room again, and until then nothing else is begun in its place; no failure ends the
runner; ending it puts back what was being spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from launcher.errors import LauncherError, SpeechError, StorageError
from launcher.frames import PCM, Frame
from webui.audio import wav_header
from webui.engine.base import EngineInfo
from webui.engine.client import EngineAwayError, EngineFailedError
from webui.jobs.fitting import Spoken, speak_fitted
from webui.jobs.records import JobRow
from webui.jobs.store import JobStore, Result
from webui.queueing import AskedToLeaveError, QueueFullError

_log = logging.getLogger(__name__)

#: Frames of one row, from its `SpeechRequest`'s object and its job's options.
SpeakRow = Callable[[Mapping[str, Any], Mapping[str, Any]], AsyncGenerator[Frame, None]]

#: How often a row may end because its engine died before the row is to blame; each time it is tried twice, and the
#: launcher starts an engine again five times a minute.
MAX_DEATHS = 2
#: Between two looks at an engine that is away or a disk that takes nothing, and at a queue that is full, in seconds.
AWAY_POLL_S, FULL_POLL_S = 2.0, 1.0


class Runner:
    """Speaks what waits in a store.

    Args:
        store: the jobs.
        speak: speaks a row; waits for its turn.
        info: what the engine can.
        width: rows at once.
        away_poll_s: between two tries while the engine is away, or the disk takes nothing.
    """

    def __init__(
        self,
        store: JobStore,
        speak: SpeakRow,
        info: Callable[[], Awaitable[EngineInfo]],
        width: Callable[[], int],
        *,
        away_poll_s: float = AWAY_POLL_S,
    ) -> None:
        self._store = store
        self._speak = speak
        self._info = info
        self._width = width
        self._away_poll_s = away_poll_s
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], JobRow] = {}
        self._turns: deque[str] = deque()
        self._deaths: dict[tuple[str, int], int] = {}
        self._unwritable = False
        #: Why nothing is spoken although something waits: a sentence; empty when something is.
        self.trouble = ""
        #: Why nothing was spoken, and will not be until somebody helps; ``None`` when something is, or may be.
        self.failure: EngineFailedError | None = None

    @property
    def width(self) -> int:
        """Rows that are spoken at once."""
        return max(self._width(), 1)

    def wake(self) -> None:
        """Says that there may be something to speak, and that something has changed."""
        self._wake.set()
        self._announce()

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change of any job; take it before looking at the store, so that none is missed."""
        return self._changed

    def stop_rows(self, job_id: str) -> None:
        """Cancels what is being spoken of a job."""
        for task, row in self._tasks.items():
            if row.job == job_id:
                task.cancel()

    async def run(self) -> None:
        """Speaks until it is cancelled."""
        try:
            while True:
                self._wake.clear()
                while len(self._tasks) < self.width and (row := await self._next()) is not None:
                    task = asyncio.create_task(self._do(row))
                    self._tasks[task] = row
                    task.add_done_callback(self._ended)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._away_poll_s if self._unwritable else None)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _next(self) -> JobRow | None:
        """A row of the job whose turn it is."""
        self._unwritable = False
        try:
            waiting = await asyncio.to_thread(self._store.waiting)
            order = [job for job in self._turns if job in waiting]
            self._turns = deque([*(job for job in waiting if job not in order), *order])
            while self._turns:
                job = self._turns.popleft()
                row = await asyncio.to_thread(self._store.take, job)
                if row is not None:
                    self._turns.append(job)
                    self._announce()
                    return row
        except StorageError as error:
            self._unwritable = True
            self._say(error)
        except Exception:  # noqa: BLE001 - whatever it is (no thread to be had, say), the next look may succeed
            self._unwritable = True
            _log.exception("jobs cannot be looked at")
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self.wake()

    def _announce(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def _do(self, row: JobRow) -> None:
        key = (row.job, row.position)
        self.failure = None  # it may have been started again
        try:
            await self._speak_and_keep(row)
            self._deaths.pop(key, None)
            self.trouble = ""
        except asyncio.CancelledError:
            await self._put_back_at_once(row)
            raise
        except (QueueFullError, AskedToLeaveError):
            await self._later(row, FULL_POLL_S)
        except EngineAwayError as error:
            self._deaths[key] = self._deaths.get(key, 0) + error.died
            if self._deaths[key] >= MAX_DEATHS:
                self._deaths.pop(key)
                words = "The engine ended every time it spoke this row."
                await self._fail(row, words, "Change its text or voice, then retry it.")
            else:
                self.trouble = str(error)
                await self._later(row, 0.0 if error.died else self._away_poll_s)
        except EngineFailedError as error:
            self.trouble, self.failure = str(error), error
            await self._later(row, self._away_poll_s)
        except StorageError as error:
            note = {"message": error.message, "fix": error.fix}
            await self._write(partial(self._store.put_back, row))
            await self._write(partial(self._store.wish, row.job, "pause", note=note))
        except LauncherError as error:
            await self._fail(row, error.message, error.fix)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rows go on, and this one says so
            _log.error("row %d of job %s failed", row.position, row.job, exc_info=error)
            await self._fail(row, "Something went wrong here.", "The log has the details: tts-launcher logs.")

    async def _fail(self, row: JobRow, message: str, fix: str) -> None:
        await self._write(partial(self._store.fail, row, message, fix))

    async def _write(self, change: Callable[[], object]) -> None:
        """Makes a change of the store; where the disk takes nothing, again and again until it does."""
        while True:
            try:
                await asyncio.to_thread(change)
                return
            except SpeechError:
                return  # the job has been deleted meanwhile
            except StorageError as error:
                self._say(error)
            await asyncio.sleep(self._away_poll_s)

    async def _put_back_at_once(self, row: JobRow) -> None:
        """For a row that is given up; one that the disk does not take back is queued again by the next start."""
        with contextlib.suppress(StorageError):
            await asyncio.shield(asyncio.to_thread(self._store.put_back, row))

    def _say(self, error: StorageError) -> None:
        if str(error) != self.trouble:
            _log.error("jobs cannot go on: %s", error)
        self.trouble = str(error)
        self._announce()

    async def _later(self, row: JobRow, seconds: float) -> None:
        """Puts a row back, and holds its place for a moment so that the next one does not run into the same."""
        self._announce()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await self._put_back_at_once(row)
            raise
        await self._write(partial(self._store.put_back, row))

    async def _speak_and_keep(self, row: JobRow) -> None:
        job = await asyncio.to_thread(self._store.job, row.job)

        async def once(request: Mapping[str, Any]) -> Spoken:
            return await _collect(self._speak(request, job.options))

        if row.start_s is not None and row.end_s is not None:
            tempo = float(job.options["max_tempo"])
            spoken = await speak_fitted(row.request, row.end_s - row.start_s, once, await self._info(), tempo)
        else:
            spoken = await once(row.request)
        await asyncio.to_thread(self._keep, row, spoken)

    def _keep(self, row: JobRow, spoken: Spoken) -> None:
        path = self._store.parts / f"{uuid.uuid4().hex}.wav"
        try:
            _write(path, spoken)
            fit = {**spoken.fit, "findings": list(spoken.findings)} if spoken.findings else spoken.fit
            facts = (len(spoken.pcm), spoken.sample_rate_hz, spoken.synthesis_s, spoken.seed, fit)
            self._store.finish(row, Result(path, *facts))
        except OSError as error:
            raise StorageError(
                f"A row's sound cannot be written: {error.strerror or error}.", fix="Free space there, then resume."
            ) from None
        finally:
            path.unlink(missing_ok=True)


def _write(path: Path, spoken: Spoken) -> None:
    data = spoken.pcm.astype("<i2", copy=False).tobytes()
    with path.open("wb") as file:
        file.write(wav_header(spoken.sample_rate_hz, len(data)))
        file.write(data)


async def _collect(frames: AsyncGenerator[Frame, None]) -> Spoken:
    """The whole of one row.

    Raises:
        SpeechError: when nothing came of it.
        LauncherError: what speaking raised.
    """
    pcm, rate_hz, synthesis_s, seed = bytearray(), 0, 0.0, None
    findings: dict[str, None] = {}
    try:
        async with contextlib.aclosing(frames):
            async for frame in frames:
                if frame.kind == PCM:
                    pcm += frame.payload
                    continue
                event = frame.event
                if event.get("event") == "start":
                    rate_hz = int(event["sample_rate_hz"])
                    pcm.clear()  # a second start: the engine died, and speaks it all again
                    findings.clear()
                elif event.get("event") == "mark":
                    findings |= dict.fromkeys(str(finding["kind"]) for finding in event.get("findings", ()))
                elif event.get("event") == "end":
                    synthesis_s, seed = float(event.get("synthesis_s") or 0.0), event.get("seed")
    except EngineAwayError as error:
        error.died = error.died or rate_hz > 0  # it had begun with this row
        raise
    if not pcm or not rate_hz:
        raise SpeechError("Nothing was said of it.", fix="Give the row some words.", code="nothing_said")
    known_seed = seed if isinstance(seed, int) else None
    return Spoken(np.frombuffer(bytes(pcm), "<i2"), rate_hz, synthesis_s, known_seed, {}, tuple(findings))
