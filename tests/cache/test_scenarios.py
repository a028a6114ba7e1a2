"""The table of docs/caches.md: what happens to people, and how many bytes are downloaded then. One test for each row.

Bytes are those of contents that went from the hub into files. Where none are expected the hub must have sent none, and
where even that would be too much, it must not have been asked at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cache.caches import NAME, OLDER, OTHER, REPO, ROOT, contents, environment, hf_is_clean, launcher
from tests.servers.hub import HubServer, Repo


class Machine:
    """A hub, and commands that use it."""

    def __init__(self, root: Path, hub: HubServer) -> None:
        self.root, self.hub = root, hub
        self.data = root / "data"
        self.cache = self.data / "cache" / "huggingface" / "hub"

    def run(self, *argv: object, data: Path | None = None, **environ: str) -> Any:
        names = {"HF_ENDPOINT": self.hub.url, **environ}
        code, answer, error = launcher(*argv, "--data-dir", data or self.data, environ=names, cwd=self.root)
        assert code == 0, error or answer
        return answer

    def fetch(self, *names: str, data: Path | None = None, **environ: str) -> int:
        """Fetches; returns the bytes of contents that came from the hub."""
        self.hub.forget()
        return self.checked(self.run("fetch", *(names or (NAME,)), data=data, **environ))

    def checked(self, *answers: Any) -> int:
        """Bytes in files, as commands answered; the hub's own count must not contradict them."""
        moved = sum(sum(repo["hosts"].values()) for answer in answers for repo in answer["repos"])
        # What a connection gives up at the end of a file may have left the hub already, therefore not equal.
        sent = sum(request.bytes_sent for request in self.hub.seen() if request.scope == "body")
        assert sent >= moved and bool(sent) == bool(moved)
        return int(moved)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with HubServer({NAME: REPO, "org/other": OTHER}) as hub:
        yield Machine(tmp_path, hub)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """After the first start."""
    assert machine.fetch() == REPO.size
    machine.hub.forget()
    return machine


def test_first_start(machine: Machine) -> None:
    assert machine.fetch() == REPO.size


def test_container_restart(ready: Machine) -> None:
    home = ready.root / "new-home"
    home.mkdir()
    assert ready.fetch(HOME=str(home), HOSTNAME="another") == 0 and ready.hub.seen() == []


def test_another_instance_or_version(ready: Machine) -> None:
    assert ready.fetch(LAUNCHER_INSTANCE="v2") == 0 and ready.hub.seen() == []


def test_program_folder_deleted(ready: Machine) -> None:
    shutil.rmtree(ready.data / "instances", ignore_errors=True)
    clone = ready.root / "new-clone"
    clone.mkdir()
    for name in ("launcher", "webui"):
        (clone / name).symlink_to(ROOT / name)
    assert ready.fetch(PYTHONPATH=str(clone)) == 0 and ready.hub.seen() == []


def test_snapshot_deleted(ready: Machine) -> None:
    shutil.rmtree(ready.cache / "models--org--model" / "snapshots" / REPO.commit)
    assert ready.fetch() == 0


def test_one_file_deleted(ready: Machine) -> None:
    blob = ready.cache / "models--org--model" / "blobs" / REPO.sha256("voices/a.bin")
    blob.unlink()
    assert ready.fetch() == REPO.files["voices/a.bin"].size


def test_new_commit(machine: Machine) -> None:
    machine.hub.set_repos({NAME: OLDER})
    assert machine.fetch() == OLDER.size
    machine.hub.set_repos({NAME: REPO})
    fresh = REPO.size - REPO.files["sub/model.bin"].size
    assert machine.fetch(NAME, "--update") == fresh


def test_rollback(machine: Machine) -> None:
    machine.hub.set_repos({NAME: OLDER})
    machine.fetch()
    machine.hub.set_repos({NAME: REPO})
    machine.fetch(NAME, "--update")
    assert machine.fetch(f"{NAME}@{OLDER.commit}") == 0 and machine.hub.seen() == []


def test_two_versions_that_share_a_part(machine: Machine) -> None:
    second = Repo({"gpt.pth": b"2.5" * 50_000})
    machine.hub.set_repos({NAME: REPO, "org/other": OTHER, "org/second": second})
    assert machine.fetch(NAME, "org/other") == REPO.size + OTHER.size
    assert machine.fetch("org/second", "org/other") == second.size
    assert machine.fetch(NAME, "org/other") == 0 and machine.hub.seen() == [], "and back again"


def test_second_host_at_the_same_time(machine: Machine) -> None:
    """Two data folders, two processes, one cache on a common disk."""
    environ = environment({"HF_ENDPOINT": machine.hub.url, "HF_HUB_CACHE": str(machine.root / "nfs" / "hub")})
    commands = [
        [sys.executable, "-m", "launcher", "fetch", NAME, "--data-dir", str(machine.root / host), "--json"]
        for host in ("host-a", "host-b")
    ]
    running = [subprocess.Popen(one, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for one in commands]
    answers = []
    for process in running:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        answers.append(json.loads(out))
    assert machine.checked(*answers) == REPO.size


#: Fetches once elsewhere, because an interpreter may lie where the second user cannot read what is imported late.
SECOND_USER = """
import os, sys
from launcher.cli.app import main
data, elsewhere, cache, url, is_root, *names = sys.argv[1:]
os.environ.update(HF_HOME=f"{data}/warm", HF_ENDPOINT=elsewhere)
assert main(["fetch", "org/other", "--data-dir", f"{data}/warm-data", "--json"]) == 0
print("--")
if is_root == "1":
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
os.umask(0o077)
os.environ.update(HF_HOME=cache, HF_ENDPOINT=url)
sys.exit(main(["fetch", *names, "--data-dir", f"{data}/own", "--json"]))
"""


def test_another_user_of_a_group(machine: Machine) -> None:
    """Root gives its rights away for the second user; anybody else is that user already."""
    elsewhere = machine.hub
    with tempfile.TemporaryDirectory() as folder, HubServer({NAME: REPO, "org/other": OTHER}) as hub:
        Path(folder).chmod(0o755)  # pytest's own folders are closed to others
        machine = Machine(Path(folder), hub)
        cache, second = f"{folder}/models", Path(folder) / "second"
        assert machine.fetch(HF_HOME=cache) == REPO.size
        group, is_root = (65534, "1") if os.geteuid() == 0 else (os.getgid(), "0")
        done = machine.run("cache", "share", "--group", str(group), HF_HOME=cache)
        assert done["files"] >= 5 and done["foreign"] == 0
        second.mkdir()
        second.chmod(0o777)
        for name, expected in ((NAME, 0), ("org/other", OTHER.size)):
            hub.forget()
            ran = subprocess.run(
                [sys.executable, "-c", SECOND_USER, str(second), elsewhere.url, cache, hub.url, is_root, name],
                env=environment(),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr + ran.stdout
            assert machine.checked(json.loads(ran.stdout.partition("--\n")[2])) == expected, name
            shutil.rmtree(second / "warm")
        assert machine.fetch("org/other", HF_HOME=cache) == 0 and hub.seen() == [], (
            "what the second fetched is the first's"
        )
        blob = next((Path(cache) / "hub" / "models--org--other" / "blobs").iterdir())
        if done["has_acl"]:
            assert blob.stat().st_mode & 0o060 == 0o060 and blob.stat().st_gid == group


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every name below a folder with what tells a change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
    }


def test_read_only_base(ready: Machine) -> None:
    before, second = listing(ready.data), ready.root / "second"
    ready.run("cache", "overlay", ready.data, data=second)
    assert ready.fetch(data=second) == 0 and ready.hub.seen() == []
    assert ready.fetch("org/other", data=second) == OTHER.size, "what the base has not is private"
    newer = Repo({**{path: file.content for path, file in REPO.files.items()}, "config.json": b"{}"}, previous=REPO)
    ready.hub.set_repos({NAME: newer, "org/other": OTHER})
    assert ready.fetch(NAME, "--update", data=second) == 2
    hub = second / "cache" / "huggingface" / "hub"
    hf_is_clean(hub, ready.hub)
    assert listing(ready.data) == before, "the base was written"
    ready.run("cache", "overlay", ready.data, "--remove", data=second)
    hf_is_clean(hub)
    assert OTHER.sha256("weights.safetensors") in contents(hub) and listing(ready.data) == before


def test_damaged_base(ready: Machine) -> None:
    """A repair behind an overlay replaces the link; a prune removes links; the base stays as it is."""
    blob = ready.cache / "models--org--model" / "blobs" / REPO.sha256("voices/a.bin")
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    blob.write_bytes(data)
    second = ready.root / "second"
    ready.run("cache", "overlay", ready.data, data=second)
    before = listing(ready.data)
    ready.hub.forget()
    ready.run("cache", "repair", data=second)
    sent = sum(request.bytes_sent for request in ready.hub.seen() if request.scope == "body")
    assert REPO.files["voices/a.bin"].size <= sent < REPO.size
    hub = second / "cache" / "huggingface" / "hub"
    own = hub / "models--org--model" / "blobs" / blob.name
    assert hashlib.sha256(own.read_bytes()).hexdigest() == blob.name and not own.is_symlink()
    hf_is_clean(hub, ready.hub)
    ready.run("cache", "prune", NAME, "--yes", data=second)
    assert not (hub / "models--org--model" / "snapshots" / REPO.commit).exists()
    assert listing(ready.data) == before and blob.read_bytes() == bytes(data)


def test_base_gets_another_model(ready: Machine) -> None:
    second = ready.root / "second"
    ready.run("cache", "overlay", ready.data, data=second)
    assert ready.fetch("org/other") == OTHER.size
    assert ready.fetch("org/other", data=second) == 0 and ready.hub.seen() == []


def test_project_of_its_own(ready: Machine) -> None:
    assert ready.fetch(data=ready.root / "project") == REPO.size


def test_old_cache(ready: Machine) -> None:
    old = ready.root / "home" / ".cache" / "huggingface"
    shutil.copytree(ready.cache, old / "hub", symlinks=True)
    second = ready.root / "second"
    ready.run("cache", "migrate", old, "--yes", data=second)
    assert ready.fetch(data=second) == 0 and ready.hub.seen() == []


def test_archived_and_restored(ready: Machine) -> None:
    ready.run("cache", "archive", NAME, ready.root / "archive", "--yes")
    assert not (ready.cache / "models--org--model").exists()
    ready.run("cache", "restore", NAME)
    assert ready.fetch() == 0 and ready.hub.seen() == []
    hf_is_clean(ready.cache, ready.hub)


def test_archived_and_wanted_again(ready: Machine) -> None:
    ready.run("cache", "archive", NAME, ready.root / "archive", "--yes")
    assert ready.fetch() == 0 and ready.hub.seen() == []
    hf_is_clean(ready.cache, ready.hub)
    ready.run("cache", "archive", NAME, ready.root / "archive", "--yes")
    shutil.rmtree(ready.root / "archive")
    assert ready.fetch() == REPO.size, "an archive that has gone is no reason to fail"


def test_new_machine_from_a_backup(ready: Machine) -> None:
    ready.run("cache", "backup", ready.root / "backup")
    second = ready.root / "second"
    ready.run("cache", "restore", "--from", ready.root / "backup", data=second)
    assert ready.fetch(data=second) == 0 and ready.hub.seen() == []
    hf_is_clean(second / "cache" / "huggingface" / "hub", ready.hub)


@pytest.mark.parametrize("page", ["caches.md", "caches.zh.md"])
def test_the_table_has_a_row_for_each_test(page: str) -> None:
    rows = re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    own = [name for name in globals() if name.startswith("test_") and name != "test_the_table_has_a_row_for_each_test"]
    assert rows == own
