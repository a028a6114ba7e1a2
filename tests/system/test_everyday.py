"""Ways in that are no terminal: a service manager, its socket, a double-click."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.config import load
from launcher.shortcut import linux
from launcher.shortcut.spec import make_spec
from tests.ports import free_port
from tests.system.running import READY_WITHIN_S, ROOT, Running, http

pytestmark = pytest.mark.voice


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(READY_WITHIN_S)
        yield sock


def hear_until(systemd: socket.socket, word: str) -> list[str]:
    heard: list[str] = []
    while not heard or word not in heard[-1]:
        heard.append(systemd.recv(4096).decode())
    return heard


def keep_hearing(systemd: socket.socket, heard: list[str]) -> None:
    """Takes everything, as a service manager does; ends at an empty message."""
    while text := systemd.recv(4096).decode():
        heard.append(text)


def test_systemd_is_told_of_start_life_and_stop(data_dir: Path, systemd: socket.socket) -> None:
    told = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1000000"}
    instance = Running(data_dir, "notified", settings=told)
    try:
        assert any("STATUS=" in text for text in hear_until(systemd, "READY=1"))
        assert http(f"{instance.url}/healthz")[0] == 200  # ready means that it serves
        assert hear_until(systemd, "WATCHDOG=1")
        heard: list[str] = []
        hearing = threading.Thread(target=keep_hearing, args=(systemd, heard), daemon=True)
        hearing.start()
        children = [component["pid"] for component in instance.wait_ready()["components"].values()]
        for pid in filter(None, children):
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert instance.stop() == 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", systemd.getsockname())
        hearing.join(10)
        assert "STOPPING=1" in "\n".join(heard).splitlines()
    finally:
        instance.stop()


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
def test_the_first_visitor_starts_a_service_whose_port_systemd_holds(data_dir: Path) -> None:
    port = free_port()
    settings = {"LAUNCHER_DATA_DIR": str(data_dir), "LAUNCHER_INSTANCE": "activated"}
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    passed = [word for name in environment for word in ("-E", name)]
    command = [sys.executable, "-m", "launcher", "start", "--background", "--no-open", "--port", str(port)]
    activator = subprocess.Popen(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *passed, *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port), "an answer")
        # systemd-socket-activate becomes the program, so this is the supervisor itself.
        status = launcher("status", settings)
        assert (status["pid"], status["port"]) == (activator.pid, port)
    finally:
        activator.terminate()
        assert activator.wait(60) == 0


def answers(port: int) -> bool:
    try:
        return http(f"http://127.0.0.1:{port}/healthz")[0] == 200
    except OSError:
        return False


def test_a_double_click_starts_once_and_opens_the_page_again(data_dir: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened.txt"
    settings = {"LAUNCHER_DATA_DIR": str(data_dir), "LAUNCHER_INSTANCE": "clicked", "LAUNCHER_PORT": "auto"}
    config = load(settings, None, {})
    entry = linux.render_entry(make_spec(config, tmp_path / "icon.svg"))
    try:
        for count in (1, 2):
            assert click(entry, opened, settings) == 0
            wait_until(lambda count=count: len(lines(opened)) == count, "the browser")  # type: ignore[misc]
        first, second = lines(opened)
        assert first == second == launcher("status", settings)["url"]
    finally:
        launcher("stop", settings)


def test_a_double_click_that_fails_shows_why(tmp_path: Path) -> None:
    opened = tmp_path / "opened.txt"
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        settings = {"LAUNCHER_DATA_DIR": str(tmp_path / "data"), "LAUNCHER_PORT": str(port)}
        entry = linux.render_entry(make_spec(load(settings, None, {}), tmp_path / "icon.svg"))
        assert click(entry, opened, settings) == 3
    wait_until(lambda: bool(lines(opened)), "the browser")
    page = Path(lines(opened)[0].removeprefix("file://"))
    assert f"Port {port}" in page.read_text()
    assert "--port auto" in page.read_text()


def click(entry: str, opened: Path, settings: dict[str, str]) -> int:
    """Runs an entry's Exec line as a desktop does: no terminal, its folder, a browser that notes what it is to show."""
    fields = dict(line.split("=", 1) for line in entry.splitlines() if "=" in line and not line.startswith("["))
    command = next(line for line in entry.splitlines() if line.startswith("Exec=")).removeprefix("Exec=")
    browser = opened.with_name("browser")
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{opened}"\n')
    browser.chmod(0o755)
    port = {name: value for name, value in settings.items() if name == "LAUNCHER_PORT"}
    done = subprocess.run(
        command,
        shell=True,  # an entry without reserved characters reads the same in a shell
        cwd=fields["Path"],
        env={**os.environ, **port, "BROWSER": f"{browser} %s"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=READY_WITHIN_S,
        check=False,
    )
    return done.returncode


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def launcher(command: str, settings: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "launcher", command, "--json"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)
