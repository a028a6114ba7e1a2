"""Archives and backups: what is damaged, missing or hostile in them, and stores at an address."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from launcher.cache.archive import Pointer, archive, read_pointers
from launcher.cache.backup import backup, verify
from launcher.cache.folder_store import FolderStore, open_store
from launcher.cache.journal import alone
from launcher.cache.restore import chosen, restore
from launcher.cache.store import Manifest
from launcher.errors import ConfigError, StorageError
from tests.cache.caches import FOLDER, NAME, REPO, contents, flaws, is_whole, launcher, weights

BIN = "sub/model.bin"


@pytest.fixture
def hub(tmp_path: Path, filled: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "hub", symlinks=True))


def packing(folder: Path) -> FolderStore:
    store = FolderStore(folder, compress=True)
    store.prepare()
    return store


def damage(path: Path) -> None:
    """One flipped bit in the middle, without touching another name of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def blob(hub: Path) -> Path:
    return hub / FOLDER / "blobs" / REPO.sha256(BIN)


def test_an_archive_is_smaller_where_it_can_be_and_comes_back(tmp_path: Path, hub: Path) -> None:
    (tmp_path / "plain").write_bytes(b"0" * 1_000_000)
    pointer = archive(hub, FOLDER, packing(tmp_path / "a"), tmp_path / "pointers")
    assert read_pointers(tmp_path / "pointers") == {FOLDER: pointer} and pointer.store == str(tmp_path / "a")
    assert not (hub / FOLDER).exists() and not list((hub / ".locks" / "tts-launcher-archived").iterdir())
    store = open_store(pointer.store)
    done = restore(store, store.read(FOLDER).roots, {"hub": hub})
    assert not done.problems and is_whole(hub)


def test_a_damaged_model_is_not_archived(tmp_path: Path, hub: Path) -> None:
    damage(blob(hub))
    before = contents(hub)
    with pytest.raises(StorageError, match="is damaged; nothing was removed"):
        archive(hub, FOLDER, packing(tmp_path / "a"), tmp_path / "pointers")
    assert contents(hub) == before and not read_pointers(tmp_path / "pointers")


def test_what_is_still_being_fetched_is_not_archived(tmp_path: Path, hub: Path) -> None:
    (hub / FOLDER / ".partial").mkdir(exist_ok=True)
    (hub / FOLDER / ".partial" / "x.journal").write_text("half")
    with pytest.raises(StorageError, match="not fetched completely"):
        archive(hub, FOLDER, packing(tmp_path / "a"), tmp_path / "pointers")


def test_an_archive_that_has_rotted_is_made_again_before_the_model_goes(
    tmp_path: Path, hub: Path, filled: Path
) -> None:
    store = packing(tmp_path / "a")
    archive(hub, FOLDER, store, tmp_path / "pointers")
    shutil.copytree(filled / FOLDER, hub / FOLDER, symlinks=True)
    damage(store.path(REPO.sha256(BIN), ".zst"))
    archive(hub, FOLDER, store, tmp_path / "pointers")
    assert not restore(store, store.read(FOLDER).roots, {"hub": hub}).problems and is_whole(hub)


def test_a_restore_names_what_is_damaged_and_brings_the_rest(tmp_path: Path, hub: Path) -> None:
    store = packing(tmp_path / "a")
    archive(hub, FOLDER, store, tmp_path / "pointers")
    damage(store.path(REPO.sha256(BIN), ".zst"))
    store.path(REPO.sha256("voices/a.bin"), ".zst").unlink()
    done = restore(store, store.read(FOLDER).roots, {"hub": hub})
    names = {path.rpartition("/")[2] for path in done.problems}
    assert {REPO.sha256(BIN), REPO.sha256("voices/a.bin"), "model.bin", "a.bin"} == names
    assert (hub / FOLDER / "snapshots" / REPO.commit / "config.json").read_bytes() == b'{"a": 2}'
    assert flaws(hub) == [] and not blob(hub).exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/x", "models--a--b/../../x", "a\\..\\x"])
def test_a_hostile_manifest_writes_nowhere_else(tmp_path: Path, path: str) -> None:
    entry = {"path": path, "size": 1, "digest": "0" * 64}
    with pytest.raises(StorageError, match="damaged"):
        Manifest.from_json({"format": 1, "kind": "backup", "made_at": 0, "roots": {"hub": [entry]}}, "it")
    (tmp_path / "secret").write_text("s")
    roots = {"hub": [{"path": "models--a--b/snapshots/c/f", "link": "../../../../../secret"}]}
    manifest = Manifest.from_json({"format": 1, "kind": "backup", "made_at": 0, "roots": roots}, "it")
    done = restore(FolderStore(tmp_path), chosen(manifest, ()), {"hub": tmp_path / "data" / "hub"})
    assert done.problems and not list((tmp_path / "data").rglob("f"))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_backup_sends_only_what_is_new(tmp_path: Path, hub: Path, scheme: str) -> None:
    torch = tmp_path / "torch" / "hub" / "checkpoints"
    torch.mkdir(parents=True)
    (torch / "net.pth").write_bytes(os.urandom(1_000_000))
    sources = {"hub": hub, "torch": tmp_path / "torch"}
    where = f"{scheme}{tmp_path / 'backup'}"
    first = backup(open_store(where), sources)
    assert first.sent_bytes == first.size > 6_000_000 and not first.damaged
    again = backup(open_store(where), sources)
    assert again.sent_bytes == 0 and again.name == first.name and open_store(where).manifests() == [first.name]
    (torch / "more.pth").write_bytes(b"m" * 1000)
    (torch / "copy.pth").write_bytes(b"m" * 1000)
    assert backup(open_store(where), sources).sent_bytes in (1000, 2000)
    assert weights() <= contents(tmp_path / "backup")
    assert verify(open_store(where)).problems == ()
    # Weights share their bytes with the backup on one disk; what may be rewritten in place never does.
    assert (blob(hub).stat().st_nlink == 2) == (scheme == "")
    assert (torch / "net.pth").stat().st_nlink == 1
    done = restore(
        open_store(where), open_store(where).read(first.name).roots, {"hub": tmp_path / "h", "torch": tmp_path / "t"}
    )
    assert not done.problems and is_whole(tmp_path / "h")
    assert (tmp_path / "t" / "hub" / "checkpoints" / "net.pth").read_bytes() == (torch / "net.pth").read_bytes()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_rotten_backup_is_found_and_mended(tmp_path: Path, hub: Path, scheme: str) -> None:
    where, name = f"{scheme}{tmp_path / 'backup'}", REPO.sha256(BIN)
    backup(open_store(where), {"hub": hub})
    damage(tmp_path / "backup" / "objects" / name[:2] / name)
    assert [digest for digest, _ in verify(open_store(where)).problems] == [name]
    assert backup(open_store(where), {"hub": hub}).sent_bytes == 3_000_000
    assert verify(open_store(where)).problems == ()


def test_a_damaged_content_does_not_enter_a_backup(tmp_path: Path, hub: Path) -> None:
    damage(blob(hub))
    data = tmp_path / "data"
    shutil.copytree(hub, data / "cache" / "huggingface" / "hub", symlinks=True)
    code, answer, _ = launcher("cache", "backup", tmp_path / "backup", "--data-dir", data)
    assert code == 5 and answer["damaged"] == [f"{FOLDER}/blobs/{REPO.sha256(BIN)}"]
    assert REPO.sha256(BIN) not in {path.name for path in (tmp_path / "backup").rglob("*")}


def test_one_clear_sentence(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere://"):
        open_store("nowhere://bucket/path")
    with pytest.raises(StorageError, match="holds no backup"):
        verify(open_store(str(tmp_path / "none")))
    with pytest.raises(StorageError, match="nothing to back up"):
        backup(FolderStore(tmp_path / "b"), {"hub": tmp_path / "no-hub"})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="is not a folder"):
        packing(tmp_path / "file")
    data = ("--data-dir", tmp_path / "data")
    code, answer, _ = launcher("cache", "archive", NAME, tmp_path / "a", "--yes", *data)
    assert code == 5 and "Nothing of org/model" in answer["error"]["message"]
    code, answer, _ = launcher("cache", "restore", NAME, *data)
    assert code == 5 and "is archived" in answer["error"]["message"]
    code, answer, _ = launcher("cache", "restore", *data)
    assert code == 2 and "--from" in answer["error"]["message"]
    shutil.copytree(hub, tmp_path / "data" / "cache" / "huggingface" / "hub", symlinks=True)
    code, answer, _ = launcher("cache", "archive", NAME, tmp_path / "a", *data)
    assert code == 5 and "--yes" in answer["error"]["fix"] and not (tmp_path / "a").exists()
    (tmp_path / "pointers").mkdir()
    (tmp_path / "pointers" / "bad.json").write_text("{")
    (tmp_path / "pointers" / "good.json").write_text(json.dumps({"repo": "good", "store": "/s", "size": 1}))
    assert read_pointers(tmp_path / "pointers") == {"good": Pointer("good", "/s", 1)}


def test_a_lock_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StorageError, match=r"lock cannot be used \(Is a directory\)"), alone(tmp_path):
        raise AssertionError("it holds no lock")
