"""Several machines on one cache, where ``flock`` holds on one of them alone: a lease, and a file for each attempt."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.hub.locks import Locks, lock_path
from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME = "org/model"
SIZE = 6_000_000
SPEED = 1_000_000.0
REPO = Repo({"model.bin": GeneratedFile(SIZE, 9)})
ROOT = Path(__file__).parents[2]
#: Long enough for a holder that a busy machine keeps from its lease, and soon over where a holder has gone.
LONG_LEASE_S, SHORT_LEASE_S = 60.0, 2.0
FETCH = """
import sys
from pathlib import Path
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Reporting, Wanted
from launcher.hub.mirrors import Patience
url, cache, lease_s = sys.argv[1:]
tell = Reporting(note=lambda text: print(text, flush=True))
endpoints, patience = [Endpoint(url, connections=2)], Patience(slow_share=0.0)
fetcher = Fetcher(
    Path(cache), endpoints, {}, shared=True, lease_s=float(lease_s), patience=patience, reporting=tell
)
print("received", *fetcher.fetch(Wanted("org/model")).received, flush=True)
"""


class Machine:
    """A fetch in a process whose locks the others do not feel: each sees the folder at a path of its own."""

    def __init__(self, hub: HubServer, cache: Path, view: Path, lease_s: float = SHORT_LEASE_S) -> None:
        view.symlink_to(cache, target_is_directory=True)
        self.cache = cache
        self.process = subprocess.Popen(
            [sys.executable, "-c", FETCH, hub.url, str(view), str(lease_s)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def isolate(self) -> None:
        """From now on its flock is felt by nobody: they find other files under the same names."""
        for path in self.cache.glob(".locks/*/*.lock"):
            path.unlink()

    def says(self, words: str) -> None:
        """Back when it has said a line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}")

    def end(self) -> str:
        """What it said, once it is over."""
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}, throttle_bytes_per_s=SPEED) as server:
        yield server


def begun(hub: HubServer, cache: Path, view: Path, lease_s: float = SHORT_LEASE_S) -> Machine:
    """A machine in the middle of its fetch, that the others feel by its lease alone."""
    machine = Machine(hub, cache, view, lease_s)
    while hub.bytes_sent() < SIZE // 3:
        time.sleep(0.02)
    machine.isolate()
    return machine


def test_the_setting_decides_for_the_command(tmp_path: Path, hub: HubServer) -> None:
    environment = {
        **os.environ,
        "LAUNCHER_DATA_DIR": str(tmp_path),
        "LAUNCHER_MIRRORS": hub.url,
        "LAUNCHER_SHARED_CACHE": "yes",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "launcher", "fetch", NAME]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        while not list(tmp_path.glob("cache/huggingface/hub/.locks/*/*.lease")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()


def asked_for(hub: HubServer, since: int) -> int:
    """Bytes of the file that were asked for by the requests from the ``since``-th on."""
    total = 0
    for request in hub.seen()[since:]:
        if request.scope == "body" and "range" in request.headers:
            start, end = request.range(SIZE) or (0, SIZE)
            total += end - start
    return total


def right(cache: Path) -> bool:
    (blob,) = (cache / "models--org--model" / "blobs").iterdir()
    return hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name == REPO.sha256("model.bin")


def test_the_second_waits_for_the_lease_of_the_first(tmp_path: Path, cache: Path, hub: HubServer) -> None:
    first = begun(hub, cache, tmp_path / "a", LONG_LEASE_S)
    hub.set_throttle(SIZE / 200)  # however long the second takes to begin, the first is still at it
    second = Machine(hub, cache, tmp_path / "b", LONG_LEASE_S)
    second.says("Another process is fetching")
    hub.set_throttle(SPEED)
    assert "received model.bin" in first.end()
    assert second.end().splitlines()[-1] == "received"
    assert hub.bytes_sent() < 1.1 * SIZE
    assert right(cache)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here")
def test_one_that_shows_no_life_is_taken_over_and_may_wake_up_again(
    tmp_path: Path, cache: Path, hub: HubServer
) -> None:
    first = begun(hub, cache, tmp_path / "a")
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        count = len(hub.seen())
        second = Machine(hub, cache, tmp_path / "b")
        assert "received model.bin" in second.end()
        assert asked_for(hub, count) < 0.9 * SIZE, "what the first had left was not used"
        assert right(cache)
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    said = first.end()
    assert first.process.returncode == 0, said
    assert right(cache)
    partial = cache / "models--org--model" / ".partial"
    assert not partial.exists() or not list(partial.iterdir())


def test_one_that_was_killed_is_taken_over(tmp_path: Path, cache: Path, hub: HubServer) -> None:
    first = begun(hub, cache, tmp_path / "a")
    first.process.kill()
    first.end()
    second = Machine(hub, cache, tmp_path / "b")
    assert "received model.bin" in second.end()
    assert hub.bytes_sent() < 1.5 * SIZE
    assert right(cache)


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_a_machine_whose_clock_is_wrong_knows_who_works_there_and_who_has_gone(cache: Path, ahead_s: int) -> None:
    path = lock_path(cache, NAME, "digest")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from launcher.cache.locking import is_free\n"
        "right = time.time\n"
        "time.time = lambda: right() + float(sys.argv[2])\n"
        "print(is_free(Path(sys.argv[1])))\n"
    )

    def says() -> str:
        asking = [sys.executable, "-c", code, path, str(ahead_s)]
        return subprocess.run(asking, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    with Locks(cache, NAME, shared=True).wait("digest"):
        path.unlink()  # another machine does not feel it
        assert says() == "False"
    lease = path.with_suffix(".lease")
    lease.touch()
    os.utime(lease, (lease.stat().st_atime, lease.stat().st_mtime - 600))  # its holder died ten minutes ago
    assert says() == "True"
    assert not [one for one in path.parent.iterdir() if one != lease]
