"""IndexTTS-2 and 2.5 by their own packages' classes: in their interpreter, and as a worker's process."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from launcher.frames import PCM, FrameReader
from tests.engine.indextts.process import ROOT, WATCHER, quiet_environment, write_recording
from tests.engine.processes import WorkerProcess, wait_until

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    for name, pitch_hz in (("one", 110), ("two", 170), ("three", 260)):
        write_recording(folder / f"{name}.wav", pitch_hz)
    return folder


@pytest.mark.timeout(1200)
def test_the_engines_in_their_own_interpreter(
    engine_python: Path, tiny_hub: Path, kept_cache: Path, voices: Path
) -> None:
    """Everything in `inside`, by the packages' classes; see there."""
    folders = os.pathsep.join(map(str, (tiny_hub, kept_cache, voices)))
    argv = [engine_python, "-m", "pytest", INSIDE, "-c", os.devnull, "--rootdir", INSIDE, "--confcutdir", INSIDE]
    done = subprocess.run(
        [*map(str, argv), "-p", "no:cacheprovider", "-W", "ignore", "-q", "--tb=short", "-ra"],
        cwd=ROOT,
        env=quiet_environment(tiny_hub, PYTEST_FOLDERS=folders),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


class _CountingHub(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the server's own name

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the list says it."""


@contextlib.contextmanager
def counting_hub() -> Iterator[tuple[str, list[str]]]:
    """A hub that has nothing and remembers what it was asked for."""
    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_CountingHub,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclasses.dataclass
class EngineProcess(WorkerProcess):
    """A worker of the engines' interpreter."""

    python: Path = Path()
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    options: dict[str, str] = dataclasses.field(default_factory=dict)

    def start(self) -> EngineProcess:
        settings = {
            "instance": "test",
            "engine": self.engine,
            "address": self.address,
            "control_address": "",
            "cache_dir": str(self.folder),
            "device": "cpu",
            "threads": 1,
            "options": self.options,
        }
        self.process = subprocess.Popen(
            [str(self.python), "-m", "webui.engine.worker"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stderr=(self.folder / "stderr.txt").open("ab"),
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        self.process.stdin.flush()
        return self


def frames_of(client: httpx.Client, body: dict[str, Any]) -> tuple[list[dict[str, Any]], bytes]:
    """The events and the sound of one request."""
    events, sound = [], b""
    reader = FrameReader()
    with client.stream("POST", "/speak", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        for piece in answer.iter_bytes():
            for frame in reader.feed(piece):
                if frame.kind == PCM:
                    sound += frame.payload
                else:
                    events.append(frame.event)
    return events, sound


@pytest.mark.parametrize("engine", ["indextts2", "indextts2.5"])
@pytest.mark.timeout(300)
def test_a_worker_speaks_cancels_and_asks_no_network(
    engine: str, engine_python: Path, tiny_hub: Path, kept_cache: Path, voices: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCHER)
    log = tmp_path / "network.txt"
    with counting_hub() as (url, asked):
        environment = quiet_environment(
            tiny_hub, NETWORK_LOG=str(log), HF_ENDPOINT=url, PYTHONPATH=os.pathsep.join((str(ROOT), str(tmp_path)))
        )
        options = {"voices_dir": str(voices)}
        worker = EngineProcess(
            kept_cache, engine=engine, python=engine_python, environment=environment, options=options
        ).start()
        try:
            wait_until(lambda: (worker.health() or {}).get("state") == "ready", "the engine", 240)
            with worker.http() as client:
                assert [voice["id"] for voice in client.get("/info").json()["voices"]][:3] == ["one", "three", "two"]
                body = {"text": "你好世界。", "voice": "two", "seed": 11, "emotion": {"happy": 0.7}}
                events, sound = frames_of(client, body)
                kinds = [event["event"] for event in events]
                assert [kind for kind in kinds if kind != "progress"] == ["start", "segment", "end"]
                assert len(sound) == 2 * events[-1]["samples"] > 0
                assert frames_of(client, body)[1] == sound
                refused = client.post("/speak", json={"text": "你好", "reference": "/etc/passwd"})
                assert refused.status_code == 400
                assert refused.json()["error"]["param"] == "reference"
                _hang_up_in_the_middle(worker, client)
                assert frames_of(client, body)[1] == sound
                client.post("/unload")
                assert (worker.health() or {})["state"] == "unloaded"
                assert frames_of(client, body)[1] == sound
        finally:
            worker.close()
    assert asked == []
    assert not log.exists(), log.read_text()


def _hang_up_in_the_middle(worker: WorkerProcess, client: httpx.Client) -> None:
    with client.stream("POST", "/speak", json={"text": "今天天气很好我们去公园看花。" * 30, "seed": 1}) as answer:
        next(answer.iter_bytes())
    wait_until(lambda: not (worker.health() or {"busy": True})["busy"], "the request to be cancelled")
