"""The benchmark's instruments, held against servers whose behaviour is known."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from scripts.bench_start import as_table, summarise
from scripts.port_probes import Probes, probe


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _serve(server: socket.socket, answer: bytes, times: int) -> threading.Thread:
    def run() -> None:
        for _ in range(times):
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_an_answer_is_counted_as_one(listener: socket.socket) -> None:
    serving = _serve(listener, b"HTTP/1.1 200 OK\r\n\r\n", 1)
    assert probe("127.0.0.1", listener.getsockname()[1]) == "answered"
    serving.join()


def test_a_connection_that_ends_without_an_answer_is_lost(listener: socket.socket) -> None:
    serving = _serve(listener, b"", 1)
    assert probe("127.0.0.1", listener.getsockname()[1]) == "lost"
    serving.join()


def test_a_port_without_a_listener_refuses(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert probe("127.0.0.1", port) == "refused"


def test_probes_notice_when_the_listener_goes_away(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    serving = _serve(listener, b"HTTP/1.1 503 Loading\r\n\r\n", 20)
    with Probes(port) as probing:
        serving.join()
        listener.close()
        probing.wait_for(40)
    assert probing.counts["answered"] >= 18  # the last two may be cut off as the listener closes
    assert probing.counts["refused"] >= 1


def test_figures_are_medians_and_the_ratio_compares_both_sides() -> None:
    result = summarise({"page_s": [1.0, 9.0, 2.0], "plain_page_s": [4.0, 4.0, 4.0]}, {"refused": 1})
    assert result["page_s"] == 2.0
    assert result["page_ratio"] == 0.5
    table = as_table(result, markdown=True)
    assert "| page against plain Gradio | 0.500 | 0.65 | ok |" in table
    assert "| probes refused | 1 | 0 | MISSED |" in table
