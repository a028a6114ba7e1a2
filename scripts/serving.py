"""Both sides of bench_serve, started and stopped, and the client that asks them.

Invariants: each side serves the same engine at the same settings; a request is timed from its first byte out to the
first byte of sound and to the last byte in; connections are kept, as a client library keeps them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
TONE = "tests.engine.tone_engine:ToneEngine"
#: Without a mark a launcher that starts meanwhile takes the page for a leftover of its own, and ends it.
MARK = {"LAUNCHER_INSTANCE_MARK": f"a-benchmark:{os.getpid()}"}
START_LIMIT_S = 180.0
#: Longer than any answer here takes, in the longest queue and on a machine with much else to do: more is a hang.
ANSWER_LIMIT_S = 120.0
#: More than any run here has waiting.
QUEUE_SIZE = 256


@dataclass
class Side:
    """A server that runs.

    Attributes:
        name: ``ours`` or ``bare``.
        port: of 127.0.0.1.
        processes: everything that serves.
        log: what they say.
    """

    name: str
    port: int
    processes: list[subprocess.Popen[bytes]]
    log: Path

    def resident_bytes(self) -> int:
        """Memory of its processes and of what they started."""
        total = 0
        for process in self.processes:
            tree = [psutil.Process(process.pid)]
            for one in [*tree, *tree[0].children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += one.memory_info().rss
        return total

    def cpu_s(self) -> float:
        """Processor time of all of it so far."""
        total = 0.0
        for process in self.processes:
            tree = psutil.Process(process.pid)
            for one in [tree, *tree.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += sum(one.cpu_times()[:2])
        return total

    async def wait_ready(self) -> None:
        """Waits until it speaks.

        Raises:
            BenchmarkError: when it ends instead, or takes too long.
        """
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            for process in self.processes:
                if process.poll() is not None:
                    raise BenchmarkError(f"{self.name} ended with {process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError, EOFError):
                async with client(self.port) as one:
                    if (await one.speak("Ready?")).status == 200:
                        return
            await asyncio.sleep(0.2)
        raise BenchmarkError(f"{self.name} did not get ready within {START_LIMIT_S:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what its processes said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-1000:]


class BenchmarkError(RuntimeError):
    """What was to be measured did not happen."""


def _spawn(
    log: Path, arguments: list[str], settings: dict[str, Any] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """A process that ends at the end of its standard input, and so with us."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", **MARK}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            **options,
        )
    if settings is not None and process.stdin is not None:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
    return process


def _listener() -> socket.socket:
    """Passed on: a port that is bound later may be somebody else's by then."""
    return socket.create_server(("127.0.0.1", 0), backlog=2048)


@contextlib.contextmanager
def ours(engine: str, cache: Path) -> Iterator[Side]:
    """The page's process with everything on it, and the engine's, as the supervisor starts them."""
    folder = Path(tempfile.mkdtemp(prefix="tts-"))
    listener = _listener()
    port = listener.getsockname()[1]
    common = {"instance": "bench", "control_address": ""}
    worker = {**common, "engine": TONE if engine == "tone" else engine, "address": f"unix:{folder}/e", "device": "cpu"}
    page = {
        **common,
        "version": "0",
        "host": "127.0.0.1",
        "port": port,
        "engine_address": f"unix:{folder}/e",
        "temp_dir": str(folder / "tmp"),
        "listen_fd": listener.fileno(),
        "queue_size": QUEUE_SIZE,
        "library_dir": str(folder / "library"),
        "jobs_dir": str(folder / "jobs"),
        "audit_dir": str(folder),
    }
    (folder / "tmp").mkdir()
    log = folder / "log"
    processes = [
        _spawn(log, ["-m", "webui.engine.worker"], {**worker, "cache_dir": str(cache)}),
        _spawn(log, ["webui/webui.py"], page, pass_fds=[listener.fileno()]),
    ]
    listener.close()
    try:
        yield Side("ours", port, processes, log)
    finally:
        _end(processes)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def bare(engine: str, cache: Path) -> Iterator[Side]:
    """`bare_server.py`."""
    listener = _listener()
    port, log = listener.getsockname()[1], cache / "bare.log"
    command = ["scripts/bare_server.py", engine, str(cache), str(listener.fileno())]
    processes = [_spawn(log, command, pass_fds=[listener.fileno()])]
    listener.close()
    try:
        yield Side("bare", port, processes, log)
    finally:
        _end(processes)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


@dataclass(frozen=True)
class Answer:
    """One answer: status, seconds to the first byte of its body and to its end, and the body's size."""

    status: int
    first_s: float
    total_s: float
    size: int


class Client:
    """One connection that is kept; use `client`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def health(self) -> Answer:
        """`GET /healthz`."""
        return await self.ask("GET", "/healthz")

    async def speak(self, text: str) -> Answer:
        """`POST /v1/audio/speech`, streamed as it is made."""
        body = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": "pcm"}
        return await self.ask("POST", "/v1/audio/speech", json.dumps(body).encode())

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One request and all of its answer.

        Raises:
            OSError, EOFError: when it does not come whole within `ANSWER_LIMIT_S`.
        """
        limit = asyncio.get_running_loop().call_later(ANSWER_LIMIT_S, self._writer.transport.abort)
        try:
            return await self._ask(method, path, body)
        finally:
            limit.cancel()

    async def _ask(self, method: str, path: str, body: bytes) -> Answer:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        began = time.perf_counter()
        self._writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        header = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(header[9:12])
        first, size = 0.0, 0
        async for part in self._parts(header):
            first = first or time.perf_counter() - began
            size += len(part)
        total = time.perf_counter() - began
        return Answer(status, first or total, total, size)

    async def _parts(self, header: bytes) -> Any:
        if b"transfer-encoding: chunked" in header:
            while size := int(await self._reader.readline(), 16):
                yield await self._reader.readexactly(size)
                await self._reader.readline()
            await self._reader.readline()
            return
        length = int(header.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if length:
            yield await self._reader.readexactly(length)


@contextlib.asynccontextmanager
async def client(port: int, source: str = "127.0.0.1") -> Any:
    """A connection from ``source``, an address of this machine, by which clients are told apart."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=2**20)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
