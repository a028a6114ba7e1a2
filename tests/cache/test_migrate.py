"""Old caches come into the pinned place: links, copies, merges, what is damaged, what is refused."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.cache.journal import Journal
from launcher.cache.migrate import Migrated, journal_of, migrate
from launcher.cache.migrate_find import find, usual_places
from launcher.cache.migrate_plan import make_plan
from launcher.errors import ConfigError, StorageError
from tests.cache.caches import FOLDER, NAME, REPO, contents, flaws, hf_is_clean, is_whole, launcher
from tests.cache.killing import refused
from tests.servers.hub import HubServer


@pytest.fixture
def old(tmp_path: Path, filled: Path) -> Path:
    """An old ``HF_HOME``."""
    shutil.copytree(filled, tmp_path / "old" / "hub", symlinks=True)
    (tmp_path / "old" / "token").write_text("hf_secret")
    return tmp_path / "old"


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than temporary files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        if Path(folder).stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
            pytest.skip("there is one disk only")
        yield Path(folder)


def targets(data: Path) -> dict[str, Path]:
    return {"hub": data / "hub", "torch": data / "torch", "modelscope": data / "modelscope"}


def move(source: Path, data: Path) -> Migrated:
    (found,) = find(source, targets(data))
    return migrate(make_plan(found), journal_of(data / "journals", found.root))


def test_on_one_disk_nothing_is_copied_and_the_old_place_leads_to_the_new(tmp_path: Path, old: Path) -> None:
    blob = next((old / "hub" / FOLDER / "blobs").iterdir())
    number = blob.stat().st_ino
    done = move(old, tmp_path / "data")
    assert done.copied_bytes == 0 and done.is_link and done.left_behind is None and not done.problems
    assert is_whole(tmp_path / "data" / "hub") and is_whole(old / "hub")
    assert (tmp_path / "data" / "hub" / FOLDER / "blobs" / blob.name).stat().st_ino == number
    assert (old / "hub").readlink() == tmp_path / "data" / "hub"
    assert sorted(path.name for path in old.iterdir()) == ["hub", "token"], "a token stays where it is"
    assert find(old, targets(tmp_path / "data")) == []


def test_from_another_disk_it_is_copied_and_compared(tmp_path: Path, old: Path, other_disk: Path) -> None:
    done = move(old, other_disk)
    assert done.copied_bytes > 5_000_000 and done.is_link and done.counts["copy"] > 4
    assert is_whole(other_disk / "hub") and (old / "hub").is_symlink()
    assert not (other_disk / "hub" / ".locks").exists() and flaws(other_disk / "hub") == []


def test_the_command_costs_no_request_afterwards(tmp_path: Path, old: Path) -> None:
    with HubServer({NAME: REPO}) as hub:
        environ = {"HF_ENDPOINT": hub.url}
        data = ("--data-dir", tmp_path / "data")
        code, answer, _ = launcher("cache", "migrate", old, "--dry-run", *data)
        assert code == 0 and answer["caches"][0]["copy_bytes"] == 0 and not (tmp_path / "data").exists()
        code, answer, _ = launcher("cache", "migrate", old, *data)
        assert code == 5 and "--yes" in answer["error"]["fix"] and not (old / "hub").is_symlink()
        code, answer, error = launcher("cache", "migrate", old, "--yes", *data)
        assert code == 0 and answer["caches"][0]["is_link"], error
        assert launcher("cache", "migrate", old, "--yes", *data)[1]["caches"] == []
        code, answer, _ = launcher("fetch", NAME, *data, environ=environ)
        assert code == 0 and answer["repos"][0]["fetched"] == [] and hub.seen() == []
        for place in (old / "hub", tmp_path / "data" / "cache" / "huggingface" / "hub"):
            hf_is_clean(place, hub)


def test_both_have_it(tmp_path: Path, old: Path, filled: Path) -> None:
    target = tmp_path / "data" / "hub"
    shutil.copytree(filled / FOLDER, target / FOLDER, symlinks=True)
    done = move(old, tmp_path / "data")
    assert done.counts["there"] >= 8 and not done.problems and done.left_behind is None
    assert is_whole(target)


def test_the_pinned_refs_stay(tmp_path: Path, old: Path, filled: Path) -> None:
    target = tmp_path / "data" / "hub"
    shutil.copytree(filled / FOLDER, target / FOLDER, symlinks=True)
    older = next(path.name for path in (target / FOLDER / "snapshots").iterdir() if path.name != REPO.commit)
    (target / FOLDER / "refs" / "main").write_text(older)
    move(old, tmp_path / "data")
    assert (target / FOLDER / "refs" / "main").read_text() == older


def test_a_damaged_content_never_wins(tmp_path: Path, old: Path, filled: Path) -> None:
    target, name = tmp_path / "data" / "hub", REPO.sha256("sub/model.bin")
    shutil.copytree(filled / FOLDER, target / FOLDER, symlinks=True)
    (target / FOLDER / "blobs" / name).write_bytes(b"x" * 3_000_000)
    done = move(old, tmp_path / "data")
    assert is_whole(target) and not done.problems, "the old place had the right one"


def test_a_damaged_content_is_not_copied_and_stays_beside_the_link(tmp_path: Path, old: Path, other_disk: Path) -> None:
    name = REPO.sha256("sub/model.bin")
    (old / "hub" / FOLDER / "blobs" / name).write_bytes(b"x" * 3_000_000)
    done = move(old, other_disk)
    assert f"{FOLDER}/blobs/{name}" in done.problems and done.left_behind is not None
    assert (done.left_behind / FOLDER / "blobs" / name).stat().st_size == 3_000_000
    assert not (other_disk / "hub" / FOLDER / "blobs" / name).exists() and flaws(other_disk / "hub") == []


def test_another_file_of_that_name_stays_beside_the_link(tmp_path: Path) -> None:
    for folder, text in (("old", b"old weights"), ("data", b"new weights")):
        path = tmp_path / folder / "torch" / "hub" / "checkpoints"
        path.mkdir(parents=True)
        (path / "net.pth").write_bytes(text)
        (path / f"only-{folder}.pth").write_bytes(b"1")
    (tmp_path / "old" / "torch" / "hub" / "link.pth").symlink_to("checkpoints/net.pth")
    done = move(tmp_path / "old" / "torch", tmp_path / "data")
    assert done.problems == ("hub/checkpoints/net.pth",) and done.left_behind is not None
    assert (done.left_behind / "hub" / "checkpoints" / "net.pth").read_bytes() == b"old weights"
    names = {path.name for path in (tmp_path / "old" / "torch" / "hub" / "checkpoints").iterdir()}
    assert names == {"net.pth", "only-old.pth", "only-data.pth"}
    assert (tmp_path / "data" / "torch" / "hub" / "link.pth").read_bytes() == b"new weights"


def test_an_old_launchers_folder_holds_several_caches(tmp_path: Path, filled: Path) -> None:
    shutil.copytree(filled, tmp_path / "cache_hub" / "huggingface" / "hub", symlinks=True)
    (tmp_path / "cache_hub" / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "cache_hub" / "torch" / "hub" / "checkpoints" / "a.pth").write_bytes(b"a")
    kinds = {one.kind for one in find(tmp_path / "cache_hub", targets(tmp_path / "data"))}
    assert kinds == {"hub", "torch"}
    (tmp_path / "old-data").mkdir()
    (tmp_path / "cache_hub").rename(tmp_path / "old-data" / "cache")
    assert {one.kind for one in find(tmp_path / "old-data", targets(tmp_path / "data"))} == {"hub", "torch"}


def test_official_checkpoints_hold_a_hub_cache_too(tmp_path: Path, filled: Path) -> None:
    shutil.copytree(filled, tmp_path / "checkpoints" / "hf_cache", symlinks=True)
    (tmp_path / "checkpoints" / "gpt.pth").write_bytes(b"x")
    found = {one.kind: one.root for one in find(tmp_path / "checkpoints", targets(tmp_path / "data"))}
    assert found == {"hub": tmp_path / "checkpoints" / "hf_cache", "checkpoints": tmp_path / "checkpoints"}


def test_leftovers_and_links_to_nowhere_stay_behind(tmp_path: Path, old: Path) -> None:
    part = old / "hub" / FOLDER / "blobs" / f"{'0' * 64}.1234.incomplete"
    part.write_bytes(b"half")
    (old / "hub" / FOLDER / "snapshots" / REPO.commit / "gone.bin").symlink_to("../../blobs/none")
    plan = make_plan(find(old, targets(tmp_path / "data"))[0])
    assert plan.dangling == (f"{FOLDER}/snapshots/{REPO.commit}/gone.bin",)
    done = move(old, tmp_path / "data")
    assert done.left_behind is not None
    assert [path.name for path in done.left_behind.rglob("*") if path.is_file()] == [part.name]
    assert done.left_bytes == 4


def test_somebody_is_downloading_into_it(tmp_path: Path, old: Path) -> None:
    from filelock import FileLock

    (old / "hub" / FOLDER / "blobs" / "abc.incomplete").write_bytes(b"half")
    lock = old / "hub" / ".locks" / FOLDER / "abc.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    before = contents(old)
    with FileLock(lock), pytest.raises(StorageError, match="is downloading"):
        move(old, tmp_path / "data")
    assert contents(old) == before and not (old / "hub").is_symlink()


def test_a_folder_that_may_not_be_renamed_stays(tmp_path: Path, old: Path) -> None:
    plan = make_plan(find(old, targets(tmp_path / "data"))[0])
    from dataclasses import replace

    done = migrate(replace(plan, movable=False), Journal(tmp_path / "journal"))
    assert not done.is_link and is_whole(old / "hub") and is_whole(tmp_path / "data" / "hub")


@pytest.mark.parametrize("largest", [1, 40_000, 1_000_000])
def test_a_failure_changes_nothing(tmp_path: Path, old: Path, other_disk: Path, largest: int) -> None:
    """The disk refuses, at the first file or after several."""
    before = contents(old)
    said = refused(lambda: move(old, other_disk), largest)
    assert f"Nothing of {old / 'hub'} was changed" in said or largest == 1, said
    assert said and contents(old) == before and is_whole(old / "hub") and not (old / "hub").is_symlink()
    assert contents(other_disk) <= contents(other_disk / "journals") and flaws(other_disk / "hub") == []
    assert move(old, other_disk).is_link and is_whole(other_disk / "hub")


def test_what_cannot_be_migrated_is_one_sentence(tmp_path: Path, old: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for name, words in (("loop", "in a circle"), ("file", "no folder"), ("gone", "is not there")):
        with pytest.raises(StorageError, match=words):
            find(tmp_path / name, targets(data))
    with pytest.raises(ConfigError, match="holds no cache"):
        find(tmp_path / "empty", targets(data))
    with pytest.raises(ConfigError, match="lie one in the other"):
        find(old, targets(old / "hub" / "data"))
    (tmp_path / "data").write_bytes(b"a file where the folder should be")
    code, answer, _ = launcher("cache", "migrate", old, "--yes", "--data-dir", data)
    assert code == 5 and "LAUNCHER_DATA_DIR" in answer["error"]["message"] and is_whole(old / "hub")


def test_the_usual_places_are_listed(tmp_path: Path, old: Path) -> None:
    shutil.copytree(old, tmp_path / "home" / ".cache" / "huggingface", symlinks=True)
    assert usual_places(tmp_path / "home", tmp_path, {"HF_HOME": str(old)}) == [
        old,
        tmp_path / "home" / ".cache" / "huggingface",
    ]
    environ = {"HOME": str(tmp_path / "home")}
    code, answer, _ = launcher("cache", "migrate", "--data-dir", tmp_path / "data", environ=environ, cwd=tmp_path)
    (found,) = answer["caches"]
    assert code == 0 and found["kind"] == "hub" and found["size_bytes"] > 5_000_000
    assert not (tmp_path / "data").exists()
