"""The page's process as the supervisor starts it: settings by pipe, an inherited socket, reports, a quick end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.engine.processes import MARK, ROOT, ControlListener, snapshot, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors are inherited on POSIX only")


@pytest.fixture
def control() -> Iterator[ControlListener]:
    listener = ControlListener(snapshot())
    yield listener
    listener.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(128)
        yield sock


@contextlib.contextmanager
def page_process(
    folder: Path, control: ControlListener, sock: socket.socket, **changes: object
) -> Iterator[subprocess.Popen]:
    settings = {
        "instance": "test",
        "version": "0",
        "host": "127.0.0.1",
        "port": sock.getsockname()[1],
        "engine_address": f"unix:{folder}/nobody",
        "control_address": control.address,
        "temp_dir": str(folder),
        "listen_fd": sock.fileno(),
        **changes,
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "webui" / "webui.py")],
        stdin=subprocess.PIPE,
        stderr=(folder / "stderr.txt").open("wb"),
        pass_fds=[sock.fileno()],
        cwd=folder,
        env={**os.environ, **MARK, "GRADIO_TEMP_DIR": str(folder / "gradio")},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def address_of(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_it_reports_accepts_and_ends(tmp_path: Path, control: ControlListener, listening: socket.socket) -> None:
    with page_process(tmp_path, control, listening) as process:
        assert control.wait_event("hello")["pid"] == process.pid
        control.wait_event("ready")
        stages = [message["progress"]["stage"] for message in control.events("progress")]
        assert stages == ["import", "build", "serve"]
        order = [message.get("event") for message in control.messages if message.get("event")]
        assert order.index("ready") > order.index("progress")
        assert httpx.get(f"{address_of(listening)}/healthz", timeout=60).status_code == 200
        assert "tts-page" in httpx.get(address_of(listening), timeout=60).text
        assert httpx.get(f"{address_of(listening)}/readyz", timeout=60).status_code == 200
        with httpx.stream("GET", f"{address_of(listening)}/api/events", timeout=60) as events:
            next(events.iter_raw())
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        control.wait_event("stopping")
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


def test_it_ends_with_its_supervisor(tmp_path: Path, control: ControlListener, listening: socket.socket) -> None:
    with page_process(tmp_path, control, listening) as process:
        control.wait_event("ready")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def test_another_process_may_accept_on_the_same_socket(
    tmp_path: Path, control: ControlListener, listening: socket.socket
) -> None:
    """The supervisor accepts until it heard `ready`: whoever loses the race for a connection must not fail."""
    listening.setblocking(False)
    stop = threading.Event()

    accepted = []

    def accept_too() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                accepted.append(1)
                with connection:
                    connection.setblocking(True)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

    thread = threading.Thread(target=accept_too)
    with page_process(tmp_path, control, listening):
        control.wait_event("ready")
        thread.start()
        try:
            with httpx.Client(headers={"connection": "close"}, timeout=60) as client:
                bodies = [client.get(f"{address_of(listening)}/healthz").text for _ in range(300)]
        finally:
            stop.set()
            thread.join()
        wait_until(lambda: httpx.get(f"{address_of(listening)}/healthz", timeout=60).text == "ok\n", "the page alone")
        assert bodies.count("ok") == len(accepted)
        assert bodies.count("ok\n") == 300 - len(accepted)
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


@pytest.mark.parametrize("line", ["", "{", "[]", '{"instance": "x"}'])
def test_without_settings_it_says_how_to_start_it(line: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "webui" / "webui.py")]
    done = subprocess.run(command, check=False, input=line + "\n", text=True, capture_output=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "tts-launcher start" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_busy_port_is_named_where_it_is_not_inherited(
    tmp_path: Path, control: ControlListener, listening: socket.socket
) -> None:
    with page_process(tmp_path, control, listening, listen_fd=None) as process:
        failed = control.wait_event("failed")
        assert str(listening.getsockname()[1]) in failed["message"]
        assert failed["fix"]
        assert process.wait(30) == 3


def test_it_asks_for_a_new_page_when_its_library_can_be_opened_again(
    tmp_path: Path, control: ControlListener, listening: socket.socket
) -> None:
    in_the_way = tmp_path / "library"
    in_the_way.write_text("a file where a folder belongs")
    with page_process(tmp_path, control, listening, library_dir=str(in_the_way)):
        control.wait_event("ready")
        assert httpx.get(f"{address_of(listening)}/api/voices").status_code == 503
        assert not any(message.get("command") == "restart" for message in control.messages)
        in_the_way.unlink()
        wait_until(lambda: {"command": "restart", "component": "page"} in control.messages, "the wish for a new page")
