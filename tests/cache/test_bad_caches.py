"""Caches that cannot be worked on: one clear sentence each, and nothing has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cache.hub_cache import (
    add_revision,
    command_line,
    environment,
    fetch,
    flip,
    launch,
    library_complaints,
    noise,
)
from tests.mounting import mount
from tests.servers.hub import GeneratedFile, HubServer, Repo

COMMANDS = (("ls",), ("verify",), ("repair",), ("prune", "--yes"))
NOBODY = 65_534


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every name below a folder with its kind and content; locks come and go."""
    found = {}
    for path in folder.rglob("*"):
        if ".locks" not in path.parts:
            data = b"" if path.is_dir() or path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = (path.lstat().st_mode, data)
    return found


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 5, (done.returncode, done.stdout, done.stderr)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in errors[0], errors[0]


def damaged(cache: Path) -> None:
    """A cache with something to repair and something to prune."""
    add_revision(cache, "org/model", {"a.bin": noise(5000, 1)}, ref="")
    add_revision(cache, "org/model", {"a.bin": noise(6000, 2)})
    flip(next((cache / "models--org--model" / "blobs").iterdir()), 3)


def _file(cache: Path) -> None:
    cache.write_text("x")


def _loop(cache: Path) -> None:
    cache.symlink_to(cache)


def _to_nowhere(cache: Path) -> None:
    cache.symlink_to(cache.with_name("unmounted"))


def _other_layout(cache: Path) -> None:
    (cache / "checkpoints").mkdir(parents=True)
    (cache / "checkpoints" / "gpt.pth").write_bytes(b"x")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_file, "below a file"),
        (_loop, "links in a circle"),
        (_to_nowhere, "is not there"),
        (_other_layout, "no Hugging Face cache"),
        (lambda _cache: None, "is not there"),
    ],
    ids=["a file", "a circle of links", "a link to nowhere", "another layout", "vanished"],
)
def test_what_is_no_cache(tmp_path: Path, command: tuple[str, ...], make: Callable[[Path], None], words: str) -> None:
    cache = tmp_path / "there" / "cache"
    cache.parent.mkdir()
    make(cache)
    before = state_of(cache.parent)
    done = launch(tmp_path / "data", "cache", *command, "--cache", str(cache))
    assert_one_sentence(done, "--cache", words)
    assert state_of(cache.parent) == before


@pytest.mark.parametrize("command", [("repair",), ("prune", "--yes")], ids=lambda command: command[0])
def test_read_only(tmp_path: Path, mounted: Path, command: tuple[str, ...]) -> None:
    source = tmp_path / "source"
    damaged(source)
    before = state_of(source)
    mount("--bind", str(source), str(mounted))
    mount("-o", "remount,bind,ro", str(mounted))
    for quiet in (("ls",), ("where",)):
        assert launch(tmp_path / "data", "cache", *quiet, HF_HUB_CACHE=str(mounted)).returncode == 0
    done = launch(tmp_path / "data", "cache", "verify", "--cache", str(mounted))
    assert done.returncode == 5 and "other content" in done.stdout
    done = launch(tmp_path / "data", "cache", *command, HF_HUB_CACHE=str(mounted))
    assert_one_sentence(done, "HF_HUB_CACHE", "read-only file system", "Mount it writable")
    assert state_of(source) == before


def test_a_full_disk_can_be_cleared_and_not_repaired(tmp_path: Path, mounted: Path) -> None:
    mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", str(mounted))
    repo = Repo({"a.bin": GeneratedFile(5_000_000, 1)})
    with HubServer({"org/model": repo}) as hub:
        elsewhere = fetch(tmp_path / "elsewhere", hub, "org/model")
        shutil.copytree(elsewhere.parents[2], mounted / "hub", symlinks=True)
        cache = mounted / "hub"
        add_revision(cache, "org/old", {"b.bin": noise(2_000_000, 3)})
        flip(next((cache / "models--org--model" / "blobs").iterdir()), 9)
        with (mounted / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(b"\0" * 65_536)
                filler.flush()
        before = state_of(cache)
        done = launch(tmp_path / "data", "cache", "repair", "--cache", str(cache), LAUNCHER_MIRRORS=hub.url)
        assert done.returncode == 10 and "of free space and has" in done.stdout, done.stdout + done.stderr
        assert {name: one for name, one in state_of(cache).items() if ".repair" not in name} == before
        done = launch(tmp_path / "data", "cache", "prune", "org/old", "--yes", "--cache", str(cache))
        assert done.returncode == 0 and "2.00 MB free again" in done.stdout, done.stderr
        assert shutil.disk_usage(mounted).free >= 1_900_000
        assert library_complaints(cache) == []


@pytest.mark.parametrize("command", [("repair",), ("prune", "--yes")], ids=lambda command: command[0])
def test_foreign_owned(tmp_path: Path, command: tuple[str, ...]) -> None:
    cache = tmp_path / "hub"
    damaged(cache)
    before = state_of(cache)
    if not sys.platform.startswith("linux") or os.getuid() or shutil.which("setpriv") is None:
        pytest.skip("only root of a Linux system can give files away and its own powers up")
    for path in (cache, *cache.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    powers = "-dac_override,-dac_read_search,-fowner"
    weakened = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "data").mkdir(exist_ok=True)
        return subprocess.run(
            [*weakened, *command_line(tmp_path / "data", "cache", *arguments, "--cache", str(cache))],
            env=environment(),
            cwd=tmp_path / "data",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("ls").returncode == 0
    assert run("verify").returncode == 5
    assert_one_sentence(run(*command), "is not writable", "Make it writable for you")
    assert state_of(cache) == before


def test_unreadable_parts_are_named(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "huggingface" / "hub"
    damaged(cache)
    (cache / "models--org--odd").write_text("a file where a repository should be")
    (cache / "models--org--empty").mkdir()
    done = launch(tmp_path, "cache", "ls")
    assert done.returncode == 0 and "models--org--odd" in done.stderr and "Traceback" not in done.stderr
    assert launch(tmp_path, "cache", "verify").returncode == 5
