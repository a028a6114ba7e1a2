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

from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME = "org/model"
SIZE = 6_000_000
REPO = Repo({"model.bin": GeneratedFile(SIZE, 9)})
ROOT = Path(__file__).parents[2]
FETCH = """
import sys
from pathlib import Path
from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Reporting, Wanted
url, cache = sys.argv[1:]
tell = Reporting(note=lambda text: print(text, flush=True))
fetcher = Fetcher(Path(cache), [Endpoint(url, connections=2)], {}, shared=True, lease_s=2.0, reporting=tell)
print("received", *fetcher.fetch(Wanted("org/model")).received, flush=True)
"""


class Machine:
    """A fetch in a process whose locks the others do not feel: each sees the folder at a path of its own."""

    def __init__(self, hub: HubServer, cache: Path, view: Path) -> None:
        view.symlink_to(cache, target_is_directory=True)
        self.cache = cache
        self.process = subprocess.Popen(
            [sys.executable, "-c", FETCH, hub.url, str(view)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def isolate(self) -> None:
        """From now on its flock is felt by nobody: they find other files under the same names."""
        for path in self.cache.glob(".locks/*/*.lock"):
            path.unlink()

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
    with HubServer({NAME: REPO}, throttle_bytes_per_s=1_000_000) as server:
        yield server


def begun(hub: HubServer, cache: Path, view: Path) -> Machine:
    """A machine in the middle of its fetch, that the others feel by its lease alone."""
    machine = Machine(hub, cache, view)
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
    first = begun(hub, cache, tmp_path / "a")
    second = Machine(hub, cache, tmp_path / "b")
    assert "received model.bin" in first.end()
    said = second.end()
    assert "Another process is fetching" in said
    assert said.splitlines()[-1] == "received"
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
