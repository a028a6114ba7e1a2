"""A folder of checkpoints becomes a part of the cache: known by name and size, believed by digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from launcher.cache.migrate_find import loose_files
from launcher.hub.adoption import Matched, adopt, match
from launcher.hub.catalog import Part, catalog
from launcher.hub.remote_files import RemoteFile, RepoTree
from launcher.hub.wanted import Wanted, look
from tests.cache.caches import contents, flaws, hf_is_clean, launcher
from tests.cache.killing import killed, refused
from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME, FEATURES = "org/tts", "org/features"
CAMPPLUS = "campplus_cn_common.bin"
REPO = Repo(
    {
        "config.yaml": b"a: 1",
        "gpt.pth": GeneratedFile(3_000_000, 1),
        "qwen/model.safetensors": GeneratedFile(2_000_000, 2),
    }
)
FEATURE_REPO = Repo({"config.json": b"{}", "model.safetensors": GeneratedFile(1_500_000, 3)})
PARTS = [
    Part(NAME, sizes={path: file.size for path, file in REPO.files.items()}),
    Part(FEATURES, include=("config.json", "model.safetensors"), sizes={"model.safetensors": 1_500_000}),
]


def tree_of(repo: Repo, wanted: Wanted) -> RepoTree:
    files = [RemoteFile(one.path, one.size, one.oid, one.sha256 if one.large else None) for one in repo.files.values()]
    return RepoTree(wanted.repo, wanted.revision, repo.commit, tuple(files))


def trees(wanted: Wanted) -> RepoTree | None:
    return tree_of({NAME: REPO, FEATURES: FEATURE_REPO}[wanted.repo], wanted)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """As the official repository's instructions and program lay them down."""
    folder = tmp_path / "index-tts" / "checkpoints"
    for repo, base in ((REPO, folder), (FEATURE_REPO, folder / "hf_cache" / "features")):
        for path, file in repo.files.items():
            content = file.content
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).write_bytes(content if isinstance(content, bytes) else content.read(0, file.size))  # type: ignore[union-attr]
    (folder / "mine.pth").write_bytes(b"x" * 1_100_000)
    return folder


def matched(folder: Path) -> Matched:
    return match(loose_files(folder), PARTS, trees)


def test_flat_files_are_known_and_nothing_is_fetched_afterwards(tmp_path: Path, checkpoints: Path) -> None:
    found = matched(checkpoints)
    assert {str(one.source.relative_to(checkpoints)) for one in found.adoptions} == {
        "config.yaml",
        "gpt.pth",
        "qwen/model.safetensors",
        "hf_cache/features/config.json",
        "hf_cache/features/model.safetensors",
    }
    assert [path.name for path in found.unknown] == ["mine.pth"]
    done = adopt(tmp_path / "hub", found)
    assert done.linked == 3 and done.copied_bytes < 10 and not done.damaged
    for name in (NAME, FEATURES):
        state = look(tmp_path / "hub", Wanted(name))
        assert state is not None and not state.missing
    assert (checkpoints / "gpt.pth").is_symlink() and not (checkpoints / "config.yaml").is_symlink()
    assert hashlib.sha256((checkpoints / "gpt.pth").read_bytes()).hexdigest() == REPO.sha256("gpt.pth")
    (checkpoints / "config.yaml").write_text("a: 2")  # what people edit is theirs
    assert (tmp_path / "hub" / "models--org--tts" / "snapshots" / REPO.commit / "config.yaml").read_bytes() == b"a: 1"
    with HubServer({NAME: REPO, FEATURES: FEATURE_REPO}) as hub:
        hf_is_clean(tmp_path / "hub", hub, names=(NAME, FEATURES))
    again = matched(checkpoints)
    assert [one.file.path for one in again.adoptions] == ["config.yaml", "config.json"] or not again.adoptions


def test_a_name_and_a_size_are_no_proof(tmp_path: Path, checkpoints: Path) -> None:
    (checkpoints / "gpt.pth").write_bytes(b"y" * 3_000_000)
    done = adopt(tmp_path / "hub", matched(checkpoints))
    assert done.damaged == (checkpoints / "gpt.pth",) and not (checkpoints / "gpt.pth").is_symlink()
    state = look(tmp_path / "hub", Wanted(NAME))
    assert state is not None and [file.path for file in state.missing] == ["gpt.pth"]


def test_without_a_network_the_catalogs_digests_count(tmp_path: Path, checkpoints: Path) -> None:
    part = Part(NAME, sizes={"gpt.pth": 3_000_000, "config.yaml": 4}, revision=REPO.commit)
    assert match(loose_files(checkpoints), [part], lambda _wanted: None).adoptions == ()
    pinned = Part(
        NAME,
        sizes={"gpt.pth": 3_000_000, "config.yaml": 4},
        revision=REPO.commit,
        sha256={"gpt.pth": REPO.sha256("gpt.pth")},
    )
    done = adopt(tmp_path / "hub", match(loose_files(checkpoints), [pinned], lambda _wanted: None))
    assert done.placed == (checkpoints / "gpt.pth",)
    place = tmp_path / "hub" / "models--org--tts" / "snapshots" / REPO.commit / "gpt.pth"
    assert place.resolve().name == REPO.sha256("gpt.pth") and flaws(tmp_path / "hub") == []


@pytest.mark.parametrize("largest", [1_000_000, 1_700_000, 2_500_000])
def test_a_failure_changes_nothing(checkpoints: Path, largest: int) -> None:
    """The other disk refuses one of the files, after some or none of the others."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        hub = Path(folder) / "hub"
        if hub.parent.stat().st_dev == checkpoints.stat().st_dev:
            pytest.skip("there is one disk only, on which nothing has to be written")
        assert "cannot be written" in refused(lambda: adopt(hub, matched(checkpoints)), largest)
        assert not any(path.is_symlink() for path in checkpoints.rglob("*"))
        assert not [path for path in hub.rglob("*") if path.is_file() or path.is_symlink()]
        assert adopt(hub, matched(checkpoints)).linked == 3


def test_an_interrupted_adoption_goes_on(tmp_path: Path, checkpoints: Path) -> None:
    """Killed after some links: what is a link already is no file of the folder any more."""
    shutil.copytree(checkpoints, tmp_path / "copy")
    adopt(tmp_path / "hub", matched(tmp_path / "copy"))
    (tmp_path / "copy" / "gpt.pth").unlink()
    shutil.copyfile(checkpoints / "gpt.pth", tmp_path / "copy" / "gpt.pth")
    done = adopt(tmp_path / "hub", matched(tmp_path / "copy"))
    assert done.linked == 1 and done.copied_bytes == 0
    assert all((tmp_path / "copy" / path).is_symlink() for path in ("gpt.pth", "qwen/model.safetensors"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a child that can be killed")
def test_killed_at_any_change_nothing_is_lost(tmp_path: Path, checkpoints: Path) -> None:
    shutil.move(checkpoints, tmp_path / "source")
    before, change = contents(tmp_path / "source"), 0
    while True:
        change += 7
        folder, cache = tmp_path / f"{change}" / "checkpoints", tmp_path / f"{change}" / "hub"
        shutil.copytree(tmp_path / "source", folder)
        was_killed = killed(lambda folder=folder, cache=cache: adopt(cache, matched(folder)), change)  # type: ignore[misc]
        assert before <= contents(folder, cache)
        assert flaws(cache) == [], change
        if was_killed:
            adopt(cache, matched(folder))
        for name in (NAME, FEATURES):
            state = look(cache, Wanted(name))
            assert state is not None and not state.missing
        assert (folder / "gpt.pth").is_symlink() and before <= contents(folder, cache)
        assert not list(folder.rglob("*.tmp")) and not (cache / ".locks" / "tts-launcher").exists()
        shutil.rmtree(tmp_path / f"{change}")
        if not was_killed:
            break
    assert change > 20


def test_the_command_leaves_what_the_catalog_contradicts(tmp_path: Path) -> None:
    """A file with the name and the size of a known one, and a mirror that vouches for its bytes."""
    size = next(
        size for entry in catalog() for part in entry.parts for path, size in part.sizes.items() if path == CAMPPLUS
    )
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / CAMPPLUS).write_bytes(b"z" * size)
    with HubServer({"funasr/campplus": Repo({CAMPPLUS: b"z" * size})}) as hub:
        command = ("cache", "migrate", folder, "--yes", "--data-dir", tmp_path / "data")
        code, answer, _ = launcher(*command, environ={"HF_ENDPOINT": hub.url})
    assert code == 0 and answer["caches"][0]["damaged"] == [str(folder / CAMPPLUS)]
    assert (folder / CAMPPLUS).stat().st_size == size and not (folder / CAMPPLUS).is_symlink()
