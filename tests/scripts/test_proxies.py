"""nginx and Caddy as scripts/deploy/proxy sets them up, in front of a page: root path, streaming, cancelling."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from launcher.frames import PCM, FrameReader
from tests.debian import program
from tests.engine.processes import PATIENCE_S, WorkerProcess, page, wait_until, worker
from tests.ports import free_port

PROXY = Path(__file__).parents[2] / "scripts" / "deploy" / "proxy"
TOKEN = "a-secret-of-16-characters"


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[str]:
    """A proxy that answers on ``port``."""
    with (folder / "output.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=log, stderr=log)
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / "output.txt").read_text()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/").status_code > 0
            return False

        wait_until(answers, "the proxy")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _check(command: list[str], folder: Path) -> None:
    """The program's own word on its configuration."""
    environ = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    executable, port = program("nginx"), free_port()
    text = (PROXY / "nginx.conf").read_text(encoding="utf-8")
    own = "user root;\n" if os.getuid() == 0 else ""  # its workers would be nobody, who may not see a test's folder
    own += f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace("\nhttp {", f"\nhttp {{\n    {name}_temp_path {folder}/{name};", 1)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:7860", upstream)
    text = text.replace("\nhttp {", "\nhttp {\n    access_log off;", 1)
    config = folder / "nginx.conf"
    config.write_text(own + text, encoding="utf-8")
    _check([executable, "-t", "-p", str(folder), "-c", str(config)], folder)
    with running([executable, "-p", str(folder), "-c", str(config)], port, folder) as address:
        yield address


@contextlib.contextmanager
def caddy(folder: Path, upstream: str) -> Iterator[str]:
    executable, port = program("caddy"), free_port()
    text = (PROXY / "Caddyfile").read_text(encoding="utf-8")
    text = re.sub(r"^:80 ", f"http://127.0.0.1:{port} ", text, flags=re.M).replace("127.0.0.1:7860", upstream)
    config = folder / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text, encoding="utf-8")
    arguments = ["--config", str(config), "--adapter", "caddyfile"]
    _check([executable, "validate", *arguments], folder)
    with running([executable, "run", *arguments], port, folder) as address:
        yield address


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, WorkerProcess]]:
    options = {"root_path": "/tts", "trusted_proxies": ("127.0.0.1",), "token": TOKEN}
    with (
        worker(tmp_path_factory.mktemp("engine"), chunk_s=0.2) as engine,
        page(engine.address, **options) as address,
    ):
        yield address.removeprefix("http://"), engine


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
def test_a_proxy_in_front(proxy: object, served: tuple[str, WorkerProcess], tmp_path: Path) -> None:
    upstream, engine = served
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with proxy(tmp_path, upstream) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as person:  # type: ignore[operator]
        bare = person.get("/tts")
        assert bare.status_code == 308 and bare.headers["location"].endswith("/tts/")
        assert person.get("/tts/healthz").status_code == 200
        assert person.get("/tts/api/info").status_code == 401
        login = person.get("/tts/", headers={"Accept": "text/html"})
        assert login.status_code == 303 and login.headers["location"].endswith("/tts/login")
        assert person.get("/tts/api/info", headers=headers).json()["name"] == "tone"
        assert "tts_queue_depth" in person.get("/tts/metrics", headers=headers).text
        form = person.post("/tts/login", data={"token": TOKEN}, headers={"Origin": address})
        assert form.status_code == 303 and "tts_launcher_session" in form.headers["set-cookie"]
        person.cookies.clear()
        _hears_while_it_is_made(person, headers, engine)


def _hears_while_it_is_made(person: httpx.Client, headers: dict[str, str], engine: WorkerProcess) -> None:
    before = len(engine.log())
    reader, words = FrameReader(), "one two three four five six seven eight"
    with person.stream("POST", "/tts/api/speak", json={"text": words}, headers=headers) as answer:
        assert answer.status_code == 200
        first = next(frame for data in answer.iter_raw() for frame in reader.feed(data) if frame.kind == PCM)
        assert first.payload and not _note(engine, before, "end"), "nothing was heard before all of it was made"
    with person.stream("POST", "/tts/api/speak", json={"text": "word " * 300}, headers=headers) as answer:
        next(answer.iter_raw())
    wait_until(lambda: _note(engine, before, "cancelled"), "the word that the visitor has gone")


def _note(engine: WorkerProcess, before: int, word: str) -> bool:
    return word in engine.log()[before:]
