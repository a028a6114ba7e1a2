"""Where `say` gets its speech from: the running instance over its port, or an engine of its own.

Invariants: only the standard library speaks HTTP here; whatever ends the command closes the connection, which cancels
the request, and ends the engine that it started; a private engine never looks like a part of an instance.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from launcher.apps import Addresses, child_specs
from launcher.cache.folders import private_opener
from launcher.cache.layout import instance_paths, prepare
from launcher.cli.speech_answer import Answer, ChannelConnection, frames_of
from launcher.config import Config
from launcher.errors import EngineError, NotRunningError, SpeechError, StartError
from launcher.frames import Frame
from launcher.process.child import Child
from launcher.process.runfile import RunFile, RunRecord
from launcher.process.snapshot import APP, ENGINE, PAGE, kind_of
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
    """The running instance when there is one that speaks, else a private engine that ends with the context.

    An instance that runs somebody else's app speaks on that app's page only.

    Raises:
        LauncherError: when neither can be had.
    """
    running = running_instance(config)
    if running is not None:
        yield running
        return
    with PrivateEngine(config) as engine:
        yield engine


def running_instance(config: Config) -> RunningInstance | None:
    """The running instance; ``None`` when there is none that speaks."""
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    record = run_file.read() if run_file.state() == "running" else None
    speaks = record is not None and record.port and APP not in record.children
    return RunningInstance(record, config.tls_cert) if record is not None and speaks else None


class RunningInstance:
    """The instance behind a run record.

    Args:
        record: says where its port is and which token it wants.
        certificate: the file of its certificate, when it speaks HTTPS.
    """

    name = "running"

    def __init__(self, record: RunRecord, certificate: str = "") -> None:
        self._certificate = certificate if record.url.startswith("https:") else ""
        self._host = "127.0.0.1" if record.host in _ANY_HOST else record.host
        self._port = record.port
        # Bytes: http.client would take text for Latin-1, and a token may be any text.
        self._headers: dict[str, str | bytes] = (
            {"Authorization": f"Bearer {record.token}".encode()} if record.token else {}
        )

    def speak(self, request: Mapping[str, Any], report: ReportProgress) -> Iterator[Frame]:
        """See `SpeechSource`."""
        with contextlib.closing(self._when_ready("/api/speak", request, report)) as answer:
            yield from frames_of(answer)

    def encoded(self, request: Mapping[str, Any], audio_format: str, report: ReportProgress) -> Iterator[bytes]:
        """See `SpeechSource`."""
        body = {**request, "input": request["text"], "response_format": audio_format, "voice": request.get("voice")}
        del body["text"]
        with contextlib.closing(self._when_ready("/v1/audio/speech", body, report)) as answer:
            while data := answer.read1(_READ_BYTES):
                yield data

    def ask(self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> Answer:
        """The answer to a request, good or not; close it.

        Raises:
            NotRunningError: when nobody answers.
        """
        return Answer(self._connect(_SILENCE_S), method, path, body, self._headers)

    def _when_ready(self, path: str, body: Mapping[str, Any], report: ReportProgress) -> Answer:
        """The good answer to a request, asked again while the instance starts.

        Raises:
            LauncherError: on any other answer, or when the engine failed or took too long.
        """
        deadline = time.monotonic() + _LOAD_S
        while True:
            answer = Answer(self._connect(_SILENCE_S), "POST", path, body, self._headers)
            if answer.status == 200:
                return answer
            with contextlib.closing(answer):
                error = answer.error()
            if answer.status != 503 or time.monotonic() > deadline:
                raise error
            page, engine = self._states()
            for part, kind in ((page, StartError), (engine, EngineError)):
                if part.get("state") == "failed":
                    known = part.get("error") or {}
                    raise kind(known.get("message") or error.message, fix=known.get("fix") or error.fix)
            _report_loading(engine, report)
            time.sleep(_POLL_S)

    def _states(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The page's part of the snapshot, and the engine's."""
        with contextlib.closing(Answer(self._connect(_ANSWER_S), "GET", "/api/status", None, self._headers)) as answer:
            snapshot = answer.json()
        parts = snapshot.get("components") or {}
        engines = [part for name, part in parts.items() if kind_of(name) == ENGINE and isinstance(part, dict)]
        # Of several engines one that has failed says nothing about the others.
        return parts.get(PAGE) or {}, min(engines, key=lambda part: part.get("state") == "failed", default={})

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if not self._certificate:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        import ssl

        # This very certificate and no other, whoever signed it; the name in it is the one that visitors use.
        context = ssl.create_default_context(cafile=self._certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)


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
        prepare(self._config)
        # A mark that is no instance's: a `start` elsewhere must not take this engine for its leftover.
        mark = f"say:{os.urandom(8).hex()}"
        addresses = Addresses("", 0, control="", engine=self._address, mark=mark, engine_token=self._token)
        spec = child_specs(self._config, addresses, os.environ)["engine"]
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
        answer = Answer(self._connect(_SILENCE_S), "POST", "/speak", request, self._headers())
        with contextlib.closing(answer):
            if answer.status != 200:
                raise answer.error()
            yield from frames_of(answer)

    def encoded(self, request: Mapping[str, Any], audio_format: str, report: ReportProgress) -> Iterator[bytes]:
        """Refuses: the encoders belong to the page's process."""
        raise SpeechError(
            f"{audio_format} needs a running instance, and there is none.",
            fix="Give a name that ends in .wav, or start one: tts-launcher start",
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
                Answer(self._connect(_ANSWER_S), "GET", "/health", None, self._headers())
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
        return ChannelConnection(self._address, timeout_s)

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
        self._file = open(path, "w", encoding="utf-8", errors="backslashreplace", opener=private_opener)  # noqa: SIM115

    def write(self, component: str, level: str, text: str) -> None:
        """Keeps one line."""
        with contextlib.suppress(OSError, ValueError):  # a full disk, or a last word after the end: not worth a failure
            self._file.write(f"{level.upper()} {component} {text}\n")
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        with contextlib.suppress(OSError):
            self._file.close()


def _report_loading(state: Mapping[str, Any], report: ReportProgress) -> None:
    progress = state.get("progress")
    if isinstance(progress, dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            report(Progress.from_json(progress))
