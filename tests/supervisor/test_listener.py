"""The port while the page is not up: who gets what, and what nobody can do to it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from launcher.access import AccessRules
from launcher.process import connection as connection_module
from launcher.process.answers import MAX_WRONG_LOGINS, Answers
from launcher.process.bind import bind_port
from launcher.process.exchange import MAX_HEAD_BYTES
from launcher.process.listener import MAX_CONNECTIONS, MAX_HELD, Listener
from launcher.process.loop import Loop
from launcher.process.snapshot import Status
from tests.ports import free_port
from tests.supervisor.runner import wait_for

TOKEN = "a-token-of-the-test-0123"


class Server:
    """A listener in a thread."""

    def __init__(
        self, *, token: str = "", root_path: str = "", remaining_s: float | None = 2.2, hold_s: float = 0.0
    ) -> None:
        self.remaining_s = remaining_s
        self.loop = Loop()
        self.sock = bind_port("127.0.0.1", free_port())
        self.port = self.sock.getsockname()[1]
        self.status = Status(
            instance="default",
            version="1",
            url="",
            host="127.0.0.1",
            port=self.port,
            pid=1,
            clock=self.loop.clock,
            wall_clock=time.time,
        )
        self.log: dict[str, list[str]] = {}
        answers = Answers(
            rules=AccessRules(token),
            snapshot=self.status.snapshot,
            remaining_s=lambda: self.remaining_s,
            hold_s=hold_s,
            last_lines=lambda: self.log,
            root_path=root_path,
        )
        self.listener = Listener(self.sock, self.loop, answer=answers.respond, needs_body=answers.needs_body)
        self.listener.accept()
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def call(self, callback: Callable[[], Any]) -> None:
        """Runs ``callback`` in the loop and waits for it."""
        done = threading.Event()
        self.loop.call_from_thread(lambda: (callback(), done.set()))  # type: ignore[func-returns-value]
        assert done.wait(10)

    def close(self) -> None:
        self.call(self.listener.close)
        self.loop.call_from_thread(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends raw bytes; status, headers and body of the answer."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_answer(sock)

    def ask(self, line: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> Any:
        lines = [f"{line} HTTP/1.1", f"Host: {host}:{self.port}", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def read_answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    received = b""
    while data := sock.recv(65536):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def locked() -> Iterator[Server]:
    made = Server(token=TOKEN)
    yield made
    made.close()


def test_each_asker_gets_what_it_can_use(server: Server) -> None:
    assert server.ask("GET /healthz")[0] == 200
    status, headers, body = server.ask("GET /readyz")
    assert (status, headers["retry-after"]) == (503, "3")
    assert json.loads(body)["state"] == "starting"
    status, headers, body = server.ask("POST /v1/audio/speech", "Content-Type: application/json", body=b"{}")
    assert (status, headers["retry-after"]) == (503, "3")
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    status, _, body = server.ask("GET /api/status")
    assert (status, json.loads(body)["stages"][0]["name"]) == (200, "listen")
    status, headers, body = server.ask("GET /any/where", "Accept: text/html,*/*")
    assert (status, headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    status, headers, body = server.ask("HEAD /any/where", "Accept: text/html")
    assert (status, body) == (503, b"")
    assert int(headers["content-length"]) > 1000


def test_the_loading_page_asks_nobody_else_for_anything(server: Server) -> None:
    _, headers, body = server.ask("GET /", "Accept: text/html")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    text = body.decode()
    assert text.count("<script") + text.count("<style") == text.count(f'nonce="{nonce}"') == 4
    outside = text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in outside.replace(f"http://127.0.0.1:{server.port}", "")
    assert "https://" not in outside
    assert '<noscript><meta http-equiv="refresh"' in text


def test_what_a_log_says_cannot_leave_its_place(server: Server) -> None:
    server.log = {"page": ["</script><script>alert(1)</script>", "{{nonce}}"]}
    _, headers, body = server.ask("GET /", "Accept: text/html")
    nonce = headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0]
    assert b"</script><script>alert" not in body
    assert body.count(nonce.encode()) == body.count(b"<script") + body.count(b"<style") == 4


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /", ["Host: evil.example"], 421),
        ("GET /api/status", ["Host: evil.example"], 421),
        ("POST /v1/audio/speech", ["Host: 127.0.0.1", "Origin: https://evil.example"], 403),
        ("GET /api/status", ["Host: 127.0.0.1", "Sec-Fetch-Site: cross-site"], 403),
        ("GET /", [], 400),
        ("GET /", ["Host: 127.0.0.1", "Host: evil.example"], 400),
        ("GET /", ["Host: 127.0.0.1", "Content-Length: 1", "Content-Length: 2"], 400),
        ("GET /", ["Host: 127.0.0.1", "Content-Length: +1"], 400),
        ("GET /", ["Host: 127.0.0.1", "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
        ("GET /", ["Host: 127.0.0.1", "Bad Header: x", " folded: y"], 400),
        ("BREW /", ["Host: 127.0.0.1"], 501),
    ],
)
def test_doubtful_requests_are_refused(server: Server, line: str, headers: list[str], status: int) -> None:
    data = "\r\n".join([f"{line} HTTP/1.1", *headers, "", ""]).encode()
    assert server.send(data)[0] == status


def test_garbage_and_an_endless_header(server: Server) -> None:
    assert server.send(b"\x16\x03\x01\x02\x00\r\n\r\n")[0] == 400
    assert server.send(b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEAD_BYTES + 10))[0] == 431
    assert server.ask("GET /healthz")[0] == 200


def test_the_token_protects_every_route_but_health(locked: Server) -> None:
    assert locked.ask("GET /healthz")[0] == 200
    for path in ("/", "/readyz", "/api/status", "/v1/models"):
        status, _, body = locked.ask(f"GET {path}")
        assert status == 401
        assert b"stages" not in body
        assert locked.ask(f"GET {path}", f"Authorization: Bearer {TOKEN}")[0] in (200, 503)
        assert locked.ask(f"GET {path}", "Authorization: Bearer wrong")[0] == 401
    status, _, body = locked.ask("GET /", "Accept: text/html")
    assert (status, b'<form method="post" action="/login">' in body) == (401, True)


def test_login_gives_a_cookie_and_guessing_is_slow(locked: Server) -> None:
    form = ["Content-Type: application/x-www-form-urlencoded", f"Origin: http://127.0.0.1:{locked.port}"]
    assert locked.ask("POST /login", *form, body=b"token=wrong")[0] == 401
    status, headers, _ = locked.ask("POST /login", *form, body=f"token={TOKEN}".encode())
    assert (status, headers["location"]) == (303, "/")
    assert TOKEN not in headers["set-cookie"]
    cookie = headers["set-cookie"].partition(";")[0]
    assert locked.ask("GET /api/status", f"Cookie: {cookie}")[0] == 200
    assert locked.ask("POST /login", "Origin: https://evil.example", body=f"token={TOKEN}".encode())[0] == 403
    for _ in range(MAX_WRONG_LOGINS):
        locked.ask("POST /login", *form, body=b"token=wrong")
    assert locked.ask("POST /login", *form, body=f"token={TOKEN}".encode())[0] == 429
    assert locked.ask("POST /login", *form, body=b"token=" + b"a" * 100_000)[0] == 413


def test_a_session_ends_on_the_server_too(locked: Server) -> None:
    def logged_in() -> str:
        return locked.ask("POST /login", body=f"token={TOKEN}".encode())[1]["set-cookie"].partition(";")[0]

    mine, yours = logged_in(), logged_in()
    form = locked.ask("GET /login", f"Cookie: {mine}")[2]
    assert b'"who": "token"' in form and TOKEN.encode() not in form
    assert locked.ask("POST /logout", f"Cookie: {mine}", "Origin: https://evil.example")[0] == 403
    assert locked.ask("GET /logout", f"Cookie: {mine}")[1]["location"] == "/login"
    assert locked.ask("GET /api/status", f"Cookie: {mine}")[0] == 200
    status, headers, _ = locked.ask("POST /logout", f"Cookie: {mine}")
    assert (status, headers["location"]) == (303, "/login")
    assert "Max-Age=0" in headers["set-cookie"]
    assert locked.ask("GET /api/status", f"Cookie: {mine}")[0] == 401
    assert locked.ask("GET /api/status", f"Cookie: {yours}")[0] == 200


def test_a_large_body_does_not_lose_the_answer(server: Server) -> None:
    for size in (100_000, 8_000_000):
        status, headers, _ = server.ask("POST /v1/audio/speech", body=b"x" * size)
        assert (status, headers["retry-after"]) == (503, "3")


def test_a_chunked_body_does_not_lose_the_answer(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = f"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert server.send(head + chunk * 20 + b"0\r\n\r\n")[0] == 503


def test_a_client_that_has_said_all_still_gets_its_answer(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        assert read_answer(sock)[0] == 200


def test_slow_headers_end_and_do_not_keep_others_out(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(MAX_CONNECTIONS + 20)]
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\n")
        # All places are taken; the next one waits in the backlog until the slow ones have used up their time.
        assert server.ask("GET /healthz")[0] == 200
        assert read_answer(slow[0])[0] == 408


def test_a_request_in_single_bytes_is_understood(server: Server) -> None:
    with server.connect() as sock:
        for byte in f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode():
            sock.sendall(bytes([byte]))
        assert read_answer(sock)[0] == 200


def test_connections_wait_while_nobody_accepts(server: Server) -> None:
    server.call(server.listener.hand_over)
    with server.connect() as sock:
        sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        server.call(server.listener.accept)
        sock.settimeout(30)
        assert read_answer(sock)[0] == 200


SPEECH = b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\n\r\n"


@pytest.fixture
def patient() -> Iterator[Server]:
    made = Server(hold_s=30.0)
    yield made
    made.close()


def test_a_request_for_speech_waits_for_the_page(patient: Server) -> None:
    with patient.connect() as sock:
        sock.sendall(SPEECH + b'{"in')
        assert patient.ask("GET /healthz")[0] == 200
        assert patient.ask("GET /v1/models")[0] == patient.ask("POST /v1/other")[0] == 503
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.sendall(b'": "x"}')
        patient.remaining_s = 0.0
        patient.call(patient.listener.hand_over)
        sock.settimeout(30)
        status, headers, body = read_answer(sock)
    assert (status, headers["retry-after"], headers["retry-after-ms"]) == (503, "1", "100")
    assert json.loads(body)["error"]["code"] == "loading"


def test_whoever_waits_is_told_when_it_takes_too_long_or_will_not_be() -> None:
    server = Server(hold_s=0.1)
    try:
        status, headers, _ = server.send(SPEECH + b'{"a": 1}')
        assert (status, headers["retry-after"], "retry-after-ms" in headers) == (503, "3", False)
    finally:
        server.close()
    server = Server(hold_s=600.0)
    try:
        with server.connect() as sock:
            sock.sendall(SPEECH + b'{"a": 1}')
            assert server.ask("GET /healthz")[0] == 200
            server.remaining_s = None
            server.call(server.listener.release)
            assert read_answer(sock)[1]["x-should-retry"] == "false"
        assert server.send(SPEECH + b'{"a": 1}')[1]["x-should-retry"] == "false"
    finally:
        server.close()


def test_those_who_wait_keep_nobody_else_out(patient: Server) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(patient.connect()) for _ in range(MAX_HELD)]
        for sock in waiting:
            sock.sendall(SPEECH + b'{"a": 1}')
        wait_for(lambda: not patient.listener.may_hold(), "all places taken")
        assert patient.send(SPEECH + b'{"a": 1}')[0] == 503
        assert patient.ask("GET /healthz")[0] == 200
        # One that leaves makes room for another one.
        waiting.pop().close()
        wait_for(patient.listener.may_hold, "a place")
        late = stack.enter_context(patient.connect())
        late.sendall(SPEECH + b'{"a": 1}')
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)


def test_a_refused_request_does_not_wait() -> None:
    server = Server(token=TOKEN, hold_s=600.0)
    try:
        assert server.send(SPEECH + b'{"a": 1}')[0] == 401
        assert server.send(SPEECH.replace(b"Host: 127.0.0.1", b"Host: evil.example") + b'{"a": 1}')[0] == 421
    finally:
        server.close()


def test_a_prefix_of_a_proxy_is_understood() -> None:
    server = Server(root_path="/tts")
    try:
        assert server.ask("GET /tts/api/status")[0] == 200
        assert server.ask("GET /api/status")[0] == 200
        assert b'"root": "/tts"' in server.ask("GET /tts/", "Accept: text/html")[2]
    finally:
        server.close()


def test_no_retry_is_promised_when_there_is_no_hope() -> None:
    server = Server(remaining_s=None)
    try:
        _, headers, _ = server.ask("GET /v1/models")
        assert "retry-after" not in headers
        assert headers["x-should-retry"] == "false"
    finally:
        server.close()


def test_the_port_can_be_freed_for_a_child_that_binds_it_itself() -> None:
    loop = Loop()
    port = free_port()
    answers: list[str] = []
    listener = Listener(
        bind_port("127.0.0.1", port),
        loop,
        answer=lambda request: pytest.fail("nobody asks"),
        needs_body=lambda request: bool(answers),
        rebind=lambda: bind_port("127.0.0.1", port),
    )
    listener.accept()
    assert listener.descriptor is None
    listener.free_for_child()
    with bind_port("127.0.0.1", port):
        listener.accept()  # the child still holds it
        assert not listener.accepting
    deadline = time.monotonic() + 30
    while not listener.accepting and time.monotonic() < deadline:
        loop.run_once(0.1)
    assert listener.accepting
    socket.create_connection(("127.0.0.1", port)).close()
    listener.close()
    loop.close()


def test_the_bounds_are_those_of_the_contract() -> None:
    assert MAX_HEAD_BYTES == 16 * 1024
    assert connection_module.HEAD_TIMEOUT_S == 5.0
