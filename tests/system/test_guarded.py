"""An instance with everything the guard has: TLS, users, a trusted proxy and a root path, from the first moment on."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.engine.processes import wait_until
from tests.system.running import READY_WITHIN_S, ROOT, Running

ALICE, BOB = "alices-token-0123456789", "bobs-token-0123456789ab"
BROWSER = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate"}
FORWARDED = {"x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https"}


class Guarded:
    """The instance, its certificate authority, and what the port said before the page was up."""

    def __init__(self, running: Running, trust: ssl.SSLContext) -> None:
        self.running, self.trust = running, trust
        self.url = running.wait(lambda snapshot: bool(snapshot.get("url")), "bound")["url"].removesuffix("/tts")

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, headers=headers, timeout=60)

    def audit(self, event: str, count: int) -> list[dict]:
        """The lines about an event, when there are so many: each is written when its answer is over."""
        return wait_until(lambda: len(found := self._audit(event)) >= count and found, f"{count} lines about {event}")

    def _audit(self, event: str) -> list[dict]:
        folder = Path(self.running.environment["LAUNCHER_DATA_DIR"]) / "instances/guarded/logs"
        text = (folder / "audit.jsonl").read_text()
        assert ALICE not in text and BOB not in text
        assert "Hello" not in text
        return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]


@pytest.fixture(scope="module")
def guarded(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(folder / "cert.pem", append=number > 0)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    settings = {
        "LAUNCHER_TLS_CERT": str(folder / "cert.pem"),
        "LAUNCHER_TLS_KEY": str(folder / "key.pem"),
        "LAUNCHER_USERS": f"alice:{ALICE},bob:{BOB}",
        "LAUNCHER_TRUSTED_PROXIES": "127.0.0.1",
        "LAUNCHER_ROOT_PATH": "/tts",
    }
    running = Running(data_dir, "guarded", settings=settings)
    try:
        yield Guarded(running, trust)
    finally:
        running.stop()


def test_the_loading_page_speaks_tls_and_its_session_holds_on_the_page(guarded: Guarded) -> None:
    with guarded.client(**FORWARDED) as browser:
        first = browser.get("/tts/", headers=BROWSER)
        assert first.status_code in (401, 503), "the page was up before the test"
        assert "form" in first.text and 'action="/tts/login"' in first.text
        assert browser.get("/tts/api/status").status_code == 401
        wrong = browser.post("/tts/login", data={"token": "<script>alert(1)</script>"})
        assert wrong.status_code == 401 and "alert(1)" not in wrong.text
        right = browser.post("/tts/login", data={"token": ALICE})
        assert right.status_code == 303 and right.headers["location"] == "/tts/"
        assert "Secure" in right.headers["set-cookie"] and ALICE not in right.headers["set-cookie"]
        assert browser.get("/tts/api/status").json()["instance"] == "guarded"
        guarded.running.wait_ready()
        deadline = time.monotonic() + READY_WITHIN_S
        while browser.get("/tts/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "<gradio-app" in browser.get("/tts/", headers=BROWSER).text
        assert browser.get("/tts/api/info").status_code == 200
    lines = guarded.audit("login", 2)
    assert [(line["who"], line["status"]) for line in lines] == [("", 401), ("alice", 303)]
    assert {line["address"] for line in lines} == {"203.0.113.5"}


def test_the_page_works_under_the_root_path_whether_the_proxy_cuts_it_off_or_not(guarded: Guarded) -> None:
    guarded.running.wait_ready()
    bearer = {"authorization": f"Bearer {BOB}", **FORWARDED, "x-forwarded-host": "evil.example"}
    with guarded.client(**bearer) as client:
        for prefix in ("/tts", ""):
            page = client.get(f"{prefix}/", headers=BROWSER).text
            assert "evil.example" not in page
            for path in set(re.findall(r'(?:src|href)="(/[^"/][^"]*|https?://[^"]+|\./[^"]*)"', page)):
                local = path.removeprefix(guarded.url)
                assert not local.startswith("http"), f"the page names another host: {path}"
                # Gradio names a manifest that only its `pwa` option serves; browsers pass over it.
                if local.startswith("/") and local != "/manifest.json":
                    assert local.startswith("/tts/"), f"{path} leads past the proxy"
                    assert client.get(local).status_code == 200, path
            assert client.get(f"{prefix}/config").json()["root"].endswith("/tts")
        assert client.get("/ttsx/api/status").status_code == 404
        login = client.get("/tts/", headers={**BROWSER, "authorization": ""})
        assert login.headers["location"] == "/tts/login"


def test_the_command_line_speaks_through_tls_and_stands_in_the_log(guarded: Guarded, tmp_path: Path) -> None:
    guarded.running.wait_ready()
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "say", "Hello.", "-o", str(tmp_path / "out.wav"), "--json"],
        cwd=ROOT,
        env=guarded.running.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.wav").stat().st_size > 10_000
    with guarded.client(authorization=f"Bearer {BOB}") as client:
        answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hi.", "voice": "alloy"})
        assert answer.status_code == 200
    assert [line["who"] for line in guarded.audit("speech", 2)] == ["token", "bob"]


def test_what_is_no_tls_is_no_answer(guarded: Guarded) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(guarded.url.replace("https:", "http:") + "/healthz", timeout=60)
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(guarded.url + "/healthz", timeout=60)
