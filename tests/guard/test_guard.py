"""The guard over a real server: what may not pass, what every answer carries."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from launcher.access import COOKIE_NAME, AccessRules, EndedSessions
from launcher.access.rules import who_asks
from launcher.frames import MEDIA_TYPE
from tests.engine.processes import page, wait_until, worker

TOKEN = "s3cret-token-ß"
LIMIT_BYTES = 50_000
BROWSER = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate"}


@pytest.fixture(scope="module")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with worker(tmp_path_factory.mktemp("engine")) as process:
        yield process.address


@pytest.fixture(scope="module")
def address(engine_address: str) -> Iterator[str]:
    with page(engine_address, max_body_bytes=LIMIT_BYTES) as server:
        yield server


@pytest.fixture(scope="module")
def locked(engine_address: str) -> Iterator[str]:
    with page(engine_address, token=TOKEN, allowed_hosts=("tts.example",)) as server:
        yield server


def raw(address: str, request: bytes) -> bytes:
    """What the server answers to these very bytes, until it closes or falls silent."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        received = b""
        try:
            sock.sendall(request)
            while data := sock.recv(65536):
                received += data
        except (TimeoutError, ConnectionError):
            pass
        return received


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("[::1]:7860", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 400),
        ("", 400),
    ],
)
def test_a_foreign_host_is_refused(address: str, host: str, status: int) -> None:
    answer = raw(address, f"GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]


def test_two_hosts_are_none(address: str) -> None:
    request = b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(address, request).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:80"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1.evil.example"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/speak", "/v1/audio/speech"])
def test_a_foreign_page_cannot_speak(address: str, path: str, headers: dict, status: int) -> None:
    body = {"text": "one"} if path == "/api/speak" else {"input": "one", "model": "tts-1", "voice": "alloy"}
    answer = httpx.post(address + path, content=json.dumps(body), headers={"content-type": "text/plain", **headers})
    assert answer.status_code == status, answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_allows_nothing(address: str) -> None:
    answer = httpx.options(
        f"{address}/v1/audio/speech",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
    )
    assert answer.status_code >= 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/api/status", "/nothing", "/v1/nothing", "/api/nothing", "/login"])
def test_every_answer_has_the_security_headers(address: str, path: str) -> None:
    answer = httpx.get(address + path)
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "server" not in answer.headers


def test_a_refusal_has_them_too(address: str) -> None:
    answer = httpx.get(address, headers={"host": "evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_over_the_limit_is_413(address: str) -> None:
    answer = httpx.post(f"{address}/v1/audio/speech", content=b"x" * (LIMIT_BYTES + 1))
    assert answer.status_code == 413
    assert str(LIMIT_BYTES) in answer.json()["error"]["message"]


def test_a_body_over_the_limit_without_length_is_413(address: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 10_000

    for path in ("/v1/audio/speech", "/api/speak", "/login"):
        answer = httpx.post(address + path, content=pieces())
        assert answer.status_code == 413, path
        assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("length", ["99999999999999999999", "-1", "abc", "1, 2"])
def test_a_doubtful_length_is_refused(address: str, length: str) -> None:
    answer = raw(
        address, f"POST /api/speak HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
    )
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]


def test_a_request_smuggled_behind_two_lengths_is_refused(address: str) -> None:
    request = (
        b"POST /api/speak HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    answer = raw(address, request)
    assert b"HTTP/1.1 200" not in answer


def test_headers_without_end_are_refused(address: str) -> None:
    answer = raw(address, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000)
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


def test_what_a_proxy_claims_is_not_believed(address: str) -> None:
    for headers in (
        {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-forwarded-prefix": "/evil"},
        {"forwarded": "host=evil.example"},
    ):
        answer = httpx.get(f"{address}/login", headers=headers)
        assert "evil" not in answer.headers.get("location", "") + answer.text
    assert (
        httpx.get(
            f"{address}/api/status", headers={"host": "evil.example", "x-forwarded-host": "localhost"}
        ).status_code
        == 421
    )


def test_without_the_token_only_health_and_login_answer(locked: str) -> None:
    assert httpx.get(f"{locked}/healthz").status_code == 200
    for path in (
        "/",
        "/readyz",
        "/api/status",
        "/api/events",
        "/api/info",
        "/v1/models",
        "/gradio_api/info",
        "/nothing",
    ):
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": TOKEN.encode()},
            {"cookie": "tts_launcher_session=x"},
        ):
            answer = httpx.get(locked + path, headers=headers)
            assert answer.status_code == 401, (path, headers)
            assert TOKEN not in answer.text
    answer = httpx.post(f"{locked}/v1/audio/speech", json={"input": "one"})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert httpx.get(f"{locked}/api/status?token={TOKEN}").status_code == 401


def test_a_program_sends_the_token_as_bearer(locked: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}".encode()}
    assert httpx.get(f"{locked}/v1/models", headers=headers).status_code == 200
    answer = httpx.post(f"{locked}/api/speak", json={"text": "one"}, headers=headers)
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_a_browser_logs_in_once(locked: str) -> None:
    with httpx.Client(base_url=locked, headers=BROWSER) as browser:
        assert browser.get("/").headers["location"] == "/login"
        form = browser.get("/login")
        assert 'method="post"' in form.text and "访问密钥" in form.text
        wrong = browser.post("/login", data={"token": "<script>"})
        assert wrong.status_code == 401 and "<script>" not in wrong.text and "set-cookie" not in wrong.headers
        right = browser.post("/login", data={"token": TOKEN})
        assert right.status_code == 303
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite" in cookie and TOKEN not in cookie
        assert browser.get("/api/status").status_code == 200
        foreign = browser.post("/login", data={"token": TOKEN}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403


def test_whoever_logs_out_is_out_everywhere(engine_address: str, tmp_path: Path) -> None:
    ended, users = tmp_path / "ended_sessions", (("alice", "alices-token"), ("bob", "bobs-token"))
    with page(engine_address, users=users, ended_sessions=str(ended)) as server:
        sessions = [httpx.Client(base_url=server, headers=BROWSER) for _ in range(3)]
        alice, alice_elsewhere, bob = sessions
        for session, token in ((alice, "alices-token"), (alice_elsewhere, "alices-token"), (bob, "bobs-token")):
            session.post("/login", data={"token": token})
            assert session.get("/api/status").status_code == 200
        stolen = f"{COOKIE_NAME}={alice.cookies[COOKIE_NAME]}"
        assert '"who": "alice"' in alice.get("/login").text
        # A link or another site's form ends nothing.
        assert alice.get("/logout").headers["location"] == "/login"
        assert alice.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403
        assert alice.get("/api/status").status_code == 200
        out = alice.post("/logout", headers={"origin": server})
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert COOKIE_NAME not in alice.cookies
        assert httpx.get(f"{server}/api/status", headers={"cookie": stolen}).status_code == 401
        assert [each.get("/api/status").status_code for each in (alice_elsewhere, bob)] == [200, 200]
        assert '"who": ""' in alice.get("/login").text
        assert stolen.partition("=")[2] not in ended.read_text()
    # The page's next process, and the supervisor meanwhile, read the same file.
    rules = AccessRules(users=users, ended=EndedSessions(ended))
    assert who_asks(rules, {"cookie": stolen}) == ""
    assert who_asks(rules, {"cookie": f"{COOKIE_NAME}={bob.cookies[COOKIE_NAME]}"}) == "bob"
    for session in sessions:
        session.close()


def test_tokens_cannot_be_guessed_quickly(engine_address: str) -> None:
    with page(engine_address, token=TOKEN) as server:
        statuses = [httpx.post(f"{server}/login", data={"token": f"guess {n}"}).status_code for n in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert httpx.post(f"{server}/login", data={"token": TOKEN}).status_code == 429
        bearer = {"authorization": f"Bearer {TOKEN}".encode()}
        assert httpx.get(f"{server}/api/status", headers=bearer).status_code == 200


def test_a_person_gets_a_page_and_a_program_json(address: str) -> None:
    page_answer = httpx.get(f"{address}/", headers={**BROWSER, "host": "<b>evil"})
    assert page_answer.status_code == 400
    assert page_answer.headers["content-type"].startswith("text/html")
    assert "<b>evil" not in page_answer.text
    assert httpx.get(f"{address}/", headers={"host": "evil.example"}).json()["error"]["code"] == "host_not_allowed"


def test_an_allowed_name_is_answered(locked: str) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}".encode()}
    assert httpx.get(f"{locked}/api/status", headers={**bearer, "host": "tts.example"}).status_code == 200
    assert httpx.get(f"{locked}/api/status", headers={**bearer, "host": "other.example"}).status_code == 421


def test_a_hundred_slow_connections_do_not_stop_the_others(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(100)]
    try:
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert httpx.get(f"{address}/healthz").status_code == 200
    finally:
        for sock in slow:
            sock.close()


def test_a_request_that_never_ends_its_headers_is_dropped(engine_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from webui.engine import connections

    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)
    with page(engine_address) as server:
        host, port = server.removeprefix("http://").split(":")
        for start in (b"", b"GET / HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"):
            with socket.create_connection((host, int(port)), timeout=30) as sock:
                sock.sendall(start)
                while sock.recv(65536):
                    pass
        wait_until(lambda: httpx.get(f"{server}/healthz").status_code == 200, "the server")


def test_a_long_answer_is_not_cut_by_the_header_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webui.engine import connections

    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.3)
    with worker(tmp_path, chunk_s=0.3) as slow, page(slow.address) as server:
        answer = httpx.post(f"{server}/api/speak", json={"text": "a b c d"}, timeout=60)
        assert b'"event":"end"' in answer.content
