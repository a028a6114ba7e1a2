"""The control socket: commands, events, subscribers, and who is dropped."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.channel import Channel, ChannelError, bind_socket
from launcher.errors import StartError
from launcher.process.control import MAX_BACKLOG_BYTES, ControlServer, RefusedError
from launcher.process.loop import Loop
from tests.supervisor.runner import wait_for


class Server:
    """A control server in a thread."""

    def __init__(self, address: str, token: str = "") -> None:
        self.loop = Loop()
        sock, self.address = bind_socket(address)
        self.events: list[dict[str, Any]] = []
        self.value: Any = 0
        self.server = ControlServer(
            sock,
            self.loop,
            token=token,
            commands={
                "echo": lambda message: {"said": message["word"]},
                "refuse": self._refuse,
                "fail": self._fail,
            },
            on_event=self.events.append,
            snapshot=lambda: {"value": self.value},
        )
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def set(self, value: Any) -> None:
        def change() -> None:
            self.value = value
            self.server.publish()

        self.loop.call_from_thread(change)

    def settle(self) -> None:
        """Waits until the loop has done what it was given so far."""
        done = threading.Event()
        self.loop.call_from_thread(done.set)
        assert done.wait(60)

    def close(self) -> None:
        self.loop.call_from_thread(self.server.close)
        self.loop.call_from_thread(self.loop.stop)
        self.thread.join()
        self.loop.close()

    @staticmethod
    def _refuse(message: dict[str, Any]) -> dict[str, Any]:
        raise RefusedError("Not today.")

    @staticmethod
    def _fail(message: dict[str, Any]) -> dict[str, Any]:
        raise StartError("The package is not there.", fix="Install it again.")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(f"unix:{tmp_path}/control.sock")
    yield made
    made.close()


def test_commands_are_answered_in_order(server: Server) -> None:
    channel = Channel.connect(server.address)
    assert channel.call("echo", word="你好") == {"said": "你好"}
    with pytest.raises(ChannelError, match="Not today"):
        channel.call("refuse")
    with pytest.raises(ChannelError, match="not known"):
        channel.call("shutdown -h")
    assert channel.call("echo", word="again") == {"said": "again"}
    channel.close()


def test_events_carry_the_pid_of_their_hello(server: Server) -> None:
    channel = Channel.connect(server.address)
    channel.send({"event": "hello", "component": "page", "pid": 77})
    channel.send({"event": "ready", "component": "page"})
    wait_for(lambda: len(server.events) == 2, "both events")
    assert [event["pid"] for event in server.events] == [77, 77]
    channel.close()


def test_subscribers_get_changes_and_never_too_many(server: Server) -> None:
    channel = Channel.connect(server.address, timeout_s=30)
    assert channel.call("subscribe") == {"value": 0}
    for number in range(1, 200):
        server.set(number)
    got = []
    while not got or got[-1] != 199:
        message = channel.receive()
        assert message is not None
        got.append(message["snapshot"]["value"])
    assert len(got) < 20
    assert got == sorted(got)
    channel.close()


def test_a_subscriber_that_does_not_read_is_dropped_and_others_are_served(server: Server) -> None:
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(server.address.removeprefix("unix:"))
    deaf.sendall(b'{"command":"subscribe"}\n' * 8)
    server.value = "x" * MAX_BACKLOG_BYTES
    deaf.sendall(b'{"command":"subscribe"}\n' * 8)
    channel = Channel.connect(server.address)
    assert channel.call("echo", word="still here") == {"said": "still here"}
    server.value = 0
    channel.close()
    deaf.settimeout(30)
    with pytest.raises((ConnectionResetError, StopIteration)):
        while deaf.recv(1 << 20):
            pass
        raise StopIteration  # closed in order, which is as good
    deaf.close()


@pytest.mark.parametrize(
    "line",
    [b"no json\n", b"[1]\n", b'"text"\n', b"\xff\xfe\n", b"x" * (1024 * 1024 + 100), b"[" * 500_000 + b"\n"],
    ids=["no JSON", "list", "text", "no UTF-8", "too long", "too deep"],
)
def test_nonsense_ends_its_own_connection_only(server: Server, line: bytes) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(server.address.removeprefix("unix:"))
    sock.settimeout(30)
    try:
        sock.sendall(line)
        assert sock.recv(1) == b""
    except (BrokenPipeError, ConnectionResetError):
        pass
    sock.close()
    channel = Channel.connect(server.address)
    assert channel.call("echo", word="fine") == {"said": "fine"}
    channel.close()


def test_a_network_address_needs_the_token() -> None:
    server = Server("tcp:127.0.0.1:0", token="secret")
    try:
        channel = Channel.connect(server.address, token="secret")
        assert channel.call("echo", word="in") == {"said": "in"}
        channel.close()
        for first in ({"token": "wrong"}, {"command": "echo", "word": "x"}, {"token": 5}, {"token": "\ud800"}):
            port = int(server.address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
                sock.sendall(json.dumps(first).encode() + b"\n" + b'{"command":"echo","word":"x"}\n')
                with contextlib.suppress(ConnectionResetError):
                    assert sock.recv(100) == b""
    finally:
        server.close()


@pytest.mark.parametrize("name", ["model-\udcff", "\ud83d alone"])
def test_a_name_that_is_no_unicode_comes_back_as_it_went(server: Server, name: str) -> None:
    channel = Channel.connect(server.address)
    assert channel.call("echo", word=name) == {"said": name}
    server.set(name)
    server.settle()
    assert channel.call("subscribe") == {"value": name}
    channel.close()


def test_a_command_that_cannot_be_done_is_answered_with_why(server: Server) -> None:
    channel = Channel.connect(server.address)
    with pytest.raises(ChannelError, match=r"The package is not there\. Install it again\."):
        channel.call("fail")
    assert channel.call("echo", word="fine") == {"said": "fine"}
    channel.close()


class Exhausted(socket.socket):
    """A listening socket of a process that has no descriptor left, for a while."""

    attempts = 0
    is_over = False

    def accept(self) -> tuple[socket.socket, Any]:
        self.attempts += 1
        if not self.is_over:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_without_descriptors_it_waits_for_one(tmp_path: Path) -> None:
    now = [100.0]
    loop = Loop(lambda: now[0])
    with Exhausted(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "control.sock"))
        sock.listen()
        server = ControlServer(
            sock, loop, token="", commands={"echo": lambda message: {}}, on_event=print, snapshot=dict
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(tmp_path / "control.sock"))
            client.sendall(b'{"command":"echo"}\n')
            for _ in range(20):
                loop.run_once(0.0)
            assert sock.attempts == 1
            sock.is_over = True
            now[0] += 1.0
            for _ in range(5):
                loop.run_once(0.0)
            assert client.recv(100) == b'{"ok":true,"result":{}}\n'
        server.close()
    loop.close()
