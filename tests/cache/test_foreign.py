"""Caches that belong to somebody else, and caches that several share: read-only, unreadable, lent, opened to a group.

Run by root a second user is a real one (nobody); run by anybody else, rights are taken from the folders instead.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.cache import overlay, sharing
from launcher.errors import ConfigError, StorageError
from tests.cache.caches import FOLDER, OTHER, REPO, contents, environment, flaws, is_whole
from tests.cache.killing import Driver

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and rights as POSIX has them")
NOBODY = 65534 if hasattr(os, "geteuid") and os.geteuid() == 0 else 0


@pytest.fixture
def place(filled: Path) -> Iterator[Path]:
    """A folder that others may enter, which pytest's own are not, with somebody's cache in it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        shutil.copytree(filled, root / "old" / "hub", symlinks=True)
        (root / "mine").mkdir()
        if NOBODY:
            os.chown(root / "mine", NOBODY, NOBODY)
        else:
            (root / "old").chmod(0o555)
        yield root
        (root / "old").chmod(0o755)


def test_what_may_not_be_changed_stays_and_is_copied(place: Path, driver: Driver) -> None:
    before = contents(place / "old")
    argv = ("cache", "migrate", str(place / "old"), "--yes", "--data-dir", str(place / "mine"))
    code, _ = driver.run(*argv, user=NOBODY)
    assert code == 0, driver.said()
    target = place / "mine" / "cache" / "huggingface" / "hub"
    assert is_whole(target) and contents(place / "old") == before and not (place / "old" / "hub").is_symlink()
    assert '"is_link": false' in driver.said()
    blob = target / FOLDER / "blobs" / REPO.sha256("sub/model.bin")
    assert blob.stat().st_uid == (NOBODY or os.geteuid()) and (not NOBODY or blob.stat().st_nlink == 1)
    assert driver.run(*argv, user=NOBODY)[0] == 0, "and once more"


def test_what_may_not_be_read_is_named_and_nothing_changes(place: Path, driver: Driver) -> None:
    closed = place / "old" / "hub" / FOLDER / "blobs" / REPO.sha256("sub/model.bin")
    closed.chmod(0)
    argv = ("cache", "migrate", str(place / "old"), "--yes", "--data-dir", str(place / "mine"))
    code, _ = driver.run(*argv, user=NOBODY)
    if code == 0:
        assert not NOBODY, "an own file needs no right to be linked"
        return
    assert code == 5 and f"{closed} cannot be read" in driver.said(), driver.said()
    hub = place / "mine" / "cache" / "huggingface" / "hub"
    assert contents(hub) == set() and flaws(hub) == []


def test_a_base_is_found_in_whatever_people_name(tmp_path: Path, filled: Path) -> None:
    shutil.copytree(filled, tmp_path / "data" / "cache" / "huggingface" / "hub", symlinks=True)
    base = tmp_path / "data" / "cache" / "huggingface" / "hub"
    for name in (base, base.parent, base.parents[1], tmp_path / "data"):
        assert overlay.find_base(name, tmp_path / "own" / "hub") == base
    for own in (base, base / "hub", base.parent):
        with pytest.raises(ConfigError, match="lies in the other"):
            overlay.find_base(base, own)
    with pytest.raises(ConfigError, match="holds no Hub cache"):
        overlay.find_base(tmp_path, tmp_path / "own" / "hub")


def test_a_base_that_goes_away_and_comes_back(tmp_path: Path, filled: Path) -> None:
    base, hub = tmp_path / "base", tmp_path / "own" / "hub"
    shutil.copytree(filled, base, symlinks=True)
    lent = overlay.add(hub, base)
    assert len(lent.repos) == 2 and lent.fresh == lent.files > 4 and is_whole(hub)
    base.rename(tmp_path / "unmounted")
    assert overlay.refresh(hub)[base].files == 0 and not is_whole(hub)
    (tmp_path / "unmounted").rename(base)
    assert overlay.add(hub, base).fresh == 0 and is_whole(hub) and overlay.bases_of(hub) == [base]
    assert flaws(hub) == []
    with pytest.raises(ConfigError, match="is no base"):
        overlay.remove(hub, tmp_path)
    assert overlay.remove(hub, base) == lent.files
    assert [path.name for path in hub.iterdir() if path.name.startswith("models--")] == []
    assert overlay.bases_of(hub) == [] and not overlay.record_path(hub).exists()


def test_a_private_content_wins_and_a_ref_of_ones_own_stays(tmp_path: Path, filled: Path) -> None:
    base, hub = tmp_path / "base", tmp_path / "own" / "hub"
    shutil.copytree(filled, base, symlinks=True)
    overlay.add(hub, base)
    blob = hub / FOLDER / "blobs" / REPO.sha256("sub/model.bin")
    own = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(own)
    older = next(path.name for path in (hub / FOLDER / "snapshots").iterdir() if path.name != REPO.commit)
    (hub / FOLDER / "refs" / "main").write_text(older)
    overlay.refresh(hub)
    assert not blob.is_symlink() and (hub / FOLDER / "refs" / "main").read_text() == older
    overlay.remove(hub, base)
    assert blob.is_file() and flaws(hub) == []


def test_a_damaged_record_is_no_overlay(tmp_path: Path, filled: Path) -> None:
    hub = tmp_path / "hub"
    shutil.copytree(filled, hub, symlinks=True)
    for text in ("", "[]", '{"bases": [{}]}', '{"bases": 3}'):
        overlay.record_path(hub).write_text(text)
        assert overlay.bases_of(hub) == [] and overlay.refresh(hub) == {}


def test_sharing_opens_folders_and_only_what_is_ones_own(tmp_path: Path, filled: Path) -> None:
    hub = tmp_path / "home" / "hub"
    shutil.copytree(filled, hub, symlinks=True)
    token = tmp_path / "home" / "token"
    token.write_text("hf_secret")
    token.chmod(0o600)
    done = sharing.share([hub], [tmp_path / "home"], os.getegid())
    assert done.foreign == 0 and done.files > 8 and sharing.is_shared(hub) and sharing.is_shared(tmp_path / "home")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600, "a token was opened"
    for path in hub.rglob("*"):
        if path.is_dir():
            assert sharing.is_shared(path)
        elif not path.is_symlink():
            assert path.stat().st_mode & 0o040
    assert (hub / FOLDER / "refs" / "main").stat().st_mode & 0o020
    with pytest.raises(ConfigError, match="no group"):
        sharing.group_id("no-such-group-at-all")
    assert OTHER.sha256("weights.safetensors") in contents(hub)


def test_a_group_that_one_is_not_in(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may give to every group")
    with pytest.raises(StorageError, match="cannot be given to the group"):
        sharing.share([tmp_path], [], 1)


def test_processes_of_a_shared_cache_leave_the_group_its_rights(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from launcher.cache.sharing import adopt_umask\n"
        "os.umask(0o077); adopt_umask(*map(Path, sys.argv[1:])); print(oct(os.umask(0)))"
    )

    def umask() -> str:
        command = [sys.executable, "-c", code, str(tmp_path / "none"), str(tmp_path)]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.strip()

    assert umask() == "0o77"
    tmp_path.chmod(0o2770)
    assert umask() == "0o7"
