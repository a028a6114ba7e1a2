"""Every kind of damage is found, nothing else is, and the check leaves no trace."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.cache.shape import misshapen
from launcher.cache.usage import scan
from launcher.cache.verify import Expected, Report, Verifier
from launcher.progress import Progress
from tests.cache.hub_cache import add_revision, blob_name, fetch, flip, launch, noise, safetensors
from tests.servers.hub import HubServer, Repo

BIG, SMALL = noise(3_000_000, 1), b'{"a": 1}'


def archive() -> bytes:
    """A zip archive such as torch writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("model/data.pkl", noise(4000, 5))
    return stream.getvalue()


FILES = {
    "big.bin": BIG,
    "config.json": SMALL,
    "same.json": SMALL,
    "m.safetensors": safetensors(5000),
    "w.pth": archive(),
    "e.txt": b"",
}


def check(cache: Path, **options: object) -> Report:
    usage = scan(cache)
    revisions = [(repo, revision) for repo in usage.repos for revision in repo.revisions]
    return Verifier(lambda _repo, _revision: {}, **options).check(revisions, usage.repos)  # type: ignore[arg-type]


def test_a_whole_cache_is_whole(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", FILES)
    add_revision(tmp_path, "org/model", {**FILES, "big.bin": BIG[:-1]}, ref="")
    report = check(tmp_path)
    assert (report.findings, report.unjudged) == ((), ())
    # Shared contents are read once: six of the first revision, one more of the second.
    assert report.checked_files == 6
    assert report.checked_bytes == sum(map(len, {*FILES.values(), BIG[:-1]}))


def _blob(cache: Path, path: str) -> Path:
    return next(cache.glob(f"models--org--model/snapshots/*/{path}")).resolve()


def _cut(cache: Path) -> None:
    os.truncate(_blob(cache, "m.safetensors"), 4000)


def _empty(cache: Path) -> None:
    os.truncate(_blob(cache, "w.pth"), 0)


def _dangling(cache: Path) -> None:
    _blob(cache, "big.bin").unlink()


def _loop(cache: Path) -> None:
    name = next(cache.glob("models--org--model/snapshots/*/big.bin"))
    name.unlink()
    name.symlink_to("big.bin")


def _stray(cache: Path) -> None:
    (cache / "models--org--model" / "snapshots" / "notes.txt").write_text("x")


def _ref(cache: Path) -> None:
    (cache / "models--org--model" / "refs" / "v2").write_text("0" * 40)


DAMAGE: dict[str, tuple[Callable[[Path], None], list[tuple[str, str]]]] = {
    "a flipped bit": (lambda cache: flip(_blob(cache, "big.bin"), 2_000_000), [("content", "big.bin")]),
    "a flipped bit of a small one": (
        lambda cache: flip(_blob(cache, "config.json"), 1),
        [("content", "config.json"), ("content", "same.json")],
    ),
    "cut off": (_cut, [("shape", "m.safetensors")]),
    "empty": (_empty, [("empty", "w.pth")]),
    "no blob": (_dangling, [("link", "big.bin")]),
    "a link in a circle": (_loop, [("link", "big.bin")]),
    "a ref to nothing": (_ref, [("ref", "")]),
    "a stray file": (_stray, [("layout", "")]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(tmp_path: Path, name: str) -> None:
    add_revision(tmp_path, "org/model", FILES)
    damage, expected = DAMAGE[name]
    damage(tmp_path)
    assert [(one.kind, one.path) for one in check(tmp_path).findings] == expected
    quick = check(tmp_path, contents=False)
    assert quick.checked_bytes == 0
    assert bool(quick.findings) is ("flipped" not in name)


def test_without_links_only_shapes_and_what_is_known_can_tell(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", FILES, links=False)
    place = next(tmp_path.glob("models--org--model/snapshots/*"))
    flip(place / "big.bin", 7)
    report = check(tmp_path)
    assert report.findings == () and str(place / "big.bin") in report.unjudged
    os.truncate(place / "w.pth", len(archive()) - 30)
    assert [one.path for one in check(tmp_path).findings] == ["w.pth"]
    usage = scan(tmp_path)
    known = {"big.bin": Expected(len(BIG), blob_name(BIG), "", "its receipt")}
    verifier = Verifier(lambda _repo, _revision: known)
    report = verifier.check([(usage.repos[0], usage.repos[0].revisions[0])])
    assert [one.path for one in report.findings] == ["big.bin", "w.pth"]
    assert "as its receipt" not in report.findings[0].reason and "its receipt says" in report.findings[0].reason


def test_a_link_to_another_content_is_found(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", FILES)
    name = next(tmp_path.glob("models--org--model/snapshots/*/config.json"))
    name.unlink()
    name.symlink_to(f"../../blobs/{blob_name(b'')}")
    usage = scan(tmp_path)
    known = {"config.json": Expected(None, blob_name(SMALL), "", "the Hub")}
    report = Verifier(lambda _repo, _revision: known).check([(usage.repos[0], usage.repos[0].revisions[0])])
    assert [(one.kind, one.path) for one in report.findings] == [("link", "config.json")]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.safetensors", safetensors(100), ""),
        ("m.safetensors", safetensors(100)[:-1], "cut off: 171 of 172 bytes"),
        ("m.safetensors", safetensors(100) + b"x", "too long"),
        ("m.safetensors", safetensors(100)[:20], "cut off in its safetensors header"),
        ("m.safetensors", struct.pack("<Q", 300_000) + b"[" * 300_000, "header that cannot be read"),
        ("m.safetensors", struct.pack("<Q", 34) + b'{"a": {"data_offsets": [0, 1e999]}}', "header that cannot be read"),
        ("m.safetensors", b"\0" * 100, "no safetensors header"),
        ("m.safetensors", b"abc", "cut off"),
        ("m.safetensors", b"\x10" + b"\0" * 7 + b"x" * 100, "cannot be read"),
        ("w.pt", archive(), ""),
        ("w.pt", archive()[:-25], "directory is missing"),
        ("w.pt", archive()[5:], ""),  # may be an old pickle
        ("w.zip", archive()[5:], "no zip archive"),
        ("w.pth", b"\0" * 5000, "zeros"),
        ("w.bin", noise(5000, 2), ""),
        ("w.txt", b"", ""),
    ],
)
def test_shapes(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / "blob").write_bytes(data)
    found = misshapen(tmp_path / "blob", name)
    assert words in found and bool(found) is bool(words)


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="only Linux can read without noting it")
def test_a_check_is_no_use(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", FILES, age_days=100)
    before = scan(tmp_path).repos[0].used_at
    check(tmp_path)
    assert scan(tmp_path).repos[0].used_at == before


def test_progress_and_threads(tmp_path: Path) -> None:
    add_revision(tmp_path, "org/model", {f"{seed}.bin": noise(200_000 + seed, seed) for seed in range(20)})
    flip(_blob(tmp_path, "11.bin"), 5)
    told: list[Progress] = []
    reports = [check(tmp_path, threads=threads, progress=told.append) for threads in (1, 2, 8)]
    assert {report.findings for report in reports} == {reports[0].findings}
    assert [one.path for one in reports[0].findings] == ["11.bin"]
    assert all(one.stage == "verify" and one.done <= (one.total or 0) for one in told)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"org/model": Repo(FILES)}) as server:
        yield server


def test_the_command(tmp_path: Path, hub: HubServer) -> None:
    cache = tmp_path / "cache" / "huggingface" / "hub"
    snapshot = fetch(cache, hub, "org/model")
    names = {"LAUNCHER_MIRRORS": hub.url}
    hub.forget()
    done = launch(tmp_path, "cache", "verify", "--json", **names)
    assert (done.returncode, json.loads(done.stdout)["ok"], hub.seen()) == (0, True, [])
    assert json.loads(done.stdout)["leftovers"] == 0
    trash = cache / ".locks" / ".removed-models--org--gone.0" / "blobs"
    trash.mkdir(parents=True)
    (trash / "x").write_bytes(b"x" * 2000)
    done = launch(tmp_path, "cache", "verify", **names)
    assert done.returncode == 0 and "1 leftovers, 2.00 kB" in done.stderr
    assert launch(tmp_path, "cache", "verify", "--online", **names).returncode == 0
    assert hub.count() > 0 and not [one for one in hub.seen() if one.scope == "body"]
    (snapshot / "w.pth").unlink()
    flip((snapshot / "big.bin").resolve(), 1_500_000)
    done = launch(tmp_path, "cache", "verify", "--json", "org/model", **names)
    findings = {one["path"]: one["kind"] for one in json.loads(done.stdout)["findings"]}
    assert (done.returncode, findings) == (5, {"w.pth": "missing", "big.bin": "content"})
    done = launch(tmp_path, "cache", "verify", "--quick", **names)
    assert done.returncode == 5 and "w.pth is not there, and its receipt names it" in done.stdout
    done = launch(tmp_path, "cache", "verify", "no/such", **names)
    assert done.returncode == 2 and "no/such is not in" in done.stderr


def test_online_the_hub_has_the_last_word(tmp_path: Path, hub: HubServer) -> None:
    cache = tmp_path / "hub"
    folder = cache / "models--org--model"
    commit = Repo(FILES).commit
    # As an old tool without links and without any record would leave it.
    for path, data in FILES.items():
        place = folder / "snapshots" / commit / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    flip(folder / "snapshots" / commit / "big.bin", 9)
    names = {"LAUNCHER_MIRRORS": hub.url}
    assert launch(tmp_path, "cache", "verify", "--cache", str(tmp_path), **names).returncode == 0
    done = launch(tmp_path, "cache", "verify", "--online", "--cache", str(tmp_path), **names)
    assert done.returncode == 5 and "big.bin has other content than the Hub says" in done.stdout
    done = launch(tmp_path, "cache", "verify", "--online", "--cache", str(cache), LAUNCHER_OFFLINE="yes", **names)
    assert done.returncode == 2 and "--online needs the network" in done.stderr
    hub.set_repos({})
    done = launch(tmp_path, "cache", "verify", "--online", "--cache", str(cache), **names)
    assert done.returncode == 10 and "could not be compared" in done.stderr
    assert sys.platform == "win32" or not (cache / ".locks").exists(), "a check writes nothing"
