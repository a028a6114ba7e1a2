"""What was in the cache before: compared once, then believed; what is damaged is fetched again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import FetchError
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetched, Fetcher, Reporting, Wanted, look
from launcher.hub.selection import Selection
from launcher.progress import Progress
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

NAME = "org/model"
FILES: dict[str, Content] = {"config.json": b"{}", "model.bin": GeneratedFile(300_000, 1), "voices/a.bin": b"voice"}
REPO = Repo(FILES)
NEWER = Repo({**FILES, "config.json": b"[]"}, previous=REPO)
WANTED = Wanted(NAME)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}) as server:
        yield server


def fetch(cache: Path, hub: HubServer, wanted: Wanted = WANTED, **options: object) -> tuple[Fetched, list[str], int]:
    """What a fetch did, what it said, and how many bytes it compared."""
    said: list[str] = []
    seen: list[Progress] = []
    reporting = Reporting(seen.append, said.append)
    fetched = Fetcher(cache, [Endpoint(hub.url)], {}, reporting=reporting, **options).fetch(wanted)  # type: ignore[arg-type]
    return fetched, said, len([one for one in seen if one.stage == "check"])


def forget(cache: Path) -> None:
    """Makes the cache look as if somebody else had filled it."""
    shutil.rmtree(cache / "models--org--model" / ".receipts")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.resolve().write_bytes(data)


@pytest.mark.parametrize("links", [True, False])
def test_what_somebody_else_left_is_compared_once(tmp_path: Path, hub: HubServer, links: bool) -> None:
    fetch(tmp_path, hub, links=links)
    forget(tmp_path)
    hub.forget()
    assert fetch(tmp_path, hub, links=links)[2] == 1
    assert fetch(tmp_path, hub, links=links)[2] == 0
    assert hub.seen() == []


@pytest.mark.parametrize("links", [True, False])
def test_what_somebody_else_left_damaged_is_fetched_again(tmp_path: Path, hub: HubServer, links: bool) -> None:
    snapshot = fetch(tmp_path, hub, links=links)[0].state.snapshot
    forget(tmp_path)
    damage(snapshot / "model.bin")
    damage(snapshot / "config.json")
    fetched, said, _ = fetch(tmp_path, hub, links=links)
    assert fetched.received == ("config.json", "model.bin")
    assert any("is damaged" in one for one in said)
    assert (snapshot / "config.json").read_bytes() == b"{}"
    assert not look(tmp_path, WANTED).missing  # type: ignore[union-attr]


def test_a_damaged_blob_of_another_commit_is_not_taken_over(tmp_path: Path, hub: HubServer) -> None:
    snapshot = fetch(tmp_path, hub)[0].state.snapshot
    forget(tmp_path)
    damage(snapshot / "model.bin")
    hub.set_repos({NAME: NEWER})
    fetched = Fetcher(tmp_path, [Endpoint(hub.url)], {}).fetch(WANTED, update=True)
    assert fetched.received == ("config.json", "model.bin")


def test_a_snapshot_without_any_record_is_enough_when_its_files_are_named(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    forget(tmp_path)
    shutil.rmtree(tmp_path / "models--org--model" / "trees")
    assert look(tmp_path, WANTED) is None
    named = Wanted(NAME, selection=Selection(("model.bin", "voices/")))
    hub.forget()
    assert fetch(tmp_path, hub, named)[2] == 1
    assert fetch(tmp_path, hub, named)[2] == 0
    assert hub.seen() == []
    assert look(tmp_path, Wanted(NAME, selection=Selection(("model.bin", "other.bin")))) is None
    assert look(tmp_path, WANTED) is None, "a part is no whole"
    assert fetch(tmp_path, hub)[0].state.missing == ()


def test_a_commit_that_was_asked_for_is_found_by_programs_that_name_none(tmp_path: Path, hub: HubServer) -> None:
    main = tmp_path / "models--org--model" / "refs" / "main"
    fetch(tmp_path, hub, Wanted(NAME, REPO.commit))
    assert main.read_text() == REPO.commit
    hub.set_repos({NAME: NEWER})
    Fetcher(tmp_path, [Endpoint(hub.url)], {}).fetch(WANTED, update=True)
    fetch(tmp_path, hub, Wanted(NAME, REPO.commit, Selection(("model.bin",))))
    assert main.read_text() == NEWER.commit, "what is found already stays"


def test_a_small_files_pinned_digest_is_kept(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(tmp_path, hub, Wanted(NAME, pinned={"config.json": "0" * 64}))
    assert hub.url in str(caught.value) and "pins" in str(caught.value)
    assert not list(tmp_path.glob("models--*/snapshots/*/config.json"))


def test_a_space_is_kept_as_the_library_keeps_it(tmp_path: Path) -> None:
    with HubServer({f"spaces/{NAME}": REPO}) as hub:
        fetched, _, _ = fetch(tmp_path, hub, Wanted(f"spaces/{NAME}"))
    assert fetched.state.snapshot.parent.parent == tmp_path / "spaces--org--model"
    assert len(fetched.received) == 3
