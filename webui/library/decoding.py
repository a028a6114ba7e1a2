"""Uploaded files are decoded in a process of their own: ``python -m webui.library.decoding``.

A decoder is the largest piece of code that a stranger's bytes reach. When it crashes, hangs or wants all the memory,
neither the page nor an engine with its weights goes with it: the process ends, and the upload is refused.

Invariants: the process has bounds of memory, and writes no file; one file takes at most `PATIENCE_S`; requests are JSON
lines on its standard input, an answer is a JSON line and the samples; it ends with the end of its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from launcher.errors import SpeechError
from webui.library.recordings import Finding, VoiceRecording, read_recording

#: Half an hour of the slowest format takes 20 s on a slow machine.
PATIENCE_S = 90.0
#: Address space of the process: libraries 0.6 GB, the longest recording with the most channels 0.3 GB.
MAX_MEMORY_BYTES = 3 * 2**30
_ROOT = Path(__file__).resolve().parents[2]


class Decoder:
    """A process that decodes; a context manager. For one thread at a time.

    Args:
        command: starts it; tests pass another.
        patience_s: for one file.
    """

    def __init__(
        self,
        command: tuple[str, ...] = (sys.executable, "-m", "webui.library.decoding"),
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._command = command
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def read(
        self, path: Path, *, start_s: float = 0.0, end_s: float | None = None, trim: bool = True
    ) -> VoiceRecording:
        """As `webui.library.recordings.read_recording`, which it calls there.

        Raises:
            SpeechError: when it is no sound file, no voice can be had from it, or the decoder did not survive it.
        """
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(self._patience_s, process.kill)
        timer.start()
        try:
            asked = {"path": str(path), "start_s": start_s, "end_s": end_s, "trim": trim}
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            return _received(process.stdout)
        except (OSError, EOFError, ValueError):
            self.close()
            raise SpeechError(
                "The recording cannot be decoded.",
                fix="Save it as WAV with another program, and send that.",
                code="unreadable_recording",
            ) from None
        finally:
            timer.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def decode(path: Path, *, start_s: float = 0.0, end_s: float | None = None, trim: bool = True) -> VoiceRecording:
    """One file in a process of its own; see `Decoder.read`."""
    with Decoder() as decoder:
        return decoder.read(path, start_s=start_s, end_s=end_s, trim=trim)


def serve(source: IO[bytes], target: IO[bytes]) -> None:
    """Answers requests until their end."""
    for line in source:
        asked: dict[str, Any] = json.loads(line)
        pcm = b""
        try:
            recording = read_recording(Path(asked.pop("path")), **asked)
            pcm = recording.pcm.astype("<i2", copy=False).tobytes()
            answer = {**_described(recording), "pcm_bytes": len(pcm)}
        except SpeechError as error:
            facts = {"fix": error.fix, "param": error.param, "code": error.code, "http_status": error.http_status}
            answer = {"error": error.message, **facts}
        target.write(json.dumps(answer).encode() + b"\n" + pcm)
        target.flush()


def _described(recording: VoiceRecording) -> dict[str, Any]:
    names = ("sample_rate_hz", "level_dbfs", "peak_dbfs", "noise_dbfs")
    return {
        **{name: getattr(recording, name) for name in names},
        "findings": [asdict(finding) for finding in recording.findings],
    }


def _received(source: IO[bytes]) -> VoiceRecording:
    line = source.readline()
    if not line:
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise SpeechError(answer.pop("error"), **answer)
    size_bytes = answer.pop("pcm_bytes")
    pcm = source.read(size_bytes)
    if len(pcm) != size_bytes:
        raise EOFError
    findings = tuple(Finding(**finding) for finding in answer.pop("findings"))
    return VoiceRecording(pcm=np.frombuffer(pcm, "<i2"), findings=findings, **answer)


def _bound() -> None:
    """Takes rights away that decoding does not need; where the system has no such limits, there is the time alone."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _bound()
    serve(sys.stdin.buffer, sys.stdout.buffer)
