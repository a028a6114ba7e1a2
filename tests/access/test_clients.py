"""Who asks behind a proxy, what may happen only so often, and what is written down."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.access.attempts import MAX_CLIENTS, Attempts
from launcher.access.audit import AuditLog
from launcher.access.clients import find_asker, is_counted, parse_networks

PROXIES = parse_networks(("127.0.0.1", "10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # no proxy of ours: what it claims is nothing
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the client wrote the first
        ("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),  # two proxies of ours
        ("127.0.0.1", "10.1.2.3", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9:5555", "203.0.113.9"),
        ("::ffff:127.0.0.1", "[2001:db8::9]:80", "2001:db8::9"),
        ("fd00::1", "2001:db8::9", "2001:db8::9"),
        ("", "203.0.113.9", "local"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(peer: str, forwarded: str, address: str) -> None:
    assert find_asker(peer, {"x-forwarded-for": forwarded}, PROXIES).address == address


def test_only_a_trusted_proxy_says_that_it_is_secure() -> None:
    claim = {"x-forwarded-proto": "https"}
    assert find_asker("127.0.0.1", claim, PROXIES).is_secure
    assert not find_asker("192.0.2.1", claim, PROXIES).is_secure
    assert find_asker("192.0.2.1", {}, PROXIES, is_secure=True).is_secure
    assert not find_asker("127.0.0.1", {"x-forwarded-proto": "https, http"}, PROXIES).is_secure


@given(st.text(max_size=80), st.text(max_size=20))
def test_no_claim_breaks_it(forwarded: str, scheme: str) -> None:
    asker = find_asker("127.0.0.1", {"x-forwarded-for": forwarded, "x-forwarded-proto": scheme}, PROXIES)
    assert parse_networks([asker.address])


def test_this_machine_and_the_proxies_are_not_counted() -> None:
    assert [is_counted(peer, PROXIES) for peer in ("192.0.2.1", "127.0.0.9", "::1", "10.9.9.9", "")] == [
        True,
        *[False] * 4,
    ]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_client_may_try_so_often_and_all_together_too() -> None:
    clock = Clock()
    attempts = Attempts(2, 60.0, clock, total=3)
    assert [attempts.take("a") for _ in range(3)] == [0, 0, 60]
    clock.now += 10
    assert attempts.take("b") == 0
    assert attempts.take("c") == 50, "everybody together"
    clock.now += 50
    assert attempts.take("a") == 0


def test_memory_is_bounded_whoever_asks() -> None:
    attempts = Attempts(5, 60.0, Clock())
    for number in range(MAX_CLIENTS + 100):
        attempts.note(str(number))
    assert len(attempts._clients) == MAX_CLIENTS


def write_many(folder: Path, who: str) -> None:
    log = AuditLog(folder, max_bytes=20_000)
    for number in range(200):
        log.write("change", who=who, address="127.0.0.1", method="POST", path=f"/{number}", status=200)


def test_two_processes_write_whole_lines_and_the_files_are_private_and_bounded(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, name)) for name in ("page", "supervisor")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.jsonl", "audit.jsonl.1"]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {line["who"] for line in lines} <= {"page", "supervisor"}
    assert all(file.stat().st_size < 25_000 and file.stat().st_mode & 0o077 == 0 for file in files)


def test_a_folder_that_is_not_there_fails_nothing(tmp_path: Path) -> None:
    AuditLog(tmp_path / "none").write("login", who="", address="", method="POST", path="/login", status=401)
    AuditLog(None).write("login", who="", address="", method="POST", path="/login", status=401)
