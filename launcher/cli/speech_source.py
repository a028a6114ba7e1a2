"""Where `say` gets its speech from: the running instance over its port, or an engine of its own.

Invariants: only the standard library speaks HTTP here; whatever ends the command closes the connection, which cancels
the request, and ends the engine that it started; a private engine never looks like a part of an instance.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from launcher.cache.layout import cache_dir, child_environment, instance_paths, prepare
from launcher.channel import open_socket
from launcher.config import Config
from launcher.errors import EngineError, LauncherError, NotRunningError, SpeechError
from launcher.frames import EVENT, Frame, FrameError, FrameReader
from launcher.process.child import Child, ChildSpec
from launcher.process.facts import MARK_VARIABLE
from launcher.process.runfile import RunFile, RunRecord
from launcher.progress import Progress

ReportProgress = Callable[[Progress], None]

#: Longest silence of a server that speaks: one segment on a slow machine, and a queue in front of it.
_SILENCE_S = 600.0
_ANSWER_S = 10.0
#: How long an engine may load: a first start assembles the embedded voice, a GPU engine reads gigabytes.
_LOAD_S = 900.0
_POLL_S = 0.2
_READ_BYTES = 64 * 1024
#: Seconds for a private engine's end before it is killed.
_STOP_S = 5.0
_DEFAULT_ENGINE = "kokoro"
_ANY_HOST = ("", "0.0.0.0", "::")


class SpeechSource(Protocol):
    """Something that speaks."""

    #: ``running`` or ``private``.
    name: str

    def speak(self, request: Mapping[str, Any], report: ReportProgress) -> Iterator[Frame]:
        """The frames of one request, ``start`` to ``end``; waits for the engine and reports how far it is.

        Raises:
            SpeechError: when the request is wrong.
            EngineError: when the engine fails.
        """

    def encoded(self, request: Mapping[str, Any], audio_format: str, report: ReportProgress) -> Iterator[bytes]:
        """One request as a file of ``audio_format`` (mp3, flac, opus).

        Raises:
            SpeechError: when the request is wrong, or this source makes WAV only.
            EngineError: when the engine fails.
        """


@contextlib.contextmanager
def speech_source(config: Config) -> Iterator[SpeechSource]:
    """The running instance when there is one, else a private engine that ends with the context.

    Raises:
        LauncherError: when neither can be had.
    """
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    record = run_file.read() if run_file.state() == "running" else None
    if record is not None and record.port:
        yield RunningInstance(record)
        return
    with PrivateEngine(config) as engine:
        yield engine


class RunningInstance:
    """The instance behind a run record.

    Args:
        record: says where its port is and which token it wants.
    """

    name = "running"

    def __init__(self, record: RunRecord) -> None:
        self._host = "127.0.0.1" if record.host in _ANY_HOST else record.host
        self._port = record.port
        # Bytes: http.client would take text for Latin-1, and a token may be any text.
        self._headers: dict[str, str | bytes] = (
            {"Authorization": f"Bearer {record.token}".encode()} if record.token else {}
        )

    def speak(self, request: Mapping[str, Any], report: ReportProgress) -> Iterator[Frame]:
        """See `SpeechSource`."""
        with contextlib.closing(self._when_ready("/api/speak", request, report)) as answer:
            yield from _frames(answer)

    def encoded(self, request: Mapping[str, Any], audio_format: str, report: ReportProgress) -> Iterator[bytes]:
        """See `SpeechSource`."""
        body = {**request, "input": request["text"], "response_format": audio_format, "voice": request.get("voice")}
        del body["text"]
        with contextlib.closing(self._when_ready("/v1/audio/speech", body, report)) as answer:
            while data := answer.read1(_READ_BYTES):
                yield data

    def _when_ready(self, path: str, body: Mapping[str, Any], report: ReportProgress) -> _Answer:
        """The good answer to a request, asked again while the instance starts.

        Raises:
            LauncherError: on any other answer, or when the engine failed or took too long.
        """
        deadline = time.monotonic() + _LOAD_S
        while True:
            answer = _Answer(self._connect(_SILENCE_S), "POST", path, body, self._headers)
            if answer.status == 200:
                return answer
            with contextlib.closing(answer):
                error = answer.error()
            if answer.status != 503 or time.monotonic() > deadline:
                raise error
            engine = self._engine_state()
            if engine.get("state") == "failed":
                known = engine.get("error") or {}
                raise EngineError(known.get("message") or error.message, fix=known.get("fix") or error.fix)
            _report_loading(engine, report)
            time.sleep(_POLL_S)

    def _engine_state(self) -> dict[str, Any]:
        with contextlib.closing(_Answer(self._connect(_ANSWER_S), "GET", "/api/status", None, self._headers)) as answer:
            snapshot = answer.json()
        engine = (snapshot.get("components") or {}).get("engine")
        return engine if isinstance(engine, dict) else {}

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)


class PrivateEngine:
    """An engine for this one command; a context manager.

    Args:
        config: which engine, on which device, where its files are.
    """

    name = "private"

    def __init__(self, config: Config) -> None:
        self._config = config
        self._paths = instance_paths(config)
        self._address, self._token = self._private_address()
        self._child: Child | None = None

    def __enter__(self) -> PrivateEngine:
        """Starts the engine's process."""
        config = self._config
        prepare(config)
        environment = child_environment(config, os.environ)
        # A mark that is no instance's: a `start` elsewhere must not take this engine for its leftover.
        environment[MARK_VARIABLE] = f"say:{os.urandom(8).hex()}"
        root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        settings = {
            "instance": config.instance,
            "engine": _DEFAULT_ENGINE if config.engine == "auto" else config.engine,
            "address": self._address,
            "control_address": "",
            "token": self._token,
            "cache_dir": str(cache_dir(config)),
            "device": config.device,
            "threads": config.threads,
        }
        spec = ChildSpec("engine", (sys.executable, "-m", "webui.engine.worker"), environment, settings)
        log = _Log(self._paths.log_dir / "say.log")
        self._child = Child(spec, logs=log, on_exit=lambda _child, _status: log.close())
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends the engine's process."""
        if self._child is not None:
            self._child.terminate()
            if not self._child.join(_STOP_S):
                self._child.kill()
                self._child.join(_STOP_S)
        if self._address.startswith("unix:"):
            Path(self._address.removeprefix("unix:")).unlink(missing_ok=True)

    def speak(self, request: Mapping[str, Any], report: ReportProgress) -> Iterator[Frame]:
        """See `SpeechSource`."""
        self._wait_until_ready(report)
        answer = _Answer(self._connect(_SILENCE_S), "POST", "/speak", request, self._headers())
        with contextlib.closing(answer):
            if answer.status != 200:
                raise answer.error()
            yield from _frames(answer)

    def encoded(self, request: Mapping[str, Any], audio_format: str, report: ReportProgress) -> Iterator[bytes]:
        """Refuses: the encoders belong to the page's process."""
        raise SpeechError(
            f"{audio_format} needs a running instance, and there is none.",
            fix="Give a name that ends in .wav, or start one: python -m launcher start",
            param="response_format",
        )

    def _wait_until_ready(self, report: ReportProgress) -> None:
        deadline = time.monotonic() + _LOAD_S
        while time.monotonic() < deadline:
            health = self._health()
            if health.get("state") == "ready":
                return
            error = health.get("error")
            if error:
                raise EngineError(str(error.get("message")), fix=str(error.get("fix") or ""))
            if self._child is None or not self._child.alive:
                raise self._death()
            _report_loading(health, report)
            time.sleep(_POLL_S)
        raise EngineError(f"The engine was not ready after {_LOAD_S:g} s.", fix=f"See {self._log_name()}.")

    def _health(self) -> dict[str, Any]:
        try:
            with contextlib.closing(
                _Answer(self._connect(_ANSWER_S), "GET", "/health", None, self._headers())
            ) as answer:
                return answer.json()
        except NotRunningError:  # it does not listen yet
            return {}

    def _death(self) -> EngineError:
        lines = self._child.last_lines if self._child else []
        reason = f": {lines[-1].removeprefix('ERROR ')[:200]}" if lines else ""
        return EngineError(f"The engine ended while it was loading{reason}", fix=f"See {self._log_name()}.")

    def _log_name(self) -> Path:
        return self._paths.log_dir / "say.log"

    def _headers(self) -> dict[str, str | bytes]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return _ChannelConnection(self._address, timeout_s)

    def _private_address(self) -> tuple[str, str]:
        """Where the engine will listen, and the token that it will want."""
        if os.name == "posix":
            return f"unix:{self._paths.runtime_dir}/say-{os.getpid()}.sock", ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return f"tcp:127.0.0.1:{probe.getsockname()[1]}", os.urandom(16).hex()


class _Log:
    """Keeps what the private engine prints, over the last time's."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace")

    def write(self, component: str, level: str, text: str) -> None:
        """Keeps one line."""
        with contextlib.suppress(OSError, ValueError):  # a full disk, or a last word after the end: not worth a failure
            self._file.write(f"{level.upper()} {component} {text}\n")
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        with contextlib.suppress(OSError):
            self._file.close()


class _ChannelConnection(http.client.HTTPConnection):
    """HTTP over an address as `launcher.channel` writes it."""

    def __init__(self, address: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._address = address

    def connect(self) -> None:
        """Opens the connection."""
        self.sock = open_socket(self._address, self.timeout)


class _Answer:
    """One request and its answer; closing it drops the connection."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str | bytes],
    ) -> None:
        self._connection = connection
        content = None if body is None else json.dumps(body).encode()
        sent = {**headers, "Connection": "close", **({"Content-Type": "application/json"} if content else {})}
        try:
            connection.request(method, path, content, sent)
            self._response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotRunningError(
                f"Nobody answers at {connection.host}:{connection.port} ({error or type(error).__name__}).",
                fix="See what runs: launcher status",
            ) from None
        except BaseException:
            connection.close()
            raise
        self.status = self._response.status

    def read1(self, size: int) -> bytes:
        """The next bytes of the body, empty at its end.

        Raises:
            EngineError: when the connection broke.
        """
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException):
            raise _broken() from None

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            value = json.loads(self._response.read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        return value if isinstance(value, dict) else {}

    def error(self) -> LauncherError:
        """The error that the answer carries."""
        data = self.json().get("error")
        return _error_from(data if isinstance(data, dict) else {}, self.status)

    def close(self) -> None:
        """Drops the connection."""
        self._response.close()
        self._connection.close()


def _frames(answer: _Answer) -> Iterator[Frame]:
    """The answer's frames up to ``end``.

    Raises:
        LauncherError: the answer's ``error`` event, or that it broke off.
    """
    reader = FrameReader()
    while data := answer.read1(_READ_BYTES):
        try:
            frames = reader.feed(data)
        except FrameError:
            raise _broken() from None
        for frame in frames:
            event = frame.event if frame.kind == EVENT else {}
            if event.get("event") == "error":
                raise _error_from(event, int(event.get("http_status") or 500))
            yield frame
            if event.get("event") == "end":
                return
    raise _broken()


def _broken() -> EngineError:
    return EngineError("The engine ended in the middle of the speech.", fix="Say it again; launcher logs says why.")


def _error_from(data: Mapping[str, Any], status: int) -> LauncherError:
    message = str(data.get("message") or f"The server answered {status}.")
    fix = str(data.get("fix") or "")
    if status >= 500:
        return EngineError(message, fix=fix)
    return SpeechError(message, fix=fix, param=str(data.get("param") or ""), http_status=status)


def _report_loading(state: Mapping[str, Any], report: ReportProgress) -> None:
    progress = state.get("progress")
    with contextlib.suppress(KeyError, TypeError, ValueError):
        report(Progress.from_json(progress) if isinstance(progress, dict) else Progress("load"))
