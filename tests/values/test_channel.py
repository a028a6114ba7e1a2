"""JSON lines over a real socket: bounds, silence, and a peer that goes away."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.channel import MAX_LINE_BYTES, Channel, ChannelError, bind_socket


def serve(address: str, answer: Callable[[socket.socket], None]) -> str:
    """Answers one connection at ``address`` in a thread and returns where it is reached."""
    listener, reached = bind_socket(address)

    def run() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            answer(connection)

    threading.Thread(target=run, daemon=True).start()
    return reached


def echo(connection: socket.socket) -> None:
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(b'{"ok":true,"result":{"said":' + line.strip() + b"}}\n")


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_a_call_gets_its_answer(tmp_path: Path, scheme: str) -> None:
    address = serve(f"unix:{tmp_path}/c.sock" if scheme == "unix" else "tcp:127.0.0.1:0", echo)
    channel = Channel.connect(address)
    assert channel.call("status", instance="默认") == {"said": {"command": "status", "instance": "默认"}}
    channel.close()


def test_a_unix_socket_is_private_and_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    for _ in range(2):
        listener, _ = bind_socket(f"unix:{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        listener.close()


def test_the_token_is_the_first_line(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def first_line(connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            seen.append(lines.readline())
        connection.sendall(b'{"ok":true}\n')

    channel = Channel.connect(serve("tcp:127.0.0.1:0", first_line), token="s3cret")
    assert channel.receive() == {"ok": True}
    assert seen == [b'{"token":"s3cret"}\n']


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b"not json\n", "not JSON"), (b"[1]\n", "no object"), (b'{"ok":', "cut"), (b"x" * (MAX_LINE_BYTES + 2), "longer")],
)
def test_a_line_that_breaks_the_protocol_is_refused(tmp_path: Path, answer: bytes, why: str) -> None:
    channel = Channel.connect(serve(f"unix:{tmp_path}/c.sock", lambda connection: connection.sendall(answer)))
    with pytest.raises(ChannelError, match=why):
        channel.receive()


def test_a_closed_peer_a_refusal_and_silence_are_told_apart(tmp_path: Path) -> None:
    assert Channel.connect(serve(f"unix:{tmp_path}/1", lambda connection: None)).receive() is None

    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b'{"ok":false,"error":"no such"}\n')

    refusing = Channel.connect(serve(f"unix:{tmp_path}/2", refuse))
    with pytest.raises(ChannelError, match="no such"):
        refusing.call("status")
    release = threading.Event()
    silent = Channel.connect(serve(f"unix:{tmp_path}/3", lambda connection: release.wait(30) and None))
    silent.set_timeout(0.05)
    with pytest.raises(ChannelError, match="no answer"):
        silent.receive()
    release.set()


@pytest.mark.parametrize("address", ["unix:/nowhere/c.sock", "tcp:127.0.0.1:1", "tcp:127.0.0.1:x", "pipe:x", ""])
def test_nobody_there_is_one_sentence(address: str) -> None:
    with pytest.raises(ChannelError, match=r"nobody answers|starts with unix"):
        Channel.connect(address, timeout_s=1)
