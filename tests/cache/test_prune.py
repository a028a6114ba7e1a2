"""Nothing goes that is needed or that nobody agreed to; what goes, goes in an order that survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.cache.usage import scan
from launcher.cli.app import main
from tests.cache.hub_cache import (
    add_revision,
    blob_name,
    command_line,
    environment,
    fetch,
    hf,
    launch,
    library_complaints,
    noise,
)
from tests.servers.hub import GeneratedFile, HubServer, Repo

SHARED, OLD, NEW, OTHER = (noise(size, size) for size in (50_000, 30_000, 20_000, 10_000))
GIB = 1 << 30


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two revisions that share a content, a repository that nobody has used for long, one that is fresh."""
    hub = tmp_path / "cache" / "huggingface" / "hub"
    add_revision(hub, "org/model", {"shared.bin": SHARED, "sub/a.bin": OLD}, ref="", age_days=120)
    add_revision(hub, "org/model", {"shared.bin": SHARED, "sub/a.bin": NEW}, age_days=1)
    add_revision(hub, "org/stale", {"x.bin": OTHER}, age_days=100)
    return hub


def names_of(cache: Path) -> set[str]:
    return {f"{repo.name}:{','.join(one.refs)}" for repo in scan(cache).repos for one in repo.revisions}


def tree_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if ".locks" not in path.parts}


def assert_sound(cache: Path) -> None:
    """Every name leads to what it should, and the library is content."""
    assert library_complaints(cache) == []
    for repo in scan(cache).repos:
        for revision in repo.revisions:
            for entry in revision.entries:
                assert entry.content is not None, entry.place
                assert blob_name(Path(entry.content.path).read_bytes()) == entry.content.name


def test_without_a_yes_nothing_goes(tmp_path: Path, cache: Path) -> None:
    before = tree_of(cache)
    done = launch(tmp_path, "cache", "prune")
    assert done.returncode == 2
    assert "30.00 kB" in done.stderr and "is an old revision" in done.stderr and "--yes" in done.stderr
    data = json.loads(launch(tmp_path, "cache", "prune", "--json").stdout)
    assert (data["removed"], data["frees_bytes"]) == (False, 30_000)
    done = launch(tmp_path, "cache", "prune", "--dry-run", "--yes")
    assert done.returncode == 0 and "30.00 kB" in done.stdout
    assert tree_of(cache) == before


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "goes"), [(b"y\n", True), (b"\n", False)])
def test_a_person_is_asked(tmp_path: Path, cache: Path, answer: bytes, goes: bool) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command_line(tmp_path, "cache", "prune"),
        env=environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(theirs)
    os.write(ours, answer)
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    assert b"Remove 30.00 kB from" in output
    assert (process.returncode == 0) is goes
    assert (len(scan(cache).repos[0].revisions) == 1) is goes


def test_an_old_revision_goes_and_what_it_shares_stays(tmp_path: Path, cache: Path) -> None:
    done = launch(tmp_path, "cache", "prune", "--old-revisions", "--yes")
    assert done.returncode == 0 and "30.00 kB free again" in done.stdout
    assert names_of(cache) == {"org/model:main", "org/stale:main"}
    assert_sound(cache)
    assert {path.name for path in (cache / "models--org--model" / "blobs").iterdir()} == {
        blob_name(SHARED),
        blob_name(NEW),
    }
    assert "nothing to remove" in launch(tmp_path, "cache", "prune", "--old-revisions", "--yes").stdout


def test_by_age(tmp_path: Path, cache: Path) -> None:
    done = launch(tmp_path, "cache", "prune", "--unused-for", "90d", "--yes")
    assert done.returncode == 0, done.stderr
    assert names_of(cache) == {"org/model:main"}
    assert not (cache / "models--org--stale").exists()
    assert_sound(cache)
    blob = next((cache / "models--org--model" / "blobs").iterdir())
    os.utime(blob, (time.time(), blob.stat().st_mtime))
    assert "nothing to remove" in launch(tmp_path, "cache", "prune", "--unused-for", "1h", "--yes").stdout


def test_a_budget_takes_the_least_recently_used(tmp_path: Path, cache: Path) -> None:
    plan = json.loads(launch(tmp_path, "cache", "prune", "--keep-below", "105kB", "--dry-run", "--json").stdout)
    assert [one["repo"] for one in plan["revisions"]] == ["org/model"]
    assert (plan["size_bytes"], plan["size_after_bytes"]) == (110_000, 80_000)
    done = launch(tmp_path, "cache", "prune", "--keep-below", "60kB", "--yes", LAUNCHER_MODELS="org/model")
    assert names_of(cache) == {"org/model:main"}
    assert (
        "is more than 60.00 kB"
        in launch(tmp_path, "cache", "prune", "--keep-below", "60kB", "--dry-run", LAUNCHER_MODELS="org/model").stdout
    )
    assert done.returncode == 0
    assert_sound(cache)


def test_what_is_needed_stays_unless_it_is_named(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "huggingface" / "hub"
    add_revision(cache, "funasr/campplus", {"campplus_cn_common.bin": OTHER}, age_days=400)
    names = {"LAUNCHER_ENGINE": "indextts2.5"}
    done = launch(tmp_path, "cache", "prune", "--unused-for", "90d", "--yes", **names)
    assert "stays" in done.stdout and "the engine indextts2.5 needs" in done.stdout
    assert names_of(cache) == {"funasr/campplus:main"}
    # Version 2 is named, and 2.5 needs the same file.
    launch(tmp_path, "cache", "prune", "indextts-2", "--yes", **names)
    assert names_of(cache) == {"funasr/campplus:main"}
    done = launch(tmp_path, "cache", "prune", "funasr/campplus", "--yes", **names)
    assert done.returncode == 0 and names_of(cache) == set()


def test_a_revision_can_be_named(tmp_path: Path, cache: Path) -> None:
    old = next(one.commit for one in scan(cache).repos[0].revisions if not one.refs)
    assert launch(tmp_path, "cache", "prune", f"org/model@{old[:10]}", "--yes").returncode == 0
    assert names_of(cache) == {"org/model:main", "org/stale:main"}
    assert launch(tmp_path, "cache", "prune", "org/model@nothing", "--yes").returncode == 2
    assert launch(tmp_path, "cache", "prune", "--unused-for", "soon").returncode == 2
    assert launch(tmp_path, "cache", "prune", "--keep-below", "much").returncode == 2


def test_leftovers_young_ones_stay(tmp_path: Path, cache: Path) -> None:
    from launcher.cache.leftovers import find_leftovers

    blobs = cache / "models--org--model" / "blobs"
    (blobs / f"{'a' * 64}.12345678.incomplete").write_bytes(b"x" * 700)
    (blobs / ("b" * 64)).write_bytes(b"y" * 900)
    (cache / "models--org--model" / "snapshots" / ".a.bin.12345678.tmp").write_bytes(b"z")
    (cache / "tmpab12cd34").write_bytes(b"old library")
    (cache / ".locks" / "models--gone--gone").mkdir(parents=True)
    (cache / ".locks" / "models--gone--gone" / "c.lock").touch()
    partial = cache / "models--org--model" / ".partial"
    partial.mkdir()
    (partial / "d").write_bytes(b"half")
    (cache / "models--org--void" / "refs").mkdir(parents=True)
    (cache / "models--org--void" / "snapshots").mkdir()
    usage, now = scan(cache), time.time()
    assert find_leftovers(usage, now) == ()
    kinds = sorted(one.kind for one in find_leftovers(usage, now + 4000))
    assert kinds == ["empty", "incomplete", "lock", "temporary", "temporary", "unused"]
    assert "partial" in {one.kind for one in find_leftovers(usage, now + 8 * 86_400)}


def test_shared_contents_that_nobody_links_to(cache: Path) -> None:
    from launcher.cache.leftovers import find_leftovers

    store = cache / "blobs"
    for name, size in (("a" * 64, 5000), ("b" * 64, 6000)):
        (store / name[:2]).mkdir(parents=True, exist_ok=True)
        (store / name[:2] / name).write_bytes(noise(size, size))
    (store / ".huggingface-shared-blobs").write_text("1\n")
    folder = cache / "models--org--linked"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "x").symlink_to(f"../../blobs/aa/{'a' * 64}")
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "x").symlink_to("../../blobs/x")
    assert library_complaints(cache) == []
    (found,) = find_leftovers(scan(cache), time.time() + 4000)
    assert (found.path.name, found.size) == ("b" * 64, 6000)


def test_what_an_archive_put_aside_is_no_leftover_but_its_remains_are(cache: Path) -> None:
    from launcher.cache.leftovers import find_leftovers

    aside = cache / ".locks" / "tts-launcher-archived"
    for name in ("leaving-1", "gone-2"):
        (aside / name / "models--o--archived").mkdir(parents=True)
        (aside / name / "models--o--archived" / "weights").write_bytes(b"w" * 100)
    found = find_leftovers(scan(cache), time.time() + 4000)
    assert [one.path for one in found if aside in one.path.parents] == [aside / "gone-2"]
    assert aside not in [one.path for one in found]


def test_leftovers_go_and_busy_ones_stay(tmp_path: Path, cache: Path) -> None:
    from filelock import FileLock

    from launcher.cache.leftovers import find_leftovers
    from launcher.cache.prune import Rules, carry_out, plan

    blobs = cache / "models--org--model" / "blobs"
    (blobs / f"{'a' * 64}.incomplete").write_bytes(b"x" * 700)
    (blobs / f"{'c' * 64}.incomplete").write_bytes(b"x" * 800)
    (blobs / ("b" * 64)).write_bytes(b"y" * 900)
    (cache / "models--org--void" / "snapshots").mkdir(parents=True)
    locks = cache / ".locks" / "models--org--model"
    locks.mkdir(parents=True)
    usage = scan(cache)
    everything = [(repo, revision) for repo in usage.repos for revision in repo.revisions]
    with FileLock(locks / f"{'a' * 64}.lock"):
        found = find_leftovers(usage, time.time() + 4000)
        assert sorted(one.size for one in found) == [0, 800, 900]
        chosen = plan(usage, everything, Rules(old_revisions=True), lambda *_: "", now=time.time(), leftovers=found)
        done, busy = carry_out(chosen, cache, "HF_HUB_CACHE")
        assert not done and set(busy) == {"org/model"}, "another program fetches there"
    assert [path.name[:1] for path in blobs.glob("*") if path.name[1] == path.name[0]] == ["a"]
    assert not (cache / "models--org--void").exists()
    assert names_of(cache) == {"org/model:", "org/model:main", "org/stale:main"}
    assert_sound(cache)


_KILLED = """
import os, signal, sys
sys.dont_write_bytecode = True  # else bytecode that is written at the first run counts as steps of the command
count, limit = 0, int(sys.argv[1])
def hook(event, arguments):
    global count
    if event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir"):
        count += 1
        if count == limit:
            os.kill(os.getpid(), signal.SIGKILL)
from launcher.cli.app import main
sys.addaudithook(hook)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("names", [("org/model@{old}",), ("org/stale",)], ids=["a revision", "the last revision"])
def test_killed_at_every_step(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Killed before each single change of the disk in turn; the next run finishes what was begun."""
    for limit in range(1, 60):
        data = tmp_path / str(limit)
        cache = data / "cache" / "huggingface" / "hub"
        old = add_revision(cache, "org/model", {"shared.bin": SHARED, "sub/a.bin": OLD}, ref="v1")
        add_revision(cache, "org/model", {"shared.bin": SHARED, "sub/a.bin": NEW})
        add_revision(cache, "org/stale", {"x.bin": OTHER})
        for record in ("trees", ".receipts"):
            (cache / "models--org--model" / record).mkdir()
            (cache / "models--org--model" / record / f"{old}.json").write_text("{}")
        arguments = ["--data-dir", str(data), "cache", "prune", "--yes"]
        named = [name.format(old=old) for name in names]
        code = subprocess.run(
            [sys.executable, "-c", _KILLED, str(limit), *arguments, *named],
            env=environment(),
            cwd=data,
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode
        assert code in (0, -signal.SIGKILL)
        assert_sound(cache)
        assert "org/model:main" in names_of(cache)
        if code == 0:
            assert limit > 5, "the kills did not happen"
            return
        begun = {"org/model:v1", "org/model:"} if names != ("org/stale",) else {"org/stale:main"}
        if begun & names_of(cache):
            assert main([*arguments, *named]) == 0
        assert main([*arguments, "--leftovers"]) == 0
        assert_sound(cache)
        left = tree_of(cache) | {path.name for path in (cache / ".locks").glob(".removed*")}
        assert not [one for one in left if ".removed" in one]
        wanted = {"org/model:main", "org/stale:main"} if names != ("org/stale",) else {"org/model:main", "org/model:v1"}
        assert names_of(cache) == wanted
        blobs = {path.name for path in cache.glob("models--*/blobs/*")}
        gone = blob_name(OLD) if names != ("org/stale",) else blob_name(OTHER)
        assert gone not in blobs
    pytest.fail("it never came to its end")


def test_the_library_is_content_after_prune(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "m.bin": GeneratedFile(300_000, 1)}
    first = Repo(files)
    second = Repo({**files, "config.json": b'{"b": 1}'}, previous=first)
    cache = tmp_path / "cache" / "huggingface" / "hub"
    with HubServer({"org/model": first}) as hub:
        fetch(cache, hub, "org/model")
        hub.set_repos({"org/model": second})
        assert launch(tmp_path, "fetch", "--update", "org/model", LAUNCHER_MIRRORS=hub.url).returncode == 0
        assert len(scan(cache).repos[0].revisions) == 2
        assert launch(tmp_path, "cache", "prune", "--yes").returncode == 0
        assert [one.commit for one in scan(cache).repos[0].revisions] == [second.commit]
        assert library_complaints(cache) == []
        done = hf("cache", "verify", "org/model", "--fail-on-missing-files", cache=cache, endpoint=hub.url)
        assert done.returncode == 0, done.stdout + done.stderr
        hub.forget()
        assert launch(tmp_path, "fetch", "org/model", LAUNCHER_MIRRORS=hub.url).returncode == 0
        assert hub.seen() == []
        assert hf("cache", "ls", cache=cache).returncode == 0
