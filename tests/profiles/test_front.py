"""The process in front of an app: who may come in, what the app gets to see, and what passes through unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from launcher.access import AccessRules
from launcher.process.answers import Answers
from launcher.process.front import Front
from tests.ports import free_port

TOKEN = "a-token-of-the-test-0123"
BIG = 3_000_000


class App(BaseHTTPRequestHandler):
    """Answers with what it has got; keeps connections alive if it is let."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []  # noqa: RUF012
    gone = threading.Event()

    def do_GET(self) -> None:
        App.seen.append(f"{self.command} {self.path}")
        if self.headers.get("Upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            while data := self.rfile.read1(100):  # type: ignore[attr-defined]
                self.wfile.write(data.upper())
            self.close_connection = True
            return
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"data: x\n\n")
                    threading.Event().wait(0.05)
            App.gone.set()
            return
        self._reply({"path": self.path, "headers": [list(pair) for pair in self.headers.items()]})

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        App.seen.append(f"{self.command} {self.path}")
        if self.headers.get("Transfer-Encoding") == "chunked":
            size = 0
            while length := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply({"size": size})

    def _reply(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def front_of(
    port: int, rules: AccessRules, *, is_open: bool = True, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A front in a thread; gives its port."""
    answers = Answers(rules=rules, snapshot=dict, remaining_s=lambda: 1.0, last_lines=dict)
    front = Front(port, gate=answers, hides_token=bool(rules.holders), tls=tls)
    front.is_open = is_open
    sock = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, problem: problems.append(problem))
    loop.run_until_complete(front.serve(sock))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield int(sock.getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        assert not problems


@pytest.fixture(scope="module")
def app_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def port(app_port: int) -> Iterator[int]:
    with front_of(app_port, AccessRules()) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(app_port: int) -> Iterator[int]:
    with front_of(app_port, AccessRules(TOKEN, ("*",))) as found:
        yield found


def ask(
    port: int, path: str = "/", method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named, encode_chunked=hasattr(body, "__next__"))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        parts = []
        while block := sock.recv(65536):
            parts.append(block)
        return b"".join(parts)


def test_requests_and_answers_pass(port: int) -> None:
    status, headers, body = ask(port, "/a%20b?c=d", Cookie="theirs=1", X_Other="y")
    assert (status, headers["connection"]) == (200, "close")
    seen = json.loads(body)
    assert seen["path"] == "/a%20b?c=d"
    assert ["Host", f"127.0.0.1:{port}"] in seen["headers"] and ["X-Other", "y"] in seen["headers"]
    assert ask(port, method="HEAD")[0] == 200 and not ask(port, method="HEAD")[2]
    assert json.loads(ask(port, method="POST", body=b"x" * BIG)[2]) == {"size": BIG}
    chunks = iter([b"a" * 70_000, b"b" * 5])
    assert json.loads(ask(port, method="POST", body=chunks, Transfer_Encoding="chunked")[2]) == {"size": 70_005}


def test_who_may_not_come_in_is_told_and_the_app_hears_nothing(port: int, guarded: int) -> None:
    App.seen.clear()
    assert ask(port, "/", Host="evil.example.org")[0] == 421
    assert ask(port, "/", "POST", b"x", Origin="http://evil.example.org")[0] == 403
    assert ask(guarded, "/")[0] == 401
    assert ask(guarded, "/", "POST", b"x" * BIG)[0] == 401
    assert ask(guarded, "/", Authorization="Bearer wrong")[0] == 401
    assert b"<form" in ask(guarded, "/", Accept="text/html")[2]
    assert ask(guarded, "/healthz")[0] == 200
    assert not App.seen


def test_a_token_lets_in_and_stays_here(guarded: int) -> None:
    status, _, body = ask(guarded, "/", Authorization=f"Bearer {TOKEN}")
    assert status == 200 and TOKEN.encode() not in body
    form = f"token={TOKEN}".encode()
    status, headers, _ = ask(guarded, "/login", "POST", form, Content_Type="application/x-www-form-urlencoded")
    cookie = headers["set-cookie"].partition(";")[0]
    assert status == 303 and cookie.startswith("tts_launcher_session=")
    status, _, body = ask(guarded, "/", Cookie=f"a=1; {cookie}; b=2")
    assert status == 200 and cookie.encode() not in body
    assert ["Cookie", "a=1; b=2"] in json.loads(body)["headers"]
    App.seen.clear()
    assert ask(guarded, "/logout", "POST", b"", Cookie=cookie, Origin="http://evil.example.org")[0] == 403
    assert ask(guarded, "/logout", "POST", b"", Cookie=cookie)[0] == 303
    assert ask(guarded, "/", Cookie=cookie)[0] == 401
    assert not App.seen


def test_the_app_is_not_told_who_asked_by_who_asks(port: int) -> None:
    seen = json.loads(ask(port, "/", X_Forwarded_For="1.2.3.4", X_Forwarded_Host="evil", Forwarded="for=evil")[2])
    assert not [name for name, _ in seen["headers"] if "forwarded" in name.lower()]


def test_a_second_request_on_a_connection_is_not_passed_on(guarded: int) -> None:
    App.seen.clear()
    good = f"GET /first HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    answer = raw(guarded, good + b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    post = good.replace(b"GET /first", b"POST /third").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\nok")
    raw(guarded, post + b"GET /fourth HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert App.seen == ["GET /first", "POST /third"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n X: folded\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_doubtful_head_is_refused(port: int, head: bytes) -> None:
    assert raw(port, head).startswith(b"HTTP/1.1 400")


def test_an_upgraded_connection_is_a_pipe(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
        received = b""
        while not received.endswith(b"HELLO"):
            received += sock.recv(1000)
        assert received.startswith(b"HTTP/1.1 101") and b"Upgrade: echo" in received


def test_who_goes_away_ends_an_endless_answer(port: int) -> None:
    App.gone.clear()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"data: x" not in received:
            received += sock.recv(1000)
    assert App.gone.wait(20)


def test_a_stop_with_an_open_answer_says_nothing(app_port: int) -> None:
    with front_of(app_port, AccessRules()) as port:
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1000)
    sock.close()


def test_an_app_that_is_not_there_is_waited_for(app_port: int) -> None:
    with front_of(app_port, AccessRules(), is_open=False) as port:
        status, headers, body = ask(port, "/", Accept="text/html")
        assert (status, headers["retry-after"]) == (503, "2") and b"http-equiv" in body
        assert json.loads(ask(port, "/api")[2])["error"]["code"] == "loading"
    with front_of(free_port(), AccessRules()) as port:
        assert ask(port, "/")[0] == 503


def test_tls_ends_here_and_the_app_hears_of_it(app_port: int) -> None:
    authority = trustme.CA()
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trust)
    with front_of(app_port, AccessRules(), tls=context) as port:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
        with contextlib.closing(connection):
            connection.request("POST", "/", b"x" * BIG)
            assert json.loads(connection.getresponse().read()) == {"size": BIG}
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
        ) as connection:
            connection.request("GET", "/", headers={"X-Forwarded-Proto": "gopher"})
            seen = json.loads(connection.getresponse().read())["headers"]
        assert [value for name, value in seen if name == "X-Forwarded-Proto"] == ["https"]
