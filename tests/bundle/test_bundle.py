"""From a cache to a file to a machine without a network: complete, verified, unharmed by damage and by kill -9."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.bundle.install import Installer, open_bundle
from launcher.bundle.manifest import File, Manifest, decode
from launcher.bundle.tar import BadBundle, Member, header, padding, read_member
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

ROOT = Path(__file__).parents[2]
NAME = "org/model"
#: Two paths with one content, small and large files, a folder.
FILES: dict[str, Content] = {
    "config.json": b"{}",
    "a/model.bin": GeneratedFile(3_000_000, seed=2),
    "b/same.bin": GeneratedFile(3_000_000, seed=2),
    "c.bin": GeneratedFile(700_000, seed=3),
}
REPO = Repo(FILES)
HUB = "cache/huggingface/hub"


def environment(data: Path, **more: str) -> dict[str, str]:
    base = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**base, "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(data), "PYTHONUTF8": "1", **more}


def run(*arguments: str, data: Path, prefix: tuple[str, ...] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "launcher", *arguments],
        cwd=data.parent,
        env=environment(data, **environ),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("source")
    data = folder / "data"
    with HubServer({NAME: REPO}) as hub:
        assert run("fetch", NAME, data=data, HF_ENDPOINT=hub.url).returncode == 0
    (data / "voices").mkdir()
    (data / "voices" / "mia.wav").write_bytes(b"RIFF" * 100)
    environ = {"LAUNCHER_TOKEN": "a-secret-of-many-letters", "LAUNCHER_THREADS": "3", "LAUNCHER_ENGINE_PYTHON": "/x"}
    done = run("bundle", "make", NAME, "-o", "model.bundle", "--no-wheels", "--json", data=data, **environ)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    path = folder / "model.bundle"
    assert made["size_bytes"] == path.stat().st_size and made["digest"] == open_bundle(path).digest
    yield path


def check_installed(data: Path) -> None:
    snapshot = data / HUB / "models--org--model" / "snapshots" / REPO.commit
    for path, content in FILES.items():
        expected = content if isinstance(content, bytes) else content.read(0, 10**8)  # type: ignore[union-attr]
        assert (snapshot / path).read_bytes() == expected
    assert not (snapshot.parents[1] / ".partial").exists()
    assert (data / "voices" / "mia.wav").read_bytes() == b"RIFF" * 100
    assert [one.name for one in (data / "bundles").iterdir() if one.name.startswith(".")] == []


def test_a_machine_without_any_network(bundle: Path, tmp_path: Path) -> None:
    """In a network namespace without an interface where there are such; every socket is counted in any case."""
    counter = tmp_path / "site"
    counter.mkdir()
    (counter / "sitecustomize.py").write_text(
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.bind', 'socket.sendto', 'socket.__new__'):\n"
        f"        open({str(tmp_path / 'sockets')!r}, 'a').write(event + '\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    prefix = ("unshare", "--user", "--map-root-user", "--net")
    alone = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if not alone or alone.returncode:
        prefix = ()
    data = tmp_path / "data"
    environ = {"PYTHONPATH": f"{counter}{os.pathsep}{ROOT}"}
    done = run("bundle", "install", str(bundle), "--json", data=data, prefix=prefix, **environ)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "sockets").exists(), (tmp_path / "sockets").read_text()
    check_installed(data)
    # Whoever needs the model finds it complete, without asking anybody.
    offline = run("fetch", NAME, "--offline", "--json", data=data, prefix=prefix, **environ)
    assert offline.returncode == 0 and not (tmp_path / "sockets").exists()
    assert run("audit", NAME, data=data).returncode == 0, "and knows where it came from"

    again = json.loads(run("bundle", "install", str(bundle), "--json", data=data).stdout)
    assert again["copied_bytes"] == 0
    settings = (Path(again["folder"]) / "settings.env").read_text()
    assert "LAUNCHER_THREADS=3" in settings and "LAUNCHER_OFFLINE=yes" in settings
    assert "secret" not in settings and "ENGINE_PYTHON" not in settings, "no secret and no path travels"


def test_hugging_face_takes_it_for_its_own(bundle: Path, tmp_path: Path) -> None:
    assert run("bundle", "install", str(bundle), data=tmp_path / "data").returncode == 0
    script = (
        "import sys; from huggingface_hub import scan_cache_dir, snapshot_download as get\n"
        "found = scan_cache_dir(sys.argv[1]); assert not found.warnings, found.warnings\n"
        "print(get('org/model', cache_dir=sys.argv[1], local_files_only=True))"
    )
    hub = str(tmp_path / "data" / HUB)
    done = subprocess.run(
        [sys.executable, "-c", script, hub], capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert done.returncode == 0 and done.stdout.strip().endswith(REPO.commit), done.stderr


def test_every_tar_program_can_read_it(bundle: Path) -> None:
    with tarfile.open(bundle) as archive:
        names = archive.getnames()
        assert names[0] == "manifest.json" and all(member.isreg() for member in archive.getmembers())
        content = archive.extractfile(f"models/org--model/{REPO.commit}/config.json")
        assert content is not None and content.read() == b"{}"


def test_killed_at_any_moment_it_goes_on(bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    snapshots = data / HUB / "models--org--model" / "snapshots" / REPO.commit
    chance = random.Random(7)
    killed = 0
    for _ in range(6):
        command = [sys.executable, "-m", "launcher", "bundle", "install", str(bundle)]
        process = subprocess.Popen(
            command, env=environment(data), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        # From the first byte on, at random moments; before that there is nothing to disturb.
        while not data.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for path, content in FILES.items():
            if (snapshots / path).exists():
                size = len(content) if isinstance(content, bytes) else content.size  # type: ignore[union-attr]
                assert (snapshots / path).stat().st_size == size, "what is visible is whole"
    assert killed
    done = run("bundle", "install", str(bundle), data=data)
    assert done.returncode == 0, done.stderr
    check_installed(data)


def test_what_was_copied_is_not_copied_again(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    cache, data = tmp_path / "hub", tmp_path / "data"

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 3_000_000:
            raise EnoughError

    with pytest.raises(EnoughError):
        Installer(opened, cache, data, stop).install()
    assert not list(cache.rglob("snapshots")), "nothing is visible before all is verified"
    staged = next(cache.rglob("bundle-*"))
    # Half of another file as well, and a rotten one, which is noticed and copied anew.
    large = f"models/org--model/{REPO.commit}/c.bin"
    part = staged.with_name(f"bundle-{opened.manifest.files[large].sha256}.part")
    part.write_bytes(b"x" * 1000)
    placed = Installer(opened, cache, data, lambda done, total: None).install()
    assert placed.copied_bytes < 3_000_000
    assert (placed.snapshots[NAME] / "c.bin").stat().st_size == 700_000
    assert (placed.snapshots[NAME] / "c.bin").read_bytes() == FILES["c.bin"].read(0, 10**7)  # type: ignore[union-attr]


@pytest.mark.parametrize("place", [0.1, 0.3, 0.95])
def test_a_damaged_bundle_changes_nothing(bundle: Path, tmp_path: Path, place: float) -> None:
    damaged = bytearray(bundle.read_bytes())
    # Beyond the manifest, inside of content that is there once.
    spot = open_bundle(bundle).begin + 512 + int((len(damaged) - 20_000) * place)
    damaged[spot] ^= 1
    path = tmp_path / "damaged.bundle"
    path.write_bytes(damaged)
    done = run("bundle", "install", str(path), data=tmp_path / "data")
    assert done.returncode == 5 and "damaged" in done.stderr
    assert not list((tmp_path / "data").rglob("snapshots")) and not (tmp_path / "data" / "voices").exists()


def test_a_cut_or_foreign_file_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    for name, data in (("cut", bundle.read_bytes()[:-5000]), ("empty", b""), ("text", b"no bundle" * 200)):
        path = tmp_path / name
        path.write_bytes(data)
        done = run("bundle", "install", str(path), data=tmp_path / "data")
        assert done.returncode == 5 and done.stderr.count("Error:") == 1, done.stderr
    assert run("bundle", "install", str(tmp_path / "absent"), data=tmp_path / "data").returncode == 5
    assert run("bundle", "install", str(bundle), "--expect", "0" * 64, data=tmp_path / "data").returncode == 5
    assert not list((tmp_path / "data").rglob("snapshots"))


def test_a_cache_that_takes_no_locks_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    hub = tmp_path / "data" / "cache" / "huggingface" / "hub"
    hub.mkdir(parents=True)
    (hub / ".locks").write_text("")
    done = run("bundle", "install", str(bundle), data=tmp_path / "data")
    assert done.returncode == 5, done.stderr
    assert str(hub / ".locks") in done.stderr


def test_a_missing_or_rotten_file_makes_no_bundle(bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run("bundle", "make", NAME, "-o", "x.bundle", "--no-wheels", data=data)
    assert done.returncode == 10 and "fetch" in done.stderr
    assert run("bundle", "install", str(bundle), data=data).returncode == 0
    blob = next(path for path in (data / HUB).rglob("blobs/*") if path.stat().st_size == 700_000)
    rotten = bytearray(blob.read_bytes())
    rotten[5] ^= 1
    blob.write_bytes(rotten)
    done = run("bundle", "make", NAME, "-o", "x.bundle", "--no-wheels", data=data)
    assert done.returncode == 5 and "verify" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"], "and leaves nothing"


# A bundle that somebody made up


def made_up(path: Path, manifest: dict[str, Any], members: list[tuple[str, bytes]]) -> Path:
    stream = io.BytesIO()
    for name, data in [("manifest.json", json.dumps(manifest).encode()), *members]:
        stream.write(header(Member(name, len(data))) + data + bytes(padding(len(data))))
    stream.write(bytes(1024))
    path.write_bytes(stream.getvalue())
    return path


def plain(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(open_bundle(bundle).manifest.encode())
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../evil": [1, "0" * 64]}},
        {"files": {"/etc/evil": [1, "0" * 64]}},
        {"files": {"voices/../../evil": [1, "0" * 64]}},
        {"files": {"voices/x": [-1, "0" * 64]}},
        {"files": {"voices/x": [1, "short"]}},
        {"files": []},
        {"format": 99},
        {"models": [{"repo": "../../x"}]},
        {"environments": [{"name": "../x", "python": "3.11", "platform": "p", "stamp": {}}]},
    ],
)
def test_a_manifest_that_would_lead_elsewhere(bundle: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    path = made_up(tmp_path / "bad", {**plain(bundle), "models": [], **change}, [])
    with pytest.raises(BadBundle):
        open_bundle(path)


@pytest.mark.parametrize("field", ["repo", "revision", "commit", "paths", "tree"])
def test_a_model_that_would_lead_elsewhere(bundle: Path, field: str) -> None:
    data = plain(bundle)
    evil: dict[str, Any] = {
        "repo": "org/../../x",
        "revision": "../../../x",
        "commit": "../x",
        "paths": ["../x"],
        "tree": {"../x": [1, "0" * 40, None]},
    }
    data["models"][0][field] = evil[field]
    with pytest.raises(BadBundle):
        decode(json.dumps(data).encode())


def test_an_archive_with_more_or_other_files_than_listed(bundle: Path, tmp_path: Path) -> None:
    voice = {"voices/x": [1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]}  # of b"x"
    manifest = {**plain(bundle), "models": [], "files": voice}
    good = made_up(tmp_path / "good", manifest, [("voices/x", b"x")])
    Installer(open_bundle(good), tmp_path / "hub", tmp_path / "data", lambda done, total: None).install()
    assert (tmp_path / "data/voices/x").read_bytes() == b"x"
    for number, members in enumerate(
        ([("voices/x", b"x"), ("voices/y", b"y")], [("voices/y", b"x")], [("voices/x", b"xx")], [])
    ):
        bad = made_up(tmp_path / f"bad{number}", manifest, members)
        with pytest.raises(BadBundle):
            Installer(open_bundle(bad), tmp_path / "hub2", tmp_path / "data2", lambda done, total: None).install()
    assert not (tmp_path / "data2/voices").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("manifest.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    (tmp_path / "bad").write_bytes(stream.getvalue())
    with pytest.raises(BadBundle, match="no regular file"):
        open_bundle(tmp_path / "bad")


def test_sizes_and_names_at_the_limits_of_tar() -> None:
    for member in (Member("a", 0), Member("n" * 100, 8 << 30), Member(f"{'p' * 150}/{'n' * 90}", 123)):
        block = header(member)
        assert len(block) == 512 and read_member(io.BytesIO(block)) == member
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        assert (info.name, info.size, info.isreg()) == (member.name, member.size, True)
    with pytest.raises(ValueError, match="too long"):
        header(Member("n" * 101, 1))
    damaged = bytearray(header(Member("a", 5)))
    damaged[0] = ord("b")
    with pytest.raises(BadBundle):
        read_member(io.BytesIO(damaged))


def test_a_manifest_survives_the_journey(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert decode(manifest.encode()) == manifest
    more = replace(manifest, files={**manifest.files, "voices/更多.wav": File(3, "0" * 64)})
    assert decode(more.encode()).files == more.files and isinstance(more, Manifest)
