"""Limits of number and pace over a real server: slow senders, slow readers, too many connections, too many requests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from launcher.access import AccessRules
from launcher.access.clients import parse_networks
from tests.engine.processes import wait_until
from tests.guard.serving import raw, serving
from webui.engine.connections import Admission
from webui.engine.streaming import StreamedAnswer
from webui.guard import Guard, Limits

TOKEN = "a-token-of-the-test-0123"
ALICE = "alices-token-0123456789"


class Application:
    """Counts what reaches it and streams without end."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.closed = threading.Event()
        self.app = Router(
            [
                Route("/v1/audio/speech", self.speak, methods=["POST"]),
                Route("/endless", self.endless, methods=["GET"]),
                Route("/seen", self.seen, methods=["GET"]),
            ]
        )

    async def speak(self, request: Request) -> Response:
        self.heard.append((await request.body()).decode())
        return PlainTextResponse("spoken")

    async def seen(self, request: Request) -> Response:
        headers = " ".join(sorted(request.headers))
        assert request.client is not None
        return PlainTextResponse(f"{request.client.host} {request.url.scheme} {headers}")

    async def endless(self, _request: Request) -> Response:
        async def chunks() -> AsyncGenerator[bytes, None]:
            try:
                while True:
                    yield b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                self.closed.set()

        return StreamedAnswer(chunks(), media_type="text/plain")


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def limited(application: Application, tmp_path: Path) -> Iterator[int]:
    guard = Guard(
        application.app,
        rules=AccessRules(users=(("alice", ALICE), ("bob", TOKEN))),
        limits=Limits(body_bytes=10_000, requests_per_minute=3, body_grace_s=0.5),
        trusted=parse_networks(["127.0.0.1"]),
        audit_dir=str(tmp_path),
    )
    admission = Admission(12, lambda address: True)
    with serving(guard, admission=admission, stalled_s=0.5) as port:
        yield port


def ask(port: int, *, token: str = TOKEN, address: str = "203.0.113.5") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
    return httpx.post(f"http://127.0.0.1:{port}/v1/audio/speech", content=b"{}", headers=headers)


def audit(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def test_one_user_may_ask_so_often_whatever_the_address(limited: int, tmp_path: Path) -> None:
    answers = [ask(limited, address=f"203.0.113.{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 0 < int(answers[3].headers["retry-after"]) <= 60
    assert answers[3].json()["error"]["type"] == "rate_limit_error"
    assert ask(limited, token=ALICE).status_code == 200
    # A line is written when its answer has gone.
    wait_until(lambda: any(line["who"] == "alice" for line in audit(tmp_path)), "the last line")
    lines = audit(tmp_path)
    assert [line["who"] for line in lines if line["event"] == "speech"] == ["bob"] * 3 + ["alice"]
    assert [line["address"] for line in lines][:2] == ["203.0.113.0", "203.0.113.1"]
    assert {line["code"] for line in lines if line["event"] == "denied"} == {"too_many_requests"}
    assert TOKEN not in json.dumps(lines)


def test_changes_are_counted_and_looking_is_not(limited: int) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "x-forwarded-for": "203.0.113.9"}
    asked = [
        ("DELETE", "/api/presets/x"),
        ("POST", "/api/voices"),
        ("PATCH", "/api/history/x"),
        ("POST", "/api/segments"),
    ]
    seen = [httpx.request(method, f"http://127.0.0.1:{limited}{path}", headers=headers) for method, path in asked]
    assert [answer.status_code for answer in seen] == [404, 404, 404, 429]
    assert [httpx.get(f"http://127.0.0.1:{limited}/seen", headers=headers).status_code for _ in range(5)] == [200] * 5


def test_this_machines_own_programs_are_not_counted(application: Application) -> None:
    guard = Guard(application.app, rules=AccessRules(), limits=Limits(requests_per_minute=1))
    with serving(guard) as port:
        assert [ask(port).status_code for _ in range(4)] == [200] * 4


def test_a_token_cannot_be_tried_out_as_bearer(limited: int, tmp_path: Path) -> None:
    answers = [ask(limited, token=f"guess-{number}") for number in range(23)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 3
    assert ask(limited).status_code == 200, "the right token is never locked out"
    assert ask(limited, token="guess", address="203.0.113.77").status_code == 401
    assert len([line for line in audit(tmp_path) if line["event"] == "denied"]) <= 21, "a flood fills the log"


def test_behind_a_trusted_proxy_the_client_is_seen_and_its_claims_are_not(limited: int) -> None:
    forwarded = {
        "authorization": f"Bearer {TOKEN}",
        "x-forwarded-for": "10.9.9.9, 203.0.113.5",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.example",
        "forwarded": "for=10.9.9.9",
        "x-real-ip": "10.9.9.9",
    }
    answer = httpx.get(f"http://127.0.0.1:{limited}/seen", headers=forwarded)
    assert answer.text.startswith("203.0.113.5 https ")
    assert "forwarded" not in answer.text and "x-real-ip" not in answer.text


def test_a_body_that_drips_is_ended(limited: int, application: Application) -> None:
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", limited), timeout=30) as sock:
        sock.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode())
        sock.settimeout(0.1)
        answer, deadline = b"", time.monotonic() + 30
        while not answer and time.monotonic() < deadline:
            sock.sendall(b"x")
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:200]
    assert not application.heard


def test_who_takes_nothing_of_an_answer_loses_the_connection(limited: int, application: Application) -> None:
    with socket.create_connection(("127.0.0.1", limited), timeout=30) as sock:
        sock.sendall(f"GET /endless HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert application.closed.wait(30), "the work behind the answer goes on"


def test_who_takes_it_slowly_but_steadily_keeps_it(limited: int, application: Application) -> None:
    with socket.create_connection(("127.0.0.1", limited), timeout=30) as sock:
        sock.sendall(f"GET /endless HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert sock.recv(1 << 20)
            time.sleep(0.01)
        assert not application.closed.is_set()


def test_one_address_gets_a_quarter_of_the_connections(limited: int) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", limited)) for _ in range(3)]
    try:
        deadline = time.monotonic() + 30
        while not (answer := raw(limited, request)).startswith(b"HTTP/1.1 503 ") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"Retry-After" in answer and answer.endswith(b"}")
    finally:
        for sock in held:
            sock.close()
    deadline = time.monotonic() + 30
    while raw(limited, request).startswith(b"HTTP/1.1 503 ") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b" 404 " in raw(limited, request), "the places came back"


def test_places_are_counted_and_given_back() -> None:
    admission = Admission(8, lambda address: address != "127.0.0.1")
    assert [admission.enter("a") for _ in range(3)] == [True, True, False]
    assert [admission.enter("127.0.0.1") for _ in range(7)] == [True] * 6 + [False]
    admission.leave("a")
    assert admission.enter("b")
    assert not admission.enter("b"), "all are taken"
