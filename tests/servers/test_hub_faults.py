"""Every switch of the test hub does what it says, seen by a plain client, and nothing else."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo

BIG = GeneratedFile(400_000, seed=3)
REPO = Repo({"config.json": b"{}", "model.bin": BIG})
NAME = "org/model"
FILE = f"/{NAME}/resolve/main/model.bin"
TREE = f"/api/models/{NAME}/tree/main?recursive=true"
WHOLE = BIG.read(0, BIG.size)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}) as server:
        yield server


class Answer:
    """One answer, read to its end or to where it broke."""

    def __init__(self, url: str, method: str = "GET", timeout_s: float = 5, **headers: str) -> None:
        parts = urlsplit(url)
        client = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        client.request(method, target, headers=headers)
        response = client.getresponse()
        self.status, self.headers, self.broke, self.body = response.status, response.headers, "", b""
        try:
            while part := response.read1(1 << 16):
                self.body += part
            if response.length:
                self.broke = "cut"
        except (OSError, http.client.HTTPException) as error:
            self.broke = type(error).__name__
        client.close()

    @property
    def json(self) -> object:
        return json.loads(self.body)


def located(hub: HubServer) -> str:
    """A fresh location of the large file at the origin."""
    answer = Answer(hub.url + FILE, "HEAD")
    assert answer.status == 302
    return str(answer.headers["Location"])


def fetched(hub: HubServer, **headers: str) -> Answer:
    return Answer(located(hub), "GET", 5, **headers)


def test_a_healthy_hub_answers_ranges_and_names_everything(hub: HubServer) -> None:
    head = Answer(hub.url + FILE, "HEAD")
    assert (head.headers["X-Repo-Commit"], head.headers["X-Linked-Size"]) == (REPO.commit, "400000")
    assert head.headers["X-Linked-Etag"] == f'"{REPO.sha256("model.bin")}"'
    part = fetched(hub, Range="bytes=100-299")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, WHOLE[100:300], "bytes 100-299/400000")
    assert fetched(hub, Range="bytes=-5").body == WHOLE[-5:]
    assert fetched(hub, Range="bytes=399990-").body == WHOLE[-10:]
    assert fetched(hub, Range="bytes=400000-").status == 416
    assert fetched(hub).body == WHOLE
    small = Answer(f"{hub.url}/{NAME}/resolve/main/config.json")
    assert small.status == 307 and small.headers["Location"].startswith("/")
    body = Answer(urljoin(hub.url, small.headers["Location"]))
    assert (body.status, body.body, body.headers["ETag"]) == (200, b"{}", f'"{REPO.oid("config.json")}"')


def test_requests_and_bytes_are_counted(hub: HubServer) -> None:
    fetched(hub, Range="bytes=0-99")
    assert (hub.count(), hub.count("HEAD"), hub.count("GET", "model.bin")) == (2, 1, 1)
    deadline = time.monotonic() + 30
    while not hub.bytes_sent() and time.monotonic() < deadline:  # counted a moment after the client has them
        time.sleep(0.01)
    assert hub.bytes_sent() == 100
    assert [request.scope for request in hub.seen()] == ["head", "body"]
    hub.forget()
    assert hub.count() == 0


def test_modelscope_lists_and_serves(hub: HubServer) -> None:
    base = f"{hub.url}/api/v1/models/{NAME}/repo"
    listing = json.loads(Answer(f"{base}/files?Revision=master&Recursive=True").body)
    found = {entry["Path"]: (entry["Sha256"], entry["Size"]) for entry in listing["Data"]["Files"]}
    assert found["model.bin"] == (REPO.sha256("model.bin"), BIG.size)
    answer = Answer(f"{base}?Revision=master&FilePath=model.bin", Range="bytes=7-9")
    assert (answer.status, answer.body) == (206, WHOLE[7:10])


def test_a_connection_keeps_to_its_speed() -> None:
    with HubServer({NAME: REPO}, throttle_bytes_per_s=800_000) as hub:
        started = time.monotonic()
        assert fetched(hub).body == WHOLE
        assert time.monotonic() - started > 0.3


def test_generated_files_are_the_same_wherever_reading_starts() -> None:
    file = GeneratedFile(3_000_000, seed=1)
    whole = file.read(0, file.size)
    assert (
        len(whole) == file.size and len({whole[place : place + 4096] for place in range(0, 3_000_000, 4096)}) == 733
    )  # none twice
    for start, length in ((0, 1), (5, 20), (1_048_570, 20), (1_048_576, 8), (2_999_990, 100)):
        assert file.read(start, length) == whole[start : start + length]
    assert file.read(0, 100) != GeneratedFile(3_000_000, seed=2).read(0, 100)


@pytest.mark.parametrize(
    ("faults", "broke", "received"),
    [
        (Faults(reset_after_bytes=100_000), ("ConnectionResetError",), 100_000),
        (Faults(cut_after_bytes=100_000), ("IncompleteRead", "cut"), 100_000),
        (Faults(stall=("body",), stall_after_bytes=5_000), ("TimeoutError",), 5_000),
        (Faults(drip_bytes_per_s=100), ("TimeoutError", ""), None),
    ],
)
def test_a_body_breaks_off(hub: HubServer, faults: Faults, broke: tuple[str, ...], received: int | None) -> None:
    hub.set_faults(faults)
    location = located(hub)
    if received is None:
        parts = urlsplit(location)
        client = http.client.HTTPConnection(parts.netloc, timeout=5)
        client.request("GET", f"{parts.path}?{parts.query}")
        assert len(client.getresponse().read(20)) == 20
        client.close()
        return
    answer = Answer(location, timeout_s=1)
    assert answer.broke in broke
    assert len(answer.body) <= received and answer.body == WHOLE[: len(answer.body)]
    assert hub.seen()[-1].bytes_sent == received


def test_wrong_bytes(hub: HubServer) -> None:
    hub.set_faults(Faults(flip_byte_at=300_000))
    body = fetched(hub).body
    assert [place for place in range(BIG.size) if body[place] != WHOLE[place]] == [300_000]
    assert fetched(hub, Range="bytes=299999-300001").body[1] != WHOLE[300_000]
    assert fetched(hub, Range="bytes=0-9").body == WHOLE[:10]
    hub.set_faults(Faults(wrong_bytes=True))
    assert all(one != other for one, other in zip(fetched(hub).body, WHOLE, strict=True))
    hub.set_faults(Faults(wrong_range=True))
    answer = fetched(hub, Range="bytes=200000-200099")
    assert answer.status == 206 and len(answer.body) == 100 and answer.body == WHOLE[199_900:200_000]


def test_sizes_and_ranges_that_lie(hub: HubServer) -> None:
    hub.set_faults(Faults(no_range=True))
    answer = fetched(hub, Range="bytes=5-9")
    assert answer.status == 200 and answer.body == WHOLE
    hub.set_faults(Faults(short_by_bytes=10))
    answer = fetched(hub)
    assert answer.headers["Content-Length"] == "399990" and answer.body == WHOLE[:-10] and not answer.broke


@pytest.mark.parametrize(
    ("part", "headers"),
    [("commit", {"X-Repo-Commit"}), ("etag", {"X-Linked-Etag"}), ("size", {"X-Linked-Size"})],
)
def test_headers_are_missing(hub: HubServer, part: str, headers: set[str]) -> None:
    full = set(Answer(hub.url + FILE, "HEAD").headers)
    hub.set_faults(Faults(missing_headers=(part,)))
    assert full - set(Answer(hub.url + FILE, "HEAD").headers) == headers
    body = fetched(hub)
    assert body.body == WHOLE and (part == "size") == ("Content-Length" not in body.headers)


def test_digests_that_lie(hub: HubServer) -> None:
    hub.set_faults(Faults(wrong_etag=True))
    assert Answer(hub.url + FILE, "HEAD").headers["X-Linked-Etag"] != f'"{REPO.sha256("model.bin")}"'
    assert REPO.sha256("model.bin").encode() in Answer(hub.url + TREE).body
    hub.set_faults(Faults(wrong_digest=True))
    assert REPO.sha256("model.bin").encode() not in Answer(hub.url + TREE).body


def test_a_stale_mirror_knows_only_the_commit_before(hub: HubServer) -> None:
    hub.set_faults(Faults(stale=True))
    info = json.loads(Answer(f"{hub.url}/api/models/{NAME}").body)
    assert info["sha"] == REPO.previous.commit != REPO.commit
    assert Answer(f"{hub.url}/api/models/{NAME}/revision/{REPO.commit}").status == 404
    assert fetched(hub).body != WHOLE


@pytest.mark.parametrize("scope", ["api", "head", "body"])
def test_refusals_by_scope(hub: HubServer, scope: str) -> None:
    def statuses() -> dict[str, int]:
        location = f"{hub.origin_url}/origin/{NAME}/{REPO.commit}/model.bin?Signature=s"
        urls = {"api": (hub.url + TREE, "GET"), "head": (hub.url + FILE, "HEAD"), "body": (location, "GET")}
        return {name: Answer(url, method).status for name, (url, method) in urls.items()}

    healthy = statuses()
    hub.set_faults(Faults(unavailable=(scope,)))
    assert statuses() == {**healthy, scope: 503}
    hub.set_faults(Faults(too_many=(scope,), retry_after_s=7))
    assert statuses() == {**healthy, scope: 429}
    hub.set_faults(Faults(redirect_to="http://127.0.0.1:9", redirected=(scope,)))
    assert statuses() == {**healthy, scope: 308}
    hub.set_faults(Faults(stall=(scope,)))
    urls = {"api": hub.url + TREE, "head": hub.url + FILE}
    if scope in urls:
        with pytest.raises(TimeoutError):
            Answer(urls[scope], timeout_s=0.3)


def test_retry_after_and_the_other_mirror(hub: HubServer) -> None:
    hub.set_faults(Faults(too_many=("body",), retry_after_s=7))
    assert fetched(hub).headers["Retry-After"] == "7"
    with HubServer({NAME: REPO}, host="127.0.0.2") as other:
        hub.set_faults(Faults(redirect_to=other.url, redirected=("head",)))
        assert Answer(hub.url + FILE, "HEAD").headers["Location"] == other.url + FILE


def test_one_file_and_some_requests(hub: HubServer) -> None:
    hub.set_faults(Faults(not_found=True, path="model.bin"))
    assert Answer(hub.url + FILE, "HEAD").status == 404
    assert Answer(f"{hub.url}/{NAME}/resolve/main/config.json").status == 307
    hub.set_faults(Faults(unavailable=("api",), skip_requests=1, first_requests=2))
    assert [Answer(hub.url + TREE).status for _ in range(5)] == [200, 503, 503, 200, 200]
    hub.set_faults(Faults(unavailable=("api",), every=3))
    assert [Answer(hub.url + TREE).status for _ in range(5)] == [503, 200, 200, 503, 200]


def test_locations_expire(hub: HubServer) -> None:
    hub.set_faults(Faults(expire_after_requests=2))
    location = located(hub)
    assert [Answer(location, Range="bytes=0-1").status for _ in range(3)] == [206, 206, 403]
    assert fetched(hub).status == 200


def test_pages_follow_each_other(hub: HubServer) -> None:
    hub.set_faults(Faults(page_size=1))
    first = Answer(hub.url + TREE)
    following = first.headers["Link"].partition(">")[0].lstrip("<")
    second = Answer(following)
    assert "Link" not in second.headers
    assert json.loads(first.body) + json.loads(second.body) == json.loads(_healthy_tree())


def _healthy_tree() -> bytes:
    with HubServer({NAME: REPO}) as other:
        return Answer(other.url + TREE).body


def test_xet_is_offered_with_a_data_plane_of_ones_choice(hub: HubServer) -> None:
    hub.set_faults(Faults(xet_cas_url="http://127.0.0.1:9"))
    head = Answer(hub.url + FILE, "HEAD")
    auth = head.headers["Link"].partition(">")[0].lstrip("<")
    assert head.headers["X-Xet-Hash"] and Answer(auth).headers["X-Xet-Cas-Url"] == "http://127.0.0.1:9"
    assert b"xetHash" in Answer(hub.url + TREE).body


def test_a_token_is_asked_for() -> None:
    with HubServer({NAME: REPO}, token="t") as hub:
        assert Answer(hub.url + TREE).status == 401
        assert Answer(hub.url + TREE, Authorization="Bearer t").status == 200


def test_closing_ends_a_stalled_answer() -> None:
    hub = HubServer({NAME: REPO}, faults=Faults(stall=("api",)))
    caught: list[str] = []

    def visit() -> None:
        try:
            Answer(hub.url + TREE, timeout_s=30)
        except (OSError, http.client.HTTPException) as error:
            caught.append(type(error).__name__)

    visitor = threading.Thread(target=visit)
    visitor.start()
    while hub.count() == 0:
        time.sleep(0.01)
    hub.close()
    visitor.join(10)
    assert caught and caught != ["TimeoutError"]


def test_unknown_scopes_are_refused() -> None:
    with pytest.raises(ValueError, match="bodies"):
        Faults(stall=("bodies",)).scopes()


def test_the_command_serves_and_reports(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    command = [sys.executable, "-m", "tests.servers.hub", "--repo", f"{NAME}={tmp_path}"]
    command += ["--repo", "org/big=model.bin:1MB@4", "--throttle", "50MB", "--fault", "unavailable=head"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert Answer(f"{url}/api/models/{NAME}").status == 200
        assert Answer(f"{url}/org/big/resolve/main/model.bin", "HEAD").status == 503
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "503 HEAD /org/big/resolve/main/model.bin" in errors and "2 requests" in errors
