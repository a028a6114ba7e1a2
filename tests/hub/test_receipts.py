"""What is on the disk compared with its receipts, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Wanted
from launcher.hub.receipts import Finding, verify_receipt
from launcher.hub.selection import Selection
from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME = "org/model"
REPO = Repo({"config.json": b"{}", "copy.bin": GeneratedFile(200_000, 1), "model.bin": GeneratedFile(200_000, 1)})


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def cache(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    with HubServer({NAME: REPO}) as hub:
        Fetcher(tmp_path, [Endpoint(hub.url)], {}, links=request.param).fetch(Wanted(NAME))
    yield tmp_path


def states(found: tuple[Finding, ...]) -> dict[str, str]:
    return {one.path: one.state for one in found}


def snapshot(cache: Path) -> Path:
    return cache / "models--org--model" / "snapshots" / REPO.commit


def test_what_was_fetched_is_right_and_read_once(cache: Path) -> None:
    read: list[int] = []
    found = verify_receipt(cache, NAME, read=read.append)
    assert states(found) == dict.fromkeys(REPO.files, "right")
    assert {one.by for one in found} == {"receipt"}
    assert sum(read) <= 2 + 2 * 200_000


def test_every_kind_of_damage_is_named(cache: Path) -> None:
    folder = snapshot(cache)
    (folder / "config.json").unlink()
    data = bytearray((folder / "model.bin").read_bytes())
    data[100_000] ^= 1
    (folder / "model.bin").resolve().write_bytes(data)
    found = {one.path: one for one in verify_receipt(cache, NAME)}
    assert (found["config.json"].state, found["model.bin"].state) == ("missing", "content")
    assert REPO.sha256("model.bin")[:12] in found["model.bin"].detail
    assert states(verify_receipt(cache, NAME, contents=False))["model.bin"] == "right"
    (folder / "model.bin").resolve().write_bytes(bytes(data[:-1]))
    assert states(verify_receipt(cache, NAME))["model.bin"] == "size"


def test_without_a_receipt_the_librarys_record_counts_for_what_is_there(cache: Path) -> None:
    shutil.rmtree(cache / "models--org--model" / ".receipts")
    (snapshot(cache) / "config.json").unlink()
    (snapshot(cache) / "model.bin").resolve().write_bytes(b"x" * 200_000)
    found = {one.path: one for one in verify_receipt(cache, NAME)}
    assert "config.json" not in found
    assert (found["model.bin"].state, found["model.bin"].by) == ("content", "library")


def test_what_was_not_fetched_is_not_missed(tmp_path: Path) -> None:
    with HubServer({NAME: REPO}) as hub:
        Fetcher(tmp_path, [Endpoint(hub.url)], {}).fetch(Wanted(NAME, selection=Selection(("config.json",))))
    assert states(verify_receipt(tmp_path, NAME)) == {"config.json": "right"}
    assert verify_receipt(tmp_path, "org/other") == ()
