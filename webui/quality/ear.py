"""The ear: speech is read back by a process of its own and compared with its text.

Invariants: it is started when something is to be heard for the first time and both its packages and its model are
there, and ends with whoever started it; it never fails a request: an ear that is ill, slow or absent hears nothing.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from launcher.frames import FrameReader, encode_event, encode_pcm
from webui.audio import Pcm
from webui.hub_cache import find_snapshot
from webui.quality.findings import Finding
from webui.quality.inspection import Asked
from webui.quality.wording import COMPARED

_log = logging.getLogger(__name__)

#: The model's repository (the catalog's ``whisper-base``), and what must be there of it.
REPOSITORY = "Systran/faster-whisper-base"
_FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
#: Share of the words, and number of them, from which on a segment is misread: the embedded voice's sentences are read
#: back with fewer errors than that (docs/quality.md has the figures).
_MISREAD_SHARE, _MISREAD_WORDS = 0.4, 4
#: The first answer waits for the model, which a cold disk takes seconds for.
_ANSWER_S = 60.0
_READ_BYTES = 1 << 16
_PCM_BYTES = 1 << 20


class ListeningProcess:
    """An ear.

    Args:
        command: of the process, to which the model's folder and the threads are added (see `recogniser`).
        hub_cache: where the model may lie.
        threads: of the process.
        answer_s: how long an answer may take.
    """

    def __init__(
        self, command: Sequence[str], hub_cache: Path, threads: int = 0, *, answer_s: float = _ANSWER_S
    ) -> None:
        self._command = tuple(command)
        self._hub_cache = hub_cache
        self._threads = threads
        self._answer_s = answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = FrameReader()
        self._ill = self._told = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ear")

    def listen(self, pcm: Pcm, rate_hz: int, asked: Asked) -> Future[Finding | None]:
        """What differs too much from the text, if anything.

        Args:
            pcm: shape (samples,), int16, mono.
            rate_hz: samples per second.
            asked: what it should say.
        """
        return self._thread.submit(self._listen, pcm, rate_hz, asked)

    def close(self) -> None:
        """Gives its memory back; `listen` may follow."""
        self._thread.submit(self._end)

    def _listen(self, pcm: Pcm, rate_hz: int, asked: Asked) -> Finding | None:
        if self._ill or asked.language not in COMPARED or not len(pcm):
            return None
        model = find_model(self._hub_cache)
        if model is None:
            if not self._told:
                self._told = True
                _log.info("speech is not read back: its model is missing; get it with: tts-launcher fetch whisper-base")
            return None
        try:
            heard = self._ask(model, pcm, rate_hz, asked)
        except (OSError, ValueError, EOFError) as error:  # a frame that is none is a ValueError
            _log.warning("speech is not read back any more: %s", error)
            self._ill = True
            self._end()
            return None
        words, errors = int(heard["words"]), int(heard["errors"])
        if errors < _MISREAD_WORDS or errors < _MISREAD_SHARE * words:
            return None
        return Finding("misread", min(errors / max(words, 1), 1.0), _MISREAD_SHARE)

    def _ask(self, model: Path, pcm: Pcm, rate_hz: int, asked: Asked) -> dict[str, Any]:
        process = self._started(model)
        assert process.stdin is not None and process.stdout is not None
        watchdog = threading.Timer(self._answer_s, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            process.stdin.write(encode_event("listen", rate_hz=rate_hz, text=asked.text, language=asked.language))
            data = np.ascontiguousarray(pcm, "<i2").tobytes()
            for start in range(0, len(data), _PCM_BYTES):
                process.stdin.write(encode_pcm(data[start : start + _PCM_BYTES]))
            process.stdin.write(encode_event("end"))
            process.stdin.flush()
            while True:
                came = process.stdout.read1(_READ_BYTES)  # type: ignore[attr-defined]
                if not came:
                    raise EOFError("its process has ended; is the extra listen installed whole?")
                for frame in self._reader.feed(came):
                    return frame.event
        finally:
            watchdog.cancel()

    def _started(self, model: Path) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._reader = FrameReader()
            command = [*self._command, str(model), str(self._threads)]
            # Its words of failure go to the log, where the engine's go.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what was not written goes nowhere
                    if pipe is not None:
                        pipe.close()


def find_model(hub_cache: Path) -> Path | None:
    """The folder with the recogniser's model; ``None`` when it is not whole on this disk."""
    snapshot, lacking = find_snapshot(hub_cache, REPOSITORY, _FILES)
    return None if lacking else snapshot
