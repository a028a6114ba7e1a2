"""The test hub against the real library: what huggingface_hub downloads and verifies there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.hub import Content, Faults, GeneratedFile, HubServer, Repo
from tests.servers.repos import read_chunks

FILES: dict[str, Content] = {
    "config.json": b'{"hidden_size": 8}',
    "README.md": b"# A model\n",
    "weights/model.safetensors": GeneratedFile(3_000_000, seed=7),
    "weights/a b+c.bin": GeneratedFile(200_000, seed=8),
}
NAME = "org/model"


def hf(cache: Path, hub: HubServer, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """The library's own command, in a process of its own: it reads the environment at import."""
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environ |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "5"}
    if token:
        environ["HF_TOKEN"] = token
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def snapshot(cache: Path, repo: Repo) -> Path:
    return cache / "hub" / "models--org--model" / "snapshots" / repo.commit


def test_a_snapshot_is_downloaded_whole_and_verifies(tmp_path: Path) -> None:
    repo = Repo(FILES)
    with HubServer({NAME: repo}, origin_host="127.0.0.2") as hub:
        done = hf(tmp_path, hub, "download", NAME)
        assert done.returncode == 0, done.stderr
        for path, content in FILES.items():
            assert (snapshot(tmp_path, repo) / path).read_bytes() == b"".join(read_chunks(content, 0, 1 << 30))
        blobs = {path.name for path in (tmp_path / "hub" / "models--org--model" / "blobs").iterdir()}
        assert blobs == {file.etag for file in repo.files.values()}
        assert hub.count("GET", "/origin/") == 2
        assert hub.bytes_sent() >= repo.size

        verified = hf(tmp_path, hub, "cache", "verify", NAME)
        assert verified.returncode == 0, verified.stdout + verified.stderr


def test_verify_notices_what_the_listing_contradicts(tmp_path: Path) -> None:
    with HubServer({NAME: Repo(FILES)}) as hub:
        assert hf(tmp_path, hub, "download", NAME).returncode == 0
        hub.set_faults(Faults(wrong_digest=True))
        assert hf(tmp_path, hub, "cache", "verify", NAME).returncode != 0


def test_the_listing_comes_in_pages(tmp_path: Path) -> None:
    files = {f"part-{number:02}.txt": b"%d" % number for number in range(7)}
    repo = Repo(files)
    with HubServer({NAME: repo}, faults=Faults(page_size=3)) as hub:
        assert hf(tmp_path, hub, "download", NAME).returncode == 0
        assert hub.count("GET", "/tree/") == 3
    assert {path.name for path in snapshot(tmp_path, repo).iterdir()} == set(files)


@pytest.mark.parametrize("revision", ["main", "commit", "older"])
def test_a_revision_is_a_name_or_a_commit(tmp_path: Path, revision: str) -> None:
    older = Repo({"config.json": b"{}"})
    repo = Repo(FILES, previous=older)
    wanted = older if revision == "older" else repo
    with HubServer({NAME: repo}) as hub:
        asked = "main" if revision == "main" else wanted.commit
        assert hf(tmp_path, hub, "download", NAME, "--revision", asked).returncode == 0
    assert {path.name for path in snapshot(tmp_path, wanted).iterdir()} >= {"config.json"}


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with HubServer({NAME: Repo(FILES)}) as hub:
        assert "org/other" in hf(tmp_path, hub, "download", "org/other").stderr
        assert "Revision" in hf(tmp_path, hub, "download", NAME, "--revision", "v9").stderr
        assert "not found" in hf(tmp_path, hub, "download", NAME, "absent.bin").stderr.lower()


def test_a_token_opens_and_stays_off_the_origin(tmp_path: Path) -> None:
    with HubServer({NAME: Repo(FILES)}, token="hf_secret", origin_host="127.0.0.3") as hub:
        assert hf(tmp_path, hub, "download", NAME).returncode != 0
        hub.forget()
        assert hf(tmp_path, hub, "download", NAME, token="hf_secret").returncode == 0
        origin = [request for request in hub.seen() if request.path.startswith("/origin/")]
        assert origin and all("authorization" not in request.headers for request in origin)


def test_the_library_believes_a_flipped_byte(tmp_path: Path) -> None:
    """Why a verified fetch is needed; when this fails the library has learnt to check."""
    repo = Repo(FILES)
    path = "weights/model.safetensors"
    with HubServer({NAME: repo}, faults=Faults(path=path, flip_byte_at=1_500_000)) as hub:
        assert hf(tmp_path, hub, "download", NAME).returncode == 0
    assert (snapshot(tmp_path, repo) / path).resolve().name == repo.sha256(path)
    assert (snapshot(tmp_path, repo) / path).read_bytes() != GeneratedFile(3_000_000, seed=7).read(0, 3_000_000)
