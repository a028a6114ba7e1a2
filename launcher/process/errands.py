"""Errands: long work that somebody asks for at the page, done by child processes: verify, fetch, look at what is here.

Invariants: the loop never waits for one; of one kind one runs at a time; what an errand says is bounded; when the
supervisor goes its errands go too (each ends with its standard input, and `close` kills what is left).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher.process.child import ChildSpec, LogSink, describe_exit
from launcher.process.control import RefusedError
from launcher.process.loop import Loop

#: What may be asked for, and whether it wants the name of a model.
KINDS = {"look": False, "verify": False, "fetch": True}
#: Anybody may ask for a look, and a look takes half a second of a processor.
LOOK_EVERY_S = 10.0
#: The past that the page can show.
_KEPT = 12
#: Longer than any line that is meant for us.
_MAX_LINE_BYTES = 512 * 1024
_MAX_NAME_CHARS = 200


@dataclass
class Errand:
    """One of them.

    Attributes:
        number: of this run of the supervisor.
        kind: of `KINDS`.
        model: its object; empty for none.
        state: ``running``, ``done``, ``failed`` or ``cancelled``.
        progress: as `launcher.progress` writes it; ``None`` before and after.
        result: what it found; ``None`` before.
        error: ``{"message", "fix"}`` when it failed.
        started_at, ended_at: seconds since 1970.
    """

    number: int
    kind: str
    model: str
    state: str = "running"
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The value as the page gets it."""
        return {
            "number": self.number,
            "kind": self.kind,
            "model": self.model,
            "state": self.state,
            "progress": self.progress,
            "result": self.result,
            "error": self.error,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }


class Errands:
    """Sends them and hears from them. Everything but the threads that read happens in the loop.

    Args:
        loop: where.
        spec: says how to start one; called when the first is asked for.
        logs: gets what is not meant for us.
        on_progress: called with an errand whenever it told how far it is.
    """

    def __init__(
        self,
        loop: Loop,
        spec: Callable[[], ChildSpec],
        logs: LogSink,
        on_progress: Callable[[Errand], None] = lambda errand: None,
    ) -> None:
        self._loop = loop
        self._spec = spec
        self._logs = logs
        self._on_progress = on_progress
        self._errands: list[Errand] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._count = 0

    def start(self, message: dict[str, Any]) -> dict[str, Any]:
        """Begins what a message of the control socket asks for: ``kind`` and, for a fetch, ``model``.

        Raises:
            RefusedError: when that cannot be.
        """
        kind, model = str(message.get("kind")), str(message.get("model") or "").strip()
        if kind not in KINDS:
            raise RefusedError(f"There is no errand {kind[:40]!r}: use {', '.join(KINDS)}.")
        if (KINDS[kind] and not model) or model.startswith("-") or len(model) > _MAX_NAME_CHARS:
            raise RefusedError("Name a model or a repository (org/name).")
        for one in self._errands:
            if one.kind == kind == "look" and time.time() - one.started_at < LOOK_EVERY_S:
                return one.to_json()
            if one.kind == kind and one.state == "running":
                if one.model == model:
                    return one.to_json()
                raise RefusedError(f"A {kind} of {one.model or 'everything'} runs already.")
        self._count += 1
        return self._send(Errand(self._count, kind, model), self._spec()).to_json()

    def cancel(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ends the errand with the ``number`` of the message; harmless when it has ended."""
        for one in self._errands:
            if one.number == message.get("number") and one.state == "running":
                one.state = "cancelled"
                self._end(one)
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        """Every errand that is remembered, the newest last."""
        return {"errands": [one.to_json() for one in self._errands]}

    def close(self) -> None:
        """Ends them all."""
        for process in self._processes.values():
            with contextlib.suppress(OSError):
                process.kill()

    def _send(self, errand: Errand, spec: ChildSpec) -> Errand:
        self._errands = [one for one in self._errands if one.kind != errand.kind or one.kind != "look"][-_KEPT + 1 :]
        self._errands.append(errand)
        try:
            process = subprocess.Popen(
                spec.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(spec.environment),
                cwd=spec.cwd,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            self._finish(errand, {"message": f"It cannot be started: {error.strerror}.", "fix": ""})
            return errand
        assert process.stdin is not None
        settings = {**spec.settings, "kind": errand.kind, "model": errand.model}
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()
        try:
            threading.Thread(target=self._hear, args=(errand, process), name="errand", daemon=True).start()
        except RuntimeError as error:  # the system has no thread to give
            _discard(process)
            self._finish(errand, {"message": f"It cannot be started: {error}.", "fix": ""})
            return errand
        self._processes[errand.number] = process
        return errand

    def _hear(self, errand: Errand, process: subprocess.Popen[bytes]) -> None:
        """Reads what it says until it ends; a thread of its own."""
        assert process.stdout is not None and process.stdin is not None
        while line := process.stdout.readline(_MAX_LINE_BYTES):
            message: Any = None
            with contextlib.suppress(ValueError):
                message = json.loads(line)
            if isinstance(message, dict):
                self._loop.call_from_thread(_bound(self._take, errand, message))
            elif text := line.decode("utf-8", "replace").strip():
                self._logs.write("errand", "info", f"{errand.kind}: {text[:2000]}")
        status = process.wait()
        for pipe in (process.stdout, process.stdin):
            with contextlib.suppress(OSError):
                pipe.close()
        self._loop.call_from_thread(_bound(self._ended, errand, {"status": status}))

    def _take(self, errand: Errand, message: dict[str, Any]) -> None:
        if errand.state != "running":
            return
        if isinstance(message.get("progress"), dict):
            errand.progress = message["progress"]
            self._on_progress(errand)
        elif isinstance(message.get("error"), dict):
            words = message["error"]
            errand.error = {"message": str(words.get("message") or ""), "fix": str(words.get("fix") or "")}
        elif isinstance(message.get("result"), dict):
            errand.result = message["result"]

    def _ended(self, errand: Errand, message: dict[str, Any]) -> None:
        self._processes.pop(errand.number, None)
        if errand.state == "running" and errand.result is None and errand.error is None:
            errand.error = {"message": f"It {describe_exit(message['status'])}.", "fix": "See: tts-launcher logs"}
        self._finish(errand, errand.error)

    def _finish(self, errand: Errand, error: dict[str, str] | None) -> None:
        errand.ended_at, errand.progress, errand.error = time.time(), None, error
        if errand.state == "running":
            errand.state = "done" if error is None else "failed"
        if errand.kind != "look":
            what = f"{errand.kind} {errand.model}".strip()
            said = f": {error['message']}" if error else ""
            self._logs.write("errand", "warning" if error else "info", f"{what} {errand.state}{said}")

    def _end(self, errand: Errand) -> None:
        process = self._processes.get(errand.number)
        if process is not None:
            with contextlib.suppress(OSError):
                process.terminate()


def _discard(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that nobody would hear."""
    process.kill()
    process.wait()
    for pipe in filter(None, (process.stdin, process.stdout)):
        with contextlib.suppress(OSError):
            pipe.close()


def _bound(
    act: Callable[[Errand, dict[str, Any]], None], errand: Errand, message: dict[str, Any]
) -> Callable[[], None]:
    return lambda: act(errand, message)
