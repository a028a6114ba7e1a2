"""Starts the launcher, or the same page plainly with Gradio, and watches its port: what the benchmarks measure.

Invariants: times are seconds since the moment before the command was started; everything runs in a folder of its own
on a port of its own and is stopped at the end, whatever happened.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Longer than the slowest start on a small machine; a start that takes longer has failed.
START_LIMIT_S = 180.0
#: Between two tries to connect, until somebody listens.
CONNECT_EVERY_S = 0.002
#: Between two looks at an address that answers "not yet": each answer costs the side that is measured some time.
LOOK_EVERY_S = 0.02

#: The same page as a script of one's own would start it.
PLAIN_PAGE = """
import sys
import gradio as gr
from webui.ui.catalogs import gradio_texts, load_catalogs
from webui.ui.layout import build_page

texts = gr.I18n(**gradio_texts(load_catalogs()))
demo, _ = build_page(texts)
demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), inbrowser=False, quiet=True, i18n=texts)
"""


class BenchmarkError(RuntimeError):
    """What was to be measured did not happen."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path) -> dict[str, str]:
    """The environment for both sides: the same packages, nothing that reaches other hosts, no settings of a person."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCHER_", "GRADIO_"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "LAUNCHER_DATA_DIR": str(data_dir),
        "LAUNCHER_OPEN_BROWSER": "no",
    }


@dataclass
class Running:
    """A started command whose page is at ``port``; a context manager that stops it."""

    command: list[str]
    port: int
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)

    def __enter__(self) -> Running:
        log = (self.folder / "output.txt").open("ab")
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={**environment(self.folder / "data"), **self.settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def elapsed_s(self) -> float:
        """Seconds since the command."""
        return time.perf_counter() - self.started

    def first_byte_s(self) -> float:
        """Seconds from the command to the first byte of an answer on the port."""
        while True:
            self._check()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                    if connection.recv(1):
                        return self.elapsed_s()
            except OSError:
                time.sleep(CONNECT_EVERY_S)

    def answer_s(self, path: str) -> float:
        """Seconds from the command until ``path`` answers 200."""
        while True:
            self._check()
            if self.status_of(path) == 200:
                return self.elapsed_s()
            time.sleep(LOOK_EVERY_S)

    def status_of(self, path: str) -> int | None:
        """The HTTP status of ``path`` now; ``None`` when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": "text/html"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def audio_s(self, text: str) -> float:
        """Seconds from the call to the first byte of speech for ``text``, asking again while the answer is 503."""
        body = json.dumps({"model": "tts-1", "input": text, "voice": "alloy", "response_format": "pcm"})
        asked = time.perf_counter()
        while True:
            self._check()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                if answer.status == 200 and answer.read(2):
                    return time.perf_counter() - asked
                if answer.status != 503:
                    raise BenchmarkError(f"speech answered {answer.status}: {answer.read(500)!r}")
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(LOOK_EVERY_S)

    def snapshot(self) -> dict[str, Any]:
        """What `launcher status --json` says."""
        done = run_launcher(self.folder, "status", "--json")
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def _check(self) -> None:
        if self.process.poll() is not None:
            text = (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise BenchmarkError(f"{self.command} ended with {self.process.returncode}:\n{text}")
        if self.elapsed_s() > START_LIMIT_S:
            raise BenchmarkError(f"{self.command} did not get ready within {START_LIMIT_S:.0f} s")


def run_launcher(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one launcher command against the instance whose data lies in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "launcher", *arguments],
        cwd=folder,
        env=environment(folder / "data"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def launcher(folder: Path) -> Running:
    """`launcher start` on a free port."""
    port = free_port()
    return Running([sys.executable, "-m", "launcher", "start", "--port", str(port), "--no-open"], port, folder)


def plain_page(folder: Path) -> Running:
    """The same page, built and launched by a script that only imports Gradio."""
    port = free_port()
    return Running([sys.executable, "-c", PLAIN_PAGE, str(port)], port, folder)
