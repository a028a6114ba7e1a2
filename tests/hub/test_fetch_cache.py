"""What a fetch leaves behind: a complete hit for ``huggingface_hub``, receipts, nothing half-done, one download."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import ConfigError, FetchError, StorageError
from launcher.hub.client import Timeouts
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Reporting, Wanted, look
from launcher.hub.mirrors import Patience
from launcher.hub.selection import Selection
from launcher.progress import Progress
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo

NAME = "org/model"
FILES = {
    "config.json": b"{}",
    "empty.txt": b"",
    "same/config.json": b"{}",
    "voices/a.bin": GeneratedFile(300_000, 3),
    "model.bin": GeneratedFile(9_000_000, 7),
}
REPO = Repo(FILES)
LEFTOVERS = {"logs/events.out.tfevents.1": b"x", "optimizer.pt": b"y", "checkpoint-100/model.bin": b"z"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}) as server:
        yield server


def fetcher(cache: Path, *servers: HubServer, **options: object) -> Fetcher:
    endpoints = [Endpoint(server.url) for server in servers]
    patience = Patience(strikes=3, first_pause_s=0.05, longest_pause_s=0.2, give_up_s=5)
    return Fetcher(cache, endpoints, {}, patience=patience, timeouts=Timeouts(1, 2), **options)  # type: ignore[arg-type]


def library(code: str, cache: Path, **environ: str) -> str:
    """Runs code with the real library, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache)],
        env={**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_CACHE": str(cache), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("links", [True, False])
def test_the_library_sees_a_complete_hit(tmp_path: Path, hub: HubServer, links: bool) -> None:
    fetched = fetcher(tmp_path, hub, links=links).fetch(Wanted(NAME))
    assert set(fetched.received) == set(FILES)
    hub.forget()
    code = """
import sys, pathlib
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
cache = sys.argv[1]
folder = snapshot_download("org/model", cache_dir=cache, local_files_only=True)
path = hf_hub_download("org/model", "voices/a.bin", cache_dir=cache, local_files_only=True)
assert isinstance(try_to_load_from_cache("org/model", "model.bin", cache_dir=cache), str)
found = scan_cache_dir(cache)
assert not found.warnings, found.warnings
(repo,) = found.repos
assert repo.repo_id == "org/model" and len(list(repo.revisions)[0].files) == 5
print(folder)
"""
    folder = Path(library(code, tmp_path).strip())
    assert folder == fetched.state.snapshot
    assert hub.seen() == []
    verified = subprocess.run(
        [Path(sys.executable).with_name("hf"), "cache", "verify", NAME, "--cache-dir", str(tmp_path)],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    library(
        "from huggingface_hub import snapshot_download; snapshot_download('org/model')", tmp_path, HF_ENDPOINT=hub.url
    )
    assert not [request for request in hub.seen() if request.scope == "body"], "the library fetched something again"


def test_what_the_library_fetched_is_accepted(tmp_path: Path, hub: HubServer) -> None:
    library(
        "from huggingface_hub import snapshot_download; snapshot_download('org/model')", tmp_path, HF_ENDPOINT=hub.url
    )
    hub.forget()
    fetched = fetcher(tmp_path, hub).fetch(Wanted(NAME))
    assert not fetched.received
    assert hub.seen() == []


def test_a_complete_repository_costs_no_request(tmp_path: Path, hub: HubServer) -> None:
    fetcher(tmp_path, hub).fetch(Wanted(NAME))
    hub.forget()
    again = fetcher(tmp_path, hub).fetch(Wanted(NAME))
    assert hub.seen() == [] and not again.requests_made
    updated = fetcher(tmp_path, hub).fetch(Wanted(NAME), update=True)
    assert not updated.received and hub.count() == 2
    by_commit = fetcher(tmp_path).fetch(Wanted(NAME, REPO.commit))
    assert not by_commit.received


def test_a_receipt_says_what_came_from_where(tmp_path: Path, hub: HubServer) -> None:
    fetcher(tmp_path, hub).fetch(Wanted(NAME, selection=Selection(include=("voices/",))))
    fetcher(tmp_path, hub).fetch(Wanted(NAME))
    (path,) = tmp_path.glob("models--*/.receipts/*.json")
    receipt = json.loads(path.read_text())
    assert (receipt["repo"], receipt["commit"], path.stem) == (NAME, REPO.commit, REPO.commit)
    for name, file in REPO.files.items():
        one = receipt["files"][name]
        assert (one["sha256"], one["size_bytes"]) == (file.sha256, file.size)
        assert sum(one["hosts"].values()) == file.size
    assert receipt["files"]["model.bin"]["hosts"] == {hub.url: 9_000_000}
    assert receipt["vouchers"] == [hub.url] and receipt["seconds"] > 0


def test_training_leftovers_are_skipped_and_named(tmp_path: Path) -> None:
    repo = Repo({**FILES, **LEFTOVERS})
    with HubServer({NAME: repo}) as hub:
        state, _ = fetcher(tmp_path, hub).plan(Wanted(NAME))
        assert {file.path for file, _ in state.selected.skipped} == set(LEFTOVERS)
        assert list(tmp_path.iterdir()) == [], "a plan writes nothing"
        fetched = fetcher(tmp_path, hub).fetch(Wanted(NAME))
        assert set(fetched.received) == set(FILES)
        assert not look(tmp_path, Wanted(NAME)).missing  # type: ignore[union-attr]
        # The library takes a part for the whole only where it has no list of files.
        library("from huggingface_hub import snapshot_download as s; s('org/model', local_files_only=True)", tmp_path)
        more = fetcher(tmp_path, hub).fetch(Wanted(NAME, selection=Selection(include=("logs/*",))))
        assert more.received == ("logs/events.out.tfevents.1",)


def test_a_new_commit_fetches_only_what_changed(tmp_path: Path, hub: HubServer) -> None:
    fetcher(tmp_path, hub).fetch(Wanted(NAME))
    newer = Repo({**FILES, "config.json": b'{"new": 1}'}, previous=REPO)
    hub.set_repos({NAME: newer})
    fetched = fetcher(tmp_path, hub).fetch(Wanted(NAME), update=True)
    assert fetched.received == ("config.json",)
    assert (tmp_path / "models--org--model" / "refs" / "main").read_text() == newer.commit
    assert look(tmp_path, Wanted(NAME, REPO.commit)).missing == ()  # type: ignore[union-attr]


def test_a_small_disk_is_said_before_anything_is_fetched(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(StorageError) as caught:
        fetcher(tmp_path, hub, free_bytes=lambda _path: 1_000_000).fetch(Wanted(NAME))
    assert "76 MB" in str(caught.value) and "has 1 MB" in str(caught.value)
    assert not [request for request in hub.seen() if request.scope == "body"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file-size limit")
def test_a_disk_that_fills_up_keeps_what_is_there(tmp_path: Path, hub: HubServer) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
from pathlib import Path
from launcher.errors import StorageError
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Wanted
try:
    Fetcher(Path(sys.argv[1]), [Endpoint({hub.url!r})], {{}}).fetch(Wanted("org/model"))
except StorageError as error:
    print(error)
"""
    assert "model.bin is not complete" in library(code, tmp_path)
    assert not list(tmp_path.glob("models--*/snapshots/*/model.bin"))
    fetched = fetcher(tmp_path, hub).fetch(Wanted(NAME))
    assert hashlib.sha256((fetched.state.snapshot / "model.bin").read_bytes()).hexdigest() == REPO.sha256("model.bin")


@pytest.mark.parametrize("name", ["org", "../x", "org/..", "/org/x", "-x/y", "a/b/c"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, hub: HubServer, name: str) -> None:
    with pytest.raises(ConfigError):
        fetcher(tmp_path, hub).fetch(Wanted(name))
    with pytest.raises(ConfigError):
        fetcher(tmp_path, hub).fetch(Wanted(NAME, "../../x"))
    assert hub.seen() == []


def test_nobody_to_ask(tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        fetcher(tmp_path).fetch(Wanted(NAME))


def test_a_pinned_digest_is_kept(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher(tmp_path, hub).fetch(Wanted(NAME, pinned={"model.bin": "0" * 64}))
    assert hub.url in str(caught.value) and "pins" in str(caught.value)


def test_modelscope_serves_bytes_that_the_hub_vouches_for(tmp_path: Path, hub: HubServer) -> None:
    with HubServer({NAME: REPO}, host="127.0.0.2") as store:
        endpoints = [Endpoint(hub.url), Endpoint(store.url, "modelscope")]
        hub.set_faults(Faults(unavailable=("body",), path="model.bin"))
        fetched = Fetcher(tmp_path, endpoints, {}, patience=replace(Patience(), strikes=2)).fetch(Wanted(NAME))
        assert fetched.hosts[store.url] >= 9_000_000
        assert store.url in fetched.state.tree.vouchers
        sha256 = hashlib.sha256((fetched.state.snapshot / "model.bin").read_bytes()).hexdigest()
        assert sha256 == REPO.sha256("model.bin")


def test_progress_reaches_its_end(tmp_path: Path, hub: HubServer) -> None:
    seen: list[Progress] = []
    fetcher(tmp_path, hub, reporting=Reporting(progress=seen.append)).fetch(Wanted(NAME))
    assert seen[0].stage == "list"
    assert seen[-1].done == seen[-1].total == 9_300_002
    amounts = [one.done for one in seen if one.stage == "fetch"]
    assert amounts == sorted(amounts)
