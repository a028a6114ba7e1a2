"""Probing real servers that lie, stall, lead elsewhere or are gone: each is rejected with its reason, in time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from launcher.hub.endpoints import Endpoint
from launcher.hub.probe import SAMPLE_BYTES, ProbeReport, probe
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo

REPO = Repo({"config.json": b'{"a": 1}', "model.bin": GeneratedFile(1_500_000, seed=5), "sub/x.txt": b"x"})
NAME = "org/model"


@pytest.fixture
def hubs() -> Iterator[list[HubServer]]:
    """Three healthy hubs, each on an address of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(HubServer({NAME: REPO}, host=f"127.0.0.{number}")) for number in (1, 2, 3)]


@pytest.fixture
def dead_url() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def endpoints(hubs: list[HubServer], *, trusted: int | None = None) -> list[Endpoint]:
    return [Endpoint(hub.url, trusted=place == trusted) for place, hub in enumerate(hubs)]


def run(
    asked: list[Endpoint],
    *,
    revision: str = "main",
    path: str = "",
    sample_bytes: int = SAMPLE_BYTES,
    round_s: float = 10,
) -> list[ProbeReport]:
    """A probe that waits long enough for a busy machine; a test of silence waits less."""
    return probe(asked, NAME, revision, {}, path=path, sample_bytes=sample_bytes, round_s=round_s)


def test_healthy_hubs_are_measured(hubs: list[HubServer]) -> None:
    reports = run(endpoints(hubs))
    for report, hub in zip(reports, hubs, strict=True):
        assert report.is_usable and report.notes == ()
        assert (report.url, report.commit, report.path) == (hub.url, REPO.commit, "model.bin")
        assert report.origin == hub.origin_url and report.ranges and report.xet == "no"
        assert report.sample_bytes == 1_500_000
        assert (report.bytes_per_s or 0) > 0 and (report.latency_s or 0) > 0
        assert ProbeReport.from_json(report.to_json()) == report


def test_a_sample_is_bounded(hubs: list[HubServer]) -> None:
    [report] = run(endpoints(hubs[:1]), sample_bytes=100_000)
    assert report.sample_bytes == 100_000
    body = [request for request in hubs[0].seen() if request.scope == "body"]
    assert [request.bytes_sent for request in body] == [100_000]


def test_the_throttled_one_is_slower(hubs: list[HubServer]) -> None:
    with HubServer({NAME: REPO}, host="127.0.0.4", throttle_bytes_per_s=1_000_000) as slow:
        fast, throttled = run([*endpoints(hubs[:1]), Endpoint(slow.url)])
    assert throttled.is_usable and (throttled.bytes_per_s or 0) < 1_500_000 < (fast.bytes_per_s or 0)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(stale=True), "holds commit"),
        (Faults(wrong_digest=True), "another size or digest"),
        (Faults(wrong_etag=True, path="model.bin"), "another digest for model.bin in its headers"),
        (Faults(wrong_bytes=True), "wrong bytes"),
        (Faults(flip_byte_at=700_000), "wrong bytes"),
        (Faults(short_by_bytes=10), "when asked for 1500000"),
        (Faults(unavailable=("api",)), "503"),
        (Faults(unavailable=("body",)), "503"),
        (Faults(too_many=("api",), retry_after_s=9), "429"),
        (Faults(not_found=True, path="model.bin"), "404"),
        (Faults(reset_after_bytes=1000), "broke the connection"),
        (Faults(cut_after_bytes=1000), "broke the connection"),
        (Faults(stall=("api",)), "in time"),
        (Faults(stall=("head",)), "in time"),
        (Faults(stall=("body",), stall_after_bytes=5), "in time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_faulty_one_among_three_is_rejected(hubs: list[HubServer], faults: Faults, said: str) -> None:
    hubs[1].set_faults(faults)
    first, second, third = run(endpoints(hubs), round_s=3 if said == "in time" else 10)
    assert first.is_usable and third.is_usable
    assert said in second.rejected or (said == "in time" and "sent nothing" in second.rejected)


def test_one_that_moved_is_rejected_and_says_where(hubs: list[HubServer], dead_url: str) -> None:
    hubs[1].set_faults(Faults(redirect_to=hubs[0].url))
    assert hubs[0].url in run(endpoints(hubs))[1].rejected
    hubs[1].set_faults(Faults(redirect_to=dead_url))
    assert "cannot be reached" in run(endpoints(hubs))[1].rejected
    hubs[1].set_faults(Faults(redirect_to=hubs[2].url, redirected=("api",)))
    assert hubs[2].url in run(endpoints(hubs[:2]))[1].rejected


def test_one_that_is_gone(hubs: list[HubServer], dead_url: str) -> None:
    reports = run([*endpoints(hubs[:1]), Endpoint(dead_url)])
    assert reports[0].is_usable and "cannot be reached" in reports[1].rejected


def test_a_drip_ends(hubs: list[HubServer]) -> None:
    hubs[1].set_faults(Faults(drip_bytes_per_s=2000))
    reports = run(endpoints(hubs[:2]))
    assert 0 < reports[1].sample_bytes < 50_000 < reports[0].sample_bytes


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(missing_headers=("commit",)), "names no commit"),
        (Faults(no_range=True), "whole files only"),
    ],
)
def test_what_can_be_lived_with_is_noted(hubs: list[HubServer], faults: Faults, said: str) -> None:
    hubs[0].set_faults(faults)
    [report] = run(endpoints(hubs[:1]))
    assert report.is_usable and any(said in note for note in report.notes)
    assert report.ranges is (not faults.no_range)


def test_xet_with_and_without_a_data_plane(hubs: list[HubServer], dead_url: str) -> None:
    hubs[0].set_faults(Faults(xet_cas_url=dead_url))
    hubs[1].set_faults(Faults(xet_cas_url=hubs[2].url))
    assert [report.xet for report in run(endpoints(hubs))] == ["silent", "answers", "no"]


def test_the_trusted_one_is_believed_against_two(hubs: list[HubServer]) -> None:
    for liar in hubs[:2]:
        liar.set_faults(Faults(stale=True))
    reports = run(endpoints(hubs, trusted=2))
    assert [report.is_usable for report in reports] == [False, False, True]
    assert hubs[2].url in reports[0].rejected
    assert [report.is_usable for report in run(endpoints(hubs))] == [True, True, False]


def test_two_that_disagree_are_both_noted(hubs: list[HubServer]) -> None:
    hubs[0].set_faults(Faults(stale=True))
    reports = run(endpoints(hubs[:2]))
    assert all(report.is_usable for report in reports)
    assert hubs[1].url in reports[0].notes[0] and hubs[0].url in reports[1].notes[0]


def test_a_large_file_is_compared_by_its_beginning(hubs: list[HubServer]) -> None:
    hubs[2].set_faults(Faults(flip_byte_at=10))
    reports = run(endpoints(hubs), sample_bytes=200_000)
    assert [report.is_usable for report in reports] == [True, True, False]
    assert "other bytes" in reports[2].rejected


def test_a_commit_is_held_to(hubs: list[HubServer]) -> None:
    hubs[1].set_faults(Faults(stale=True))
    first, second = run(endpoints(hubs[:2]), revision=REPO.commit)
    assert first.is_usable and "404" in second.rejected


def test_modelscope_is_compared_by_digest(hubs: list[HubServer]) -> None:
    with HubServer({"there/model": REPO}, host="127.0.0.5") as other:
        scope = Endpoint(other.url, "modelscope", ids={NAME: "there/model"})
        hub, report = run([*endpoints(hubs[:1]), scope])
        assert hub.is_usable and report.is_usable and report.sample_bytes == 1_500_000 and report.commit == ""
        other.set_faults(Faults(stale=True))
        assert "another version of model.bin" in run([*endpoints(hubs[:1]), scope])[1].rejected
        other.set_faults()
        [alone] = run([scope])
        assert "cannot be compared" in alone.notes[0]


def test_the_token_is_sent_and_stays_at_home(hubs: list[HubServer]) -> None:
    with HubServer({NAME: REPO}, token="hf_secret", origin_host="127.0.0.7") as private:
        assert "401" in run([Endpoint(private.url)])[0].rejected
        reports = run([*endpoints(hubs[:1]), Endpoint(private.url, "private", "hf_secret")])
        assert all(report.is_usable for report in reports)
        asked = [one for one in private.seen() if one.path.startswith("/origin/")]
        assert asked and all("authorization" not in one.headers for one in asked)
    assert all("authorization" not in one.headers for one in hubs[0].seen())
    assert "hf_secret" not in repr(reports)


def test_a_path_of_ones_choice(hubs: list[HubServer]) -> None:
    [report] = run(endpoints(hubs[:1]), path="config.json")
    assert (report.path, report.sample_bytes) == ("config.json", 8)


def test_pages_are_followed(hubs: list[HubServer]) -> None:
    hubs[0].set_faults(Faults(page_size=1))
    assert run(endpoints(hubs[:1]))[0].path == "model.bin"


def test_nobody_to_ask() -> None:
    assert run([]) == []
