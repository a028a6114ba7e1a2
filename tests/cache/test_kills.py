"""kill -9 in the middle of migrate, archive, restore and backup: nothing is lost, and a second run completes.

Each command is killed before every change of the disk that a rehearsal counted (a random part of them), and by the
kernel at random bytes of a file. After each kill every content still exists somewhere, and huggingface_hub finds
nothing wrong with the cache.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cache.caches import FOLDER, contents, flaws, hf_is_clean, is_whole, weights
from tests.cache.killing import Driver

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="commands run as forked children")
KILLS = 7
BYTES = 3


@pytest.fixture
def other_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def kill_everywhere(
    driver: Driver,
    prepare: Callable[[], tuple[str, ...]],
    check: Callable[[], None],
    finish: Callable[[], None],
    *,
    seed: int,
    largest: int = 3_000_000,
) -> None:
    """Kills a command at many moments; each time ``check`` must hold at once, and after one more run ``finish``."""
    argv = prepare()
    code, changes = driver.run(*argv)
    assert code == 0 and changes > 5
    finish()
    chance = random.Random(seed)
    # The first and the last changes always: there the phases meet.
    moments = {1, 2, changes - 1, changes, *chance.sample(range(1, changes + 1), min(KILLS, changes))}
    for change, byte in [
        *((moment, 0) for moment in sorted(moments)),
        *((0, chance.randint(1, largest)) for _ in range(BYTES)),
    ]:
        argv = prepare()
        code, _ = driver.run(*argv, change=change, byte=byte)
        assert code < 0 or byte, f"it lived on after change {change}"
        check()
        # Twice on its way: an interrupted second run must not hurt either.
        driver.run(*argv, change=chance.randint(1, changes))
        check()
        code, _ = driver.run(*argv)
        assert code == 0, f"the last run after a kill at change {change}, byte {byte} ended with {code}"
        check()
        finish()


@pytest.mark.parametrize("disks", ["one", "two"])
def test_migrate(tmp_path: Path, filled: Path, driver: Driver, other_disk: Path, disks: str) -> None:
    old, data = tmp_path / "old", (tmp_path if disks == "one" else other_disk) / "data"
    target = data / "cache" / "huggingface" / "hub"

    def prepare() -> tuple[str, ...]:
        for folder in (*tmp_path.glob("old*"), data):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(filled, old / "hub", symlinks=True)
        return ("cache", "migrate", str(old), "--yes", "--data-dir", str(data))

    def check() -> None:
        assert weights() <= contents(old, data)
        assert flaws(target) == []

    def finish() -> None:
        assert is_whole(target) and (old / "hub").is_symlink() and is_whole(old / "hub")
        assert not list(old.glob("hub.*")) and not list(data.rglob("*.jsonl")) and not list(data.rglob("*.tmp"))

    kill_everywhere(driver, prepare, check, finish, seed=1 if disks == "one" else 2)
    hf_is_clean(target)


def test_archive_and_restore(tmp_path: Path, filled: Path, driver: Driver, other_disk: Path) -> None:
    data, store = tmp_path / "data", other_disk / "archive"
    target = data / "cache" / "huggingface" / "hub"

    def prepare() -> tuple[str, ...]:
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(filled, target, symlinks=True)
        return ("cache", "archive", "org/model", str(store), "--yes", "--data-dir", str(data))

    def check() -> None:
        assert flaws(target) == []
        if not (target / FOLDER).is_dir():
            assert (data / "cache" / "archived" / f"{FOLDER}.json").is_file()

    def finish() -> None:
        check()
        assert not (target / FOLDER).exists() and (target / "models--org--other").is_dir()
        code, _ = driver.run("cache", "restore", "org/model", "--data-dir", str(data))
        assert code == 0 and is_whole(target)

    def gone_or_here(code: int) -> bool:
        return code == 0 or not (target / FOLDER).exists()

    class Lenient(Driver):
        """An archive that is complete has nothing left to do, and says so with an error."""

        def __init__(self) -> None:
            pass

        def run(self, *argv: str, change: int = 0, byte: int = 0) -> tuple[int, int]:
            code, changes = driver.run(*argv, change=change, byte=byte)
            return (0 if code == 5 and gone_or_here(code) else code), changes

    kill_everywhere(Lenient(), prepare, check, finish, seed=3)


def test_restore(tmp_path: Path, filled: Path, driver: Driver, other_disk: Path) -> None:
    data, store = tmp_path / "data", other_disk / "archive"
    target = data / "cache" / "huggingface" / "hub"
    shutil.copytree(filled, target, symlinks=True)
    assert driver.run("cache", "archive", "org/model", str(store), "--yes", "--data-dir", str(data))[0] == 0
    shutil.copytree(data, tmp_path / "archived", symlinks=True)

    def prepare() -> tuple[str, ...]:
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "archived", data, symlinks=True)
        return ("cache", "restore", "org/model", "--from", str(store), "--data-dir", str(data))

    def check() -> None:
        assert flaws(target) == [] and weights() - contents(data) <= weights() and any(store.rglob("*.zst"))

    def finish() -> None:
        assert is_whole(target) and not list(data.rglob("*.tmp"))

    kill_everywhere(driver, prepare, check, finish, seed=4)
    hf_is_clean(target)


def test_backup(tmp_path: Path, filled: Path, driver: Driver, other_disk: Path) -> None:
    data, store = tmp_path / "data", other_disk / "backup"
    target = data / "cache" / "huggingface" / "hub"
    shutil.copytree(filled, target, symlinks=True)

    names = {path.name for path in target.rglob("*")} | contents(target)
    sizes = {path.stat().st_size for path in target.rglob("*") if path.is_file()}

    def prepare() -> tuple[str, ...]:
        shutil.rmtree(store, ignore_errors=True)
        return ("cache", "backup", str(store), "--data-dir", str(data))

    def check() -> None:
        for path in (store / "objects").glob("*/*"):
            assert path.name in names and path.stat().st_size in sizes, "a part has its final name"

    def finish() -> None:
        assert is_whole(target) and weights() <= contents(store / "objects")
        assert driver.run("cache", "backup", str(store), "--verify", "--data-dir", str(data))[0] == 0
        assert not (store / "unfinished").exists()

    kill_everywhere(driver, prepare, check, finish, seed=5)
