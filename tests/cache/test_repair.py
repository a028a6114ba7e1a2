"""Just the bad files come again; what they replace stays until then; a kill at any moment loses nothing."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cache.hub_cache import command_line, environment, fetch, flip, hf, launch, library_complaints, noise
from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME = "org/model"
FILES = {
    "config.json": b"{}",
    "same/config.json": b"{}",
    "a.bin": GeneratedFile(3_000_000, 3),
    "b.bin": GeneratedFile(4_000_000, 4),
    "copy.bin": GeneratedFile(4_000_000, 4),
    "c.safetensors": noise(500_000, 5),
}
REPO = Repo(FILES)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}) as server:
        yield server


@pytest.fixture
def snapshot(tmp_path: Path, hub: HubServer) -> Path:
    found = fetch(tmp_path / "cache" / "huggingface" / "hub", hub, NAME)
    hub.forget()
    return found


def cache_of(snapshot: Path) -> Path:
    return snapshot.parents[2]


def assert_whole(snapshot: Path) -> None:
    for path, file in REPO.files.items():
        assert hashlib.sha256((snapshot / path).read_bytes()).hexdigest() == file.sha256, path


def assert_clean(snapshot: Path, hub: HubServer) -> None:
    cache = cache_of(snapshot)
    assert library_complaints(cache) == []
    assert not list(cache.glob("models--*/.repair"))
    assert hf("cache", "ls", cache=cache).returncode == 0
    done = hf("cache", "verify", NAME, "--fail-on-missing-files", cache=cache, endpoint=hub.url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_damaged_files_come_again(tmp_path: Path, hub: HubServer, snapshot: Path) -> None:
    flip((snapshot / "a.bin").resolve(), 2_000_000)
    (snapshot / "config.json").resolve().unlink()
    (snapshot / "c.safetensors").unlink()
    untouched = (snapshot / "b.bin").stat().st_mtime_ns
    done = launch(tmp_path, "cache", "repair", "--json", LAUNCHER_MIRRORS=hub.url)
    data = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert set(data["repaired"]) == {
        f"{NAME}/{path}" for path in ("a.bin", "config.json", "same/config.json", "c.safetensors")
    }
    assert_whole(snapshot)
    asked = " ".join(one.path for one in hub.seen() if one.scope == "body")
    assert "a.bin" in asked or REPO.sha256("a.bin") in asked
    assert "b.bin" not in asked and REPO.sha256("b.bin") not in asked
    assert (snapshot / "b.bin").stat().st_mtime_ns == untouched
    assert_clean(snapshot, hub)
    receipt = json.loads(next(cache_of(snapshot).glob("models--*/.receipts/*.json")).read_text())
    assert receipt["files"]["a.bin"]["hosts"] == {hub.url: 3_000_000}
    assert receipt["revision"] == "main" and set(receipt["files"]) == set(FILES)
    hub.forget()
    assert launch(tmp_path, "cache", "repair", LAUNCHER_MIRRORS=hub.url).returncode == 0
    assert hub.seen() == [], "a cache that is whole costs no request"


def test_what_cannot_be_fetched_stays_as_it_is(tmp_path: Path, hub: HubServer, snapshot: Path) -> None:
    flip((snapshot / "a.bin").resolve(), 5)
    damaged = (snapshot / "a.bin").read_bytes()
    url = hub.url
    hub.set_repos({})
    done = launch(tmp_path, "cache", "repair", LAUNCHER_MIRRORS=url)
    assert done.returncode == 10 and f"not repaired: {NAME}/a.bin" in done.stdout
    assert (snapshot / "a.bin").read_bytes() == damaged
    done = launch(tmp_path, "cache", "repair", LAUNCHER_MIRRORS=url, LAUNCHER_OFFLINE="yes")
    assert done.returncode == 10 and "network is switched off" in done.stderr
    assert library_complaints(cache_of(snapshot)) == []


def test_without_links(tmp_path: Path, hub: HubServer) -> None:
    cache = tmp_path / "cache" / "huggingface" / "hub"
    snapshot = cache / "models--org--model" / "snapshots" / REPO.commit
    for path, file in REPO.files.items():
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        content = file.content
        (snapshot / path).write_bytes(content.read(0, content.size) if isinstance(content, GeneratedFile) else content)  # type: ignore[arg-type]
    flip(snapshot / "b.bin", 77)
    done = launch(tmp_path, "cache", "repair", "--online", LAUNCHER_MIRRORS=hub.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_whole(snapshot)
    assert library_complaints(cache) == []


def test_a_ref_to_nothing_goes(tmp_path: Path, hub: HubServer, snapshot: Path) -> None:
    (snapshot.parents[1] / "refs" / "old").write_text("0" * 40)
    assert library_complaints(cache_of(snapshot))
    done = launch(tmp_path, "cache", "repair", LAUNCHER_MIRRORS=hub.url)
    assert done.returncode == 0 and "removed the reference" in done.stdout
    assert_clean(snapshot, hub)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    with HubServer({NAME: REPO}, throttle_bytes_per_s=3_000_000) as hub:
        snapshot = fetch(tmp_path / "cache" / "huggingface" / "hub", hub, NAME)
        damaged = {}
        for path in ("a.bin", "b.bin", "c.safetensors"):
            flip((snapshot / path).resolve(), 100)
            damaged[path] = (snapshot / path).read_bytes()
        for _ in range(6):
            process = subprocess.Popen(
                command_line(tmp_path, "cache", "repair"),
                env=environment(LAUNCHER_MIRRORS=f"{hub.url};connections=2"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                process.wait(chance.uniform(0.3, 1.2))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for path, old in damaged.items():
                now = (snapshot / path).read_bytes()
                good = hashlib.sha256(now).hexdigest() == REPO.sha256(path)
                assert good or now == old, f"{path} is neither the old nor the new, seed {seed}"
            assert library_complaints(cache_of(snapshot)) == [], f"seed {seed}"
        done = launch(tmp_path, "cache", "repair", LAUNCHER_MIRRORS=hub.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_whole(snapshot)
        assert_clean(snapshot, hub)
