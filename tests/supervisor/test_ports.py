"""The port: somebody else's, free ones, both families."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import ConfigError
from launcher.process.bind import PREFERRED_PORT, PortInUseError, bind_port, url_of
from tests.ports import free_port
from tests.supervisor.runner import ROOT, Instance, alive, wait_for


def test_somebody_elses_process_is_named_and_untouched(instance: Instance, tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text(
        f"import socket, time\nsock = socket.create_server(('127.0.0.1', {instance.port}))\nprint(1, flush=True)\n"
        "time.sleep(120)\n"
    )
    other = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        done = instance.run("start")
        assert done.returncode == 3
        error = json.loads(done.stdout)["error"]
        assert f"pid {other.pid}" in error["message"]
        assert "other.py" in error["message"]
        assert "--port auto" in error["fix"]
        assert alive(other.pid)
    finally:
        other.kill()
        other.communicate()


def test_auto_takes_a_free_port(instance: Instance) -> None:
    instance.start("--port", "auto")
    instance.port = int(wait_for(lambda: instance.status().get("port"), "the port"))
    instance.wait_state("ready")
    assert instance.get("/").json["served_by"] == "page"


def test_auto_prefers_the_usual_port_and_passes_over_a_used_one() -> None:
    with bind_port("127.0.0.1", 0) as first, bind_port("127.0.0.1", 0) as second:
        ports = [first.getsockname()[1], second.getsockname()[1]]
    assert ports[0] != ports[1]
    assert ports[0] >= PREFERRED_PORT


def test_a_used_port_and_a_foreign_address_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used, pytest.raises(PortInUseError, match="in use"):
        bind_port("127.0.0.1", used.getsockname()[1])
    with pytest.raises(ConfigError, match="LAUNCHER_HOST"):
        bind_port("203.0.113.7", free_port())
    with pytest.raises(ConfigError, match="LAUNCHER_HOST"):
        bind_port("no-such-host.invalid", free_port())


def test_a_port_whose_connections_wait_out_their_time_is_free() -> None:
    port = free_port()
    with bind_port("127.0.0.1", port) as server:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.recv(1)
        client.close()
    bind_port("127.0.0.1", port).close()


def test_ipv6() -> None:
    try:
        sock = bind_port("::1", free_port())
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    with sock:
        assert sock.family == socket.AF_INET6
        socket.create_connection(("::1", sock.getsockname()[1])).close()


def test_every_address_in_both_families() -> None:
    try:
        sock = bind_port("::", free_port())
    except (ConfigError, OSError):
        pytest.skip("this machine has no IPv6")
    with sock:
        socket.create_connection(("127.0.0.1", sock.getsockname()[1])).close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7/tts"),
        ("0.0.0.0", "http://127.0.0.1:7/tts"),
        ("::", "http://[::1]:7/tts"),
        ("::1", "http://[::1]:7/tts"),
        ("localhost", "http://localhost:7/tts"),
    ],
)
def test_the_address_that_is_shown_works_in_a_browser(host: str, url: str) -> None:
    assert url_of(host, 7, "/tts") == url


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="an administrator may use every port")
def test_a_port_of_the_administrator_is_refused() -> None:
    with pytest.raises(Exception, match="may not be used"):
        bind_port("127.0.0.1", 80)


#: What a kernel that was started with ipv6.disable=1 answers: a filter on the system call (seccomp(2)).
WITHOUT_IPV6 = """
import ctypes, platform, struct
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
rules = b"".join(struct.pack("=HBBI", *rule) for rule in (
    (0x20, 0, 0, 0), (0x15, 0, 3, SOCKET), (0x20, 0, 0, 16), (0x15, 0, 1, 10), (0x06, 0, 0, 0x00050000 | 97),
    (0x06, 0, 0, 0x7FFF0000),
))
kept = ctypes.create_string_buffer(rules)
program = struct.pack("=HxxxxxxQ", len(rules) // 8, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) == 0, ctypes.get_errno()
"""
ASKING = """
from launcher.errors import ConfigError
from launcher.process.bind import bind_port
from launcher.process.ports import port_free, port_holder, wait_port_free
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    print(port_free("localhost", port), port_holder("localhost", port).pid > 0)
print(wait_port_free("localhost", port, 0), port_free("::1", port), port_holder("::", port))
bind_port("localhost", port).close()
try:
    bind_port("::1", port)
except ConfigError as error:
    print(error.message)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="a filter of Linux's"
)
def test_a_machine_without_ipv6() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_IPV6 + ASKING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "False True",
        "True True None",
        "LAUNCHER_HOST='::1' is no address of this machine.",
    ], done.stderr
