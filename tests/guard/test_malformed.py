"""Requests that are written to make the server count, copy or search for ever, or to land where nobody guards."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import SpeechError
from tests.engine.processes import WorkerProcess, page, wait_until
from webui.api.threads import SLOW_PLACES, in_slow_thread, in_thread
from webui.engine.glossary import apply_glossary
from webui.jobs.formats import read
from webui.jobs.store import JobStore
from webui.library.archives import Archive
from webui.library.fields import read_name, read_tags
from webui.library.glossary import MAX_FILE_CHARS
from webui.library.library import Library

HALF = "\\ud800"
DIGITS = "9" * 4000
DEEP = "[" * 960 + "]" * 960


@pytest.fixture(scope="module")
def client(engine: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("stores")
    library, jobs = Library(folder / "library"), JobStore(folder / "jobs")
    with (
        page(engine.address, library=library, jobs=jobs) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client
    library.close()
    jobs.close()


@pytest.mark.parametrize("value", [f'"{HALF}"', f'{{"{HALF}": 1}}', "NaN", "-Infinity", "1e999", DIGITS, DEEP, "null"])
def test_no_value_of_any_field_is_an_error_of_ours(client: httpx.Client, value: str) -> None:
    bodies = {
        "/api/presets": ['{"name": %s, "state": {}}', '{"name": "a", "state": {"x": %s}}'],
        "/api/glossary": ['{"term": %s, "en": "x"}', '{"term": "x", "en": %s}'],
        "/api/jobs": [
            *('{"title": %s, "rows": ["one"], "start": false}', '{"content": %s}', '{"rows": ["a"], "defaults": %s}'),
            *('{"rows": ["a"], "gap_s": %s}', '{"rows": [{"text": "a", "silence_after_ms": %s}], "start": false}'),
            *('{"rows": [{"text": "a", "voice": %s}], "start": false}', '{"rows": [{"text": "a", "name": %s}]}'),
            *('{"rows": [{"text": "a", "generation": %s}]}', '{"rows": [{"text": "a", "intensity": %s}]}'),
        ],
        "/api/speak": ['{"text": "a", "voice": %s}', '{"text": "a", "speed": %s}', '{"text": "a", "emotion": %s}'],
        "/v1/audio/speech": ['{"input": "a", "voice": {"id": %s}}', '{"input": "a", "emotion_curve": [{"at": %s}]}'],
        "/v1/audio/speech/batch": ['{"items": ["a"], "title": %s}', '{"items": [{"input": "a", "instructions": %s}]}'],
        "/api/history/delete": ['{"ids": [%s]}'],
    }
    for path, templates in bodies.items():
        for template in templates:
            answer = client.post(path, content=template % value)
            assert answer.status_code < 500, (path, template, answer.text)
    for path in ("/api/presets", "/api/glossary", "/api/jobs", "/api/history"):
        assert client.get(path).status_code == 200, "what was stored cannot be shown"
    for preset in client.get("/api/presets").json()["presets"]:
        client.delete(f"/api/presets/{preset['id']}")


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000, "-1", "1e3", "%D9%A3", "0x1", "1_0"])
def test_no_number_in_a_path_is_an_error_of_ours(client: httpx.Client, number: str) -> None:
    job = client.post("/api/jobs", json={"rows": ["one"], "start": False}).json()["id"]
    for method, path in (
        *(("GET", f"/api/jobs/{job}/rows/{number}"), ("PATCH", f"/v1/jobs/{job}/rows/{number}")),
        *(("POST", f"/api/jobs/{job}/rows/{number}/retry"), ("GET", f"/api/jobs/{job}/rows/{number}/audio")),
        *(("PATCH", f"/api/glossary/{number}"), ("DELETE", f"/api/glossary/{number}")),
        ("DELETE", f"/api/system/errands/{number}"),
    ):
        assert client.request(method, path, json={}).status_code in (400, 404, 405), (method, path)
    for path in ("/api/jobs?before=", f"/api/jobs/{job}/rows?offset=", "/api/history?limit=", "/api/system/log?lines="):
        assert client.get(f"{path}{number}").status_code < 500


def test_the_prefix_of_a_proxy_twice_is_no_way_around_the_guard(engine: WorkerProcess, tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    with page(engine.address, library=library, root_path="/tts", audit_dir=str(tmp_path)) as address:
        for prefix in ("", "/tts", "/tts/tts", "/tts/tts/tts"):
            for closed in ("/gradio_api/upload", "/run-history/records", "/monitoring"):
                answer = httpx.post(f"{address}{prefix}{closed}")
                assert answer.json()["error"]["code"] == "not_found", "it went past the list of what is closed"
            headers = {"sec-fetch-site": "cross-site"}
            assert httpx.get(f"{address}{prefix}/api/status", headers=headers).status_code == 403
            assert httpx.post(f"{address}{prefix}/api/speak", json={"text": "one"}).status_code == 200
    library.close()
    told = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["event"], line["path"]) for line in told if line["event"] != "denied"] == [
        ("speech", "/api/speak")
    ] * 4


def test_nothing_that_a_person_names_is_searched_for_ever() -> None:
    # Each of these would take from an hour to years, if its time grew with the square of its length.
    marks = "a" + "\u0315" * 500_000 + "\u0300" * 500_000
    for wrong in (lambda: read_name(marks, "preset"), lambda: read_tags([marks]), lambda: read_tags(marks)):
        with pytest.raises(SpeechError):
            wrong()
    wide = " " * 1_000_000
    for name, text in (
        *(("a.md", f"# a{wide}b"), ("a.md", f"# a{wide}#{wide}b"), ("a.md", f"a{wide}\n- b"), ("a.md", f"> {wide}b")),
        *(("a.srt", f"00:00:01,000{wide}x"), ("a.srt", f"{wide}1\n00:00:01,000 --> 00:00:02,000\nhi")),
        *(("a.csv", f"text{wide}\nb"), ("a.csv", "text," + "a," * 300_000 + "\n1"), ("a.jsonl", "[" * 1_000_000)),
    ):
        found = read(text.encode(), name, max_text_chars=20_000)
        assert found.rows or found.problems, name


def test_a_heading_keeps_its_words() -> None:
    for written, said in (("# C #", "C"), ("# C#", "C#"), ("## a # b ##  ", "a # b"), ("# a #b", "a #b"), ("#", None)):
        rows = read(f"{written}\n".encode(), "a.md", max_text_chars=100).rows
        assert [row.fields["text"] for row in rows] == ([said] if said else []), written


@given(
    st.text("aAbß", max_size=30),
    st.lists(st.tuples(st.text("aAbBß", min_size=1, max_size=4), st.text("xa", max_size=2)), max_size=5),
)
def test_the_longest_term_is_read_first_wherever_it_stands(text: str, pairs: list[tuple[str, str]]) -> None:
    glossary = {term.casefold(): reading for term, reading in pairs}
    longest = max((len(term) for term, _ in pairs), default=0)
    expected, at = "", 0
    while at < len(text):
        tried = [text[at : at + size] for size in range(longest, 0, -1)]
        lengths = {len(term) for term, _ in pairs}
        found = next((one for one in tried if len(one) in lengths and one.casefold() in glossary), None)
        expected += text[at] if found is None else glossary[found.casefold()]
        at += 1 if found is None else len(found)
    assert apply_glossary(text, tuple(pairs)) == expected


def test_a_glossary_file_cannot_bring_the_page_down(client: httpx.Client) -> None:
    before = client.get("/api/glossary").json()
    laughs = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
    )
    for text in (
        "[" * 300_000,
        "a: " * 300_000,
        "- " * 200_000,
        laughs,
        "a: " + "b" * MAX_FILE_CHARS,
        "!!python/name:os.system",
    ):
        assert client.post("/api/glossary/import", content=text).status_code == 400, text[:20]
    assert client.get("/api/glossary").json() == before


def test_the_list_of_a_zip_file_is_bounded_before_it_is_read(client: httpx.Client, tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = entry * 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(listed), 0, 0)
    for path in ("/api/voices/import", "/api/presets/import"):
        assert client.post(path, content=b"PK\x03\x04" + listed + end).json()["error"]["code"] == "bad_file", path
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for number in range(15_000):
            archive.writestr(f"voices/{number:064}.wav", b"")
    (tmp_path / "many.zip").write_bytes(whole.getvalue())
    with Archive(tmp_path / "many.zip") as found:
        assert len(found.names) == 15_000
        found.extract(found.names[0], tmp_path / "one", 10)
    with Archive(tmp_path / "many.zip", patience_s=0.0) as slow, pytest.raises(SpeechError, match="too long"):
        slow.extract(slow.names[0], tmp_path / "one", 10)


def test_a_file_that_takes_long_to_read_keeps_nobody_waiting(client: httpx.Client) -> None:
    content = b"A sentence of a few words, and one more. " * 39 + b"\n"
    answered: list[int] = []

    def send() -> None:
        answered.append(client.post("/api/jobs?name=a.txt&start=no", content=content * 5000).status_code)

    sending = threading.Thread(target=send)
    sending.start()
    meanwhile = 0
    with httpx.Client(base_url=client.base_url, timeout=60) as other:
        while sending.is_alive():
            assert other.get("/healthz").status_code == 200
            meanwhile += not answered
    assert answered == [201] and meanwhile > 1


def test_slow_work_leaves_threads_for_the_rest() -> None:
    running, most, go_on = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert go_on.wait(30)
        with lock:
            running -= 1

    async def main() -> None:
        request: Any = SimpleNamespace(
            app=SimpleNamespace(state=SimpleNamespace(slow_places=asyncio.Semaphore(SLOW_PLACES)))
        )
        asked = [asyncio.create_task(in_slow_thread(request, slow)) for _ in range(40)]
        assert await in_thread(lambda: "done") == "done"
        go_on.set()
        await asyncio.gather(*asked)

    asyncio.run(main())
    assert most == SLOW_PLACES


def test_whoever_hangs_up_in_the_midst_of_a_body_fills_no_log(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    port = client.base_url.port
    assert port is not None
    before = client.get("/metrics").text
    with caplog.at_level(logging.WARNING):
        for path in ("/api/speak", "/v1/audio/speech", "/api/jobs?name=a.txt", "/api/voices?name=x"):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{{".encode())
                time.sleep(0.1)
        wait_until(lambda: client.get("/metrics").text != before, "the requests to be over")
        assert client.get("/healthz").status_code == 200
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
