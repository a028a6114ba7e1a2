"""The service manager's protocols against real sockets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import StartError
from launcher.process.notify import VARIABLES, Notifier, forget, inherited_socket, status_line
from tests.ports import free_port


def snapshot(state: str, page: str, engine: str, **engine_fields: Any) -> dict[str, Any]:
    component = {"progress": None, "error": None}
    return {
        "url": "http://127.0.0.1:7860",
        "state": state,
        "components": {
            "page": {**component, "state": page},
            "engine": {**component, "state": engine, **engine_fields},
        },
    }


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def hear(systemd: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in systemd.recv(4096).decode().splitlines())


def silent(systemd: socket.socket) -> bool:
    systemd.setblocking(False)
    try:
        systemd.recv(4096)
    except BlockingIOError:
        return True
    finally:
        systemd.settimeout(5)
    return False


def test_a_run_is_told(systemd: socket.socket) -> None:
    notifier = Notifier(systemd.getsockname())
    notifier.show(snapshot("starting", "starting", "starting"))
    first = hear(systemd)
    assert "READY" not in first
    assert first["EXTEND_TIMEOUT_USEC"] == "60000000"
    notifier.show(snapshot("starting", "ready", "starting"))
    assert hear(systemd)["READY"] == "1"
    notifier.show(snapshot("starting", "ready", "starting"))
    assert silent(systemd)  # nothing new
    notifier.show(snapshot("degraded", "restarting", "ready"))
    again = hear(systemd)
    assert "READY" not in again
    assert "page restarting" in again["STATUS"]
    notifier.show(snapshot("stopping", "stopping", "stopping"))
    assert hear(systemd)["STOPPING"] == "1"
    notifier.close()


def test_signs_of_life(systemd: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}
    assert Notifier.from_environment(environ, 42).interval_s == 15
    assert Notifier.from_environment(environ, 43).interval_s == 0
    Notifier.from_environment(environ, 42).alive()
    assert hear(systemd) == {"WATCHDOG": "1"}


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"tts-launcher-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        Notifier(f"@{name}").alive()
        assert hear(sock) == {"WATCHDOG": "1"}


def test_nobody_listens(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "none"), "relative"):
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "x"}, os.getpid())
        notifier.show(snapshot("ready", "ready", "ready"))
        notifier.alive()
        assert notifier.interval_s == 0


def test_a_full_socket_never_blocks(systemd: socket.socket) -> None:
    notifier = Notifier(systemd.getsockname())
    for _ in range(2000):
        notifier.alive()
    notifier.show(snapshot("ready", "ready", "ready"))  # is lost, and so said again later
    while hear(systemd) == {"WATCHDOG": "1"} and not silent(systemd):
        pass
    notifier.show(snapshot("ready", "ready", "ready"))
    assert hear(systemd)["READY"] == "1"


def test_the_status_is_one_line() -> None:
    progress = {"stage": "load", "done": 1, "total": 4}
    error = {"message": "a\nb", "fix": ""}
    line = status_line(snapshot("starting", "ready", "starting", progress=progress, error=error))
    assert "engine starting (load 25 %): a b" in line
    assert "\n" not in line
    assert len(status_line(snapshot("failed", "ready", "failed", error={"message": "x" * 999, "fix": ""}))) == 200


def test_children_do_not_inherit_the_protocols() -> None:
    environ = {**dict.fromkeys(VARIABLES, "1"), "PATH": "/bin"}
    forget(environ)
    assert environ == {"PATH": "/bin"}


def test_no_socket_was_handed_over() -> None:
    assert inherited_socket({}, os.getpid()) is None
    assert inherited_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, 2) is None
    with pytest.raises(StartError, match="needs one"):
        inherited_socket({"LISTEN_PID": "2", "LISTEN_FDS": "3"}, 2)


ASK = (
    "import os\n"
    "from launcher.errors import StartError\n"
    "from launcher.process.notify import inherited_socket\n"
    "try:\n"
    "    sock = inherited_socket(os.environ, os.getpid())\n"
    "    print(sock.getsockname()[1], sock.get_inheritable())\n"
    "except StartError as error:\n"
    "    print(error)\n"
)


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
@pytest.mark.parametrize(("address", "said"), [("127.0.0.1:{port}", "{port} False"), ("{folder}/unix", "TCP port")])
def test_a_socket_of_systemd(tmp_path: Path, address: str, said: str) -> None:
    port = free_port()
    address, said = (text.format(port=port, folder=tmp_path) for text in (address, said))
    path = os.pathsep.join(sys.path)
    activator = subprocess.Popen(
        ["systemd-socket-activate", "-l", address, "-E", f"PYTHONPATH={path}", sys.executable, "-c", ASK],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        knock(port if "unix" not in address else address)
        assert activator.stdout is not None
        assert said in activator.stdout.read()
    finally:
        activator.kill()
        activator.wait()
        if activator.stdout is not None:
            activator.stdout.close()


def knock(address: int | str) -> None:
    """Connects as soon as somebody listens there, which is what starts the program."""
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET if isinstance(address, int) else socket.AF_UNIX) as client:
            if client.connect_ex(("127.0.0.1", address) if isinstance(address, int) else address) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nobody listens")
