"""What a cache holds: sizes with shared contents once, last use, flaws, and any layout."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from launcher.cache.usage import hub_folder, scan
from launcher.errors import StorageError
from tests.cache.hub_cache import add_revision, hf, launch, library_complaints, noise

SHARED, FIRST, SECOND = noise(5000, 1), noise(3000, 2), noise(2000, 3)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    hub = tmp_path / "data" / "cache" / "huggingface" / "hub"
    add_revision(hub, "org/model", {"big.bin": SHARED, "sub/a.bin": FIRST, "again.bin": SHARED}, ref="", age_days=9)
    add_revision(hub, "org/model", {"big.bin": SHARED, "sub/a.bin": SECOND}, age_days=2)
    add_revision(hub, "org/data", {"x.bin": noise(1500, 4)}, kind="datasets", ref="refs/pr/1")
    return hub


def test_shared_contents_count_once(cache: Path) -> None:
    usage = scan(cache)
    model = next(repo for repo in usage.repos if repo.kind == "model")
    assert (model.name, model.size, usage.size) == ("org/model", 10_000, 11_500)
    by_size = {revision.size: revision for revision in model.revisions}
    assert set(by_size) == {8000, 7000}
    assert by_size[7000].refs == ("main",) and by_size[8000].refs == ()
    assert len(by_size[8000].entries) == 3
    assert usage.repos[0].kind == "dataset" and usage.repos[0].refs.keys() == {"refs/pr/1"}


def test_what_is_lent_takes_no_room_here(cache: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for blob in (cache / "models--org--model" / "blobs").iterdir():
        blob.rename(base / blob.name)
        blob.symlink_to(base / blob.name)
    usage = scan(cache)
    model = next(repo for repo in usage.repos if repo.kind == "model")
    assert (model.size, usage.size) == (10_000, 1500)
    assert all(content.is_lent for content in model.contents.values())


def test_reading_a_file_is_its_last_use(cache: Path) -> None:
    for repo in scan(cache).repos:
        if repo.kind == "model":
            old = next(one for one in repo.revisions if not one.refs)
            assert 1.9 < (time.time() - repo.used_at) / 86_400 < 2.1
            assert old.used_at < repo.used_at
            blob = next(entry.content for entry in old.entries if entry.path == "sub/a.bin")
            assert blob is not None
            os.utime(blob.path, (time.time(), blob.written_at))
    (model,) = (repo for repo in scan(cache).repos if repo.kind == "model")
    assert time.time() - model.used_at < 60


def test_the_library_counts_the_same(cache: Path) -> None:
    listed = json.loads(hf("cache", "ls", "--json", cache=cache).stdout)
    assert {one["repo_id"]: one["size"] for one in listed} == {"org/model": "10.0K", "org/data": "1.5K"}
    assert library_complaints(cache) == []


def test_without_links(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", {"a.bin": FIRST, "b/c.bin": SECOND}, links=False)
    (repo,) = scan(tmp_path).repos
    assert (repo.size, repo.unused) == (5000, ())


def test_flaws_are_named_and_nothing_fails(cache: Path) -> None:
    folder = cache / "models--org--model"
    (folder / "refs" / "gone").write_text("0" * 40)
    (folder / "snapshots" / "stray").write_text("x")
    (cache / "notes").mkdir()
    loop = next((folder / "snapshots").glob("*/big.bin"))
    loop.unlink()
    loop.symlink_to(loop.name)
    (folder / "blobs" / ("a" * 64)).write_bytes(b"unused")
    usage = scan(cache)
    repo = next(repo for repo in usage.repos if repo.kind == "model")
    assert [flaw.kind for flaw in usage.flaws] == ["stranger"]
    assert sorted(flaw.kind for flaw in repo.flaws) == ["ref", "stranger"]
    assert [entry.path for one in repo.revisions for entry in one.entries if entry.content is None] == ["big.bin"]
    assert [content.size for content in repo.unused] == [6]


def test_what_is_no_cache(tmp_path: Path) -> None:
    assert scan(tmp_path / "none").repos == ()
    with pytest.raises(StorageError, match="is not there"):
        scan(tmp_path / "none", must_exist=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="below a file"):
        scan(tmp_path / "file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StorageError, match="in a circle"):
        scan(tmp_path / "loop")
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    with pytest.raises(StorageError, match="no Hugging Face cache"):
        scan(tmp_path / "other", must_exist=True)


def test_the_folder_above_is_understood(cache: Path) -> None:
    assert hub_folder(cache.parent) == cache
    assert hub_folder(cache) == cache


def test_ls_says_what_needs_a_model(tmp_path: Path) -> None:
    data = tmp_path / "data"
    hub = data / "cache" / "huggingface" / "hub"
    commit = add_revision(hub, "funasr/campplus", {"campplus_cn_common.bin": FIRST})
    add_revision(hub, "org/model", {"a.bin": SECOND})
    done = launch(data, "cache", "ls", "--json", LAUNCHER_MODELS="org/model")
    listed = {repo["name"]: repo for repo in json.loads(done.stdout)["repos"]}
    assert "indextts-2.5" in listed["funasr/campplus"]["catalog"]
    assert not listed["funasr/campplus"]["revisions"][0]["needed"]
    assert listed["org/model"]["revisions"][0]["needed"] == "LAUNCHER_MODELS names org/model"
    done = launch(data, "cache", "ls", "--json", LAUNCHER_ENGINE="indextts2.5")
    listed = {repo["name"]: repo for repo in json.loads(done.stdout)["repos"]}
    assert listed["funasr/campplus"]["revisions"][0]["commit"] == commit
    assert "indextts2.5" in listed["funasr/campplus"]["revisions"][0]["needed"]
    text = launch(data, "cache", "ls", "--revisions").stdout
    assert commit[:12] in text and "3.00 kB" in text


def test_where_names_every_path_its_reason_and_its_storage(tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    done = launch(tmp_path / "data", "cache", "where", "--json", HF_HOME=str(home))
    places = {place["name"]: place for place in json.loads(done.stdout)["places"]}
    assert places["HF_HOME"]["path"] == str(home) and places["HF_HOME"]["why"] == "set in the environment"
    assert places["HF_HUB_CACHE"]["path"] == str(home / "hub") and "below HF_HOME" in places["HF_HUB_CACHE"]["why"]
    assert "below LAUNCHER_DATA_DIR" in places["TORCH_HOME"]["why"]
    assert {"kokoro", "engines", "logs", "temporary", "sockets", "NLTK_DATA"} <= places.keys()
    for place in places.values():
        assert place["kind"] and place["free_bytes"] > 0 and place["rotational"] in (True, False, None)
    assert not list(tmp_path.glob("data/*")), "where makes nothing"
    assert "HF_HUB_CACHE" in launch(tmp_path / "data", "cache", "where").stdout
