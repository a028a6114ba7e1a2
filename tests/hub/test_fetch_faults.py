"""Every fault of the test hub, on one of three mirrors and on the only one: right bytes or one clear error, in the end.

What is right is seen from outside: the bytes in the cache, and that no blob has a name that is not its digest.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from launcher.errors import FetchError
from launcher.hub.client import Client, MirrorFault, Timeouts
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetched, Fetcher, Reporting, Wanted
from launcher.hub.mirrors import Patience
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo

NAME = "org/model"
SIZE = 12_000_000
REPO = Repo({"config.json": b'{"a": 1}', "voices/a.bin": b"voice" * 99, "model.bin": GeneratedFile(SIZE, 7)})
#: Impatient, so that a test of a dead mirror takes seconds.
PATIENCE = Patience(strikes=4, first_pause_s=0.05, longest_pause_s=0.3, give_up_s=8, slow_after_s=1)
TIMEOUTS = Timeouts(connect_s=1, read_s=1.5)
#: Nothing listens there: loopback refuses at once.
NOWHERE = "http://127.0.0.9:9"

FAULTS = {
    "stalled api": Faults(stall=("api",)),
    "stalled head": Faults(stall=("head",)),
    "stalled body": Faults(stall=("body",), stall_after_bytes=300_000),
    "unavailable api": Faults(unavailable=("api",)),
    "unavailable head": Faults(unavailable=("head",)),
    "unavailable body": Faults(unavailable=("body",)),
    "too many requests": Faults(too_many=("body",), retry_after_s=0.2),
    "long pause": Faults(too_many=("head",), retry_after_s=3600),
    "redirect to nowhere": Faults(redirect_to=NOWHERE),
    "body redirected to nowhere": Faults(redirect_to=NOWHERE, redirected=("body",)),
    "missing file": Faults(not_found=True, path="model.bin"),
    "every location expired": Faults(expire_after_requests=0),
    "drip": Faults(drip_bytes_per_s=1000, path="model.bin"),
    "reset at once": Faults(reset_after_bytes=0, path="model.bin"),
    "wrong range": Faults(wrong_range=True),
    "wrong bytes": Faults(wrong_bytes=True),
    "flipped byte": Faults(flip_byte_at=SIZE // 2, path="model.bin"),
    "short": Faults(short_by_bytes=10),
    "wrong etag": Faults(wrong_etag=True),
    "wrong digest": Faults(wrong_digest=True),
}
#: Faults that even the only mirror may have.
HARMLESS = {
    "resets": Faults(reset_after_bytes=900_000),
    "cuts": Faults(cut_after_bytes=900_000),
    "no ranges": Faults(no_range=True),
    "locations for one request": Faults(expire_after_requests=1),
    "no commit": Faults(missing_headers=("commit",)),
    "no etag": Faults(missing_headers=("etag",)),
    "no sizes": Faults(missing_headers=("size",)),
    "small pages": Faults(page_size=1),
    "a dead Xet": Faults(xet_cas_url=NOWHERE),
    "busy at first": Faults(too_many=("body",), retry_after_s=0.2, first_requests=3),
    "unavailable at first": Faults(unavailable=("api", "head", "body"), first_requests=2),
    "some bodies unavailable": Faults(unavailable=("body",), every=3),
    "flipped once": Faults(flip_byte_at=SIZE // 2, path="model.bin", first_requests=2),
}


@contextmanager
def hubs(*faults: Faults) -> Iterator[list[HubServer]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(HubServer({NAME: REPO}, host=f"127.0.0.{number}", faults=fault))
            for number, fault in enumerate(faults, 1)
        ]


def fetch(cache: Path, servers: list[HubServer], said: list[str] | None = None) -> Fetched:
    endpoints = [Endpoint(server.url, connections=4) for server in servers]
    reporting = Reporting(note=(said if said is not None else []).append)
    return Fetcher(cache, endpoints, {}, patience=PATIENCE, timeouts=TIMEOUTS, reporting=reporting).fetch(Wanted(NAME))


def check_blobs(cache: Path) -> None:
    """No blob has a name that is not its digest."""
    for blob in cache.glob("models--*/blobs/*"):
        data = blob.read_bytes()
        names = {hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
        assert blob.name in names, f"{blob} has another content"


def check_all_right(cache: Path, fetched: Fetched) -> None:
    check_blobs(cache)
    for path, file in REPO.files.items():
        data = (fetched.state.snapshot / path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file.sha256, path


@pytest.mark.parametrize("name", [*FAULTS, *HARMLESS])
@pytest.mark.parametrize("place", [0, 2])
def test_one_of_three_mirrors(tmp_path: Path, name: str, place: int) -> None:
    faults = [Faults(), Faults(), Faults()]
    faults[place] = {**FAULTS, **HARMLESS}[name]
    with hubs(*faults) as servers:
        fetched = fetch(tmp_path, servers)
        check_all_right(tmp_path, fetched)
        moved = sum(server.bytes_sent() for server in servers)
    assert moved < 3.2 * REPO.size, f"{moved / REPO.size:.2f}"


@pytest.mark.parametrize("name", FAULTS)
def test_the_only_mirror_is_right_or_named(tmp_path: Path, name: str) -> None:
    with hubs(FAULTS[name]) as servers:
        try:
            fetched = fetch(tmp_path, servers)
        except FetchError as error:
            told = str(error)
            assert servers[0].url in told, told
            assert "\n" not in told
            check_blobs(tmp_path)
            assert not list(tmp_path.glob("models--*/snapshots/*/model.bin"))
        else:
            check_all_right(tmp_path, fetched)


@pytest.mark.parametrize("name", HARMLESS)
def test_the_only_mirror_is_weak_and_enough(tmp_path: Path, name: str) -> None:
    with hubs(HARMLESS[name]) as servers:
        check_all_right(tmp_path, fetch(tmp_path, servers))


@pytest.mark.parametrize("name", ["wrong bytes", "wrong range"])
def test_a_liar_is_named_and_the_honest_stay(tmp_path: Path, name: str) -> None:
    said: list[str] = []
    with hubs(Faults(), FAULTS[name], Faults()) as servers:
        fetched = fetch(tmp_path, servers, said)
        check_all_right(tmp_path, fetched)
        liar = servers[1].url
        assert set(fetched.rejected) == {liar}, (fetched.rejected, fetched.hosts)
        assert "wrong bytes" in fetched.rejected[liar]
        assert any(liar in text for text in said)
        assert fetched.hosts.get(liar, 0) < 1000  # asked for a whole small file, even it may be right


def test_of_two_mirrors_the_digest_says_who_lies(tmp_path: Path) -> None:
    for place in (0, 1):
        faults = [Faults(), Faults()]
        faults[place] = FAULTS["wrong bytes"]
        with hubs(*faults) as servers:
            fetched = fetch(tmp_path / str(place), servers)
            check_all_right(tmp_path / str(place), fetched)
            assert servers[place].url not in fetched.hosts


def test_a_stale_mirror_is_outvoted_and_named(tmp_path: Path) -> None:
    with hubs(Faults(stale=True), Faults(), Faults()) as servers:
        fetched = fetch(tmp_path, servers)
        check_all_right(tmp_path, fetched)
        assert "stale" in fetched.rejected[servers[0].url] or "commit" in fetched.rejected[servers[0].url]


def test_a_contradiction_says_who_said_what(tmp_path: Path) -> None:
    with hubs(Faults(stale=True), Faults()) as servers:
        with pytest.raises(FetchError) as caught:
            fetch(tmp_path, servers)
        assert all(server.url in str(caught.value) for server in servers)
        assert REPO.commit[:12] in str(caught.value)
        assert REPO.previous.commit[:12] in str(caught.value)


def test_one_word_of_several_is_not_enough(tmp_path: Path) -> None:
    with hubs(Faults(unavailable=("api",)), Faults()) as servers, pytest.raises(FetchError) as caught:
        fetch(tmp_path, servers)
    assert "not enough" in str(caught.value)


def test_a_mirror_that_leads_to_another_is_left_out(tmp_path: Path) -> None:
    with hubs(Faults(), Faults(), Faults()) as servers:
        servers[0].set_faults(Faults(redirect_to=servers[1].url))
        fetched = fetch(tmp_path, servers)
        check_all_right(tmp_path, fetched)
        assert servers[1].url in fetched.rejected[servers[0].url]


def test_the_only_mirror_may_lead_elsewhere_without_its_token(tmp_path: Path) -> None:
    with hubs(Faults(), Faults()) as (first, second):
        first.set_faults(Faults(redirect_to=second.url))
        endpoint = Endpoint(first.url, token="secret-token", connections=4)
        fetched = Fetcher(tmp_path, [endpoint], {}, patience=PATIENCE, timeouts=TIMEOUTS).fetch(Wanted(NAME))
        check_all_right(tmp_path, fetched)
        assert all(request.headers.get("authorization") for request in first.seen())
        assert not any(request.headers.get("authorization") for request in second.seen())


def test_damage_on_the_disk_is_not_blamed_on_a_mirror(tmp_path: Path) -> None:
    with hubs(Faults()) as servers:
        cuts = Faults(cut_after_bytes=900_000, path="model.bin", first_requests=6)
        servers[0].set_faults(cuts, Faults(unavailable=("body",), path="model.bin"))
        with pytest.raises(FetchError):
            fetch(tmp_path, servers)
        (partial,) = (path for path in tmp_path.glob("models--*/.partial/*") if not path.suffix)
        with partial.open("r+b") as file:  # the first bytes of everything that was written
            for start in range(0, SIZE, 1_000_000):
                file.seek(start)
                if any(file.read(10)):
                    file.seek(start)
                    file.write(b"\xff" * 10)
        servers[0].set_faults()
        fetched = fetch(tmp_path, servers)
        check_all_right(tmp_path, fetched)
        assert not fetched.rejected


@pytest.mark.parametrize("text", [b"[" * 300_000, b'{"sha": ', b"\xff\xfe"], ids=["too deep", "cut off", "no text"])
def test_a_listing_that_cannot_be_read_is_the_mirrors_fault(text: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

        thread = threading.Thread(target=answer)
        thread.start()
        client = Client({})
        with pytest.raises(MirrorFault, match="is not JSON"):
            client.get_json(f"http://127.0.0.1:{server.getsockname()[1]}/api/models/org/model")
        client.close()
        thread.join()
