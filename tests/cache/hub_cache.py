"""Hugging Face caches made up for tests, damage at will, and the library's own opinion about the result.

Invariant: blobs are named by their real digests, so that every check is a real one.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher, Wanted
from tests.servers.hub import HubServer

ROOT = Path(__file__).parents[2]
#: Files from this size on are named by their sha256, as the Hub's large ones are.
LARGE_FROM_BYTES = 1000


def noise(size: int, seed: int) -> bytes:
    """Bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(size)


def blob_name(data: bytes) -> str:
    """What the Hub names a content with."""
    if len(data) >= LARGE_FROM_BYTES:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def add_revision(
    cache: Path,
    repo: str,
    files: Mapping[str, bytes],
    *,
    ref: str = "main",
    age_days: float = 0.0,
    links: bool = True,
    kind: str = "models",
) -> str:
    """Writes a revision as the library would; returns its commit, which derives from its content."""
    folder = cache / f"{kind}--{repo.replace('/', '--')}"
    listing = "".join(f"{path}{blob_name(data)}" for path, data in sorted(files.items()))
    commit = hashlib.sha1(f"{repo}{listing}".encode()).hexdigest()
    for path, data in files.items():
        name = folder / "snapshots" / commit / path
        name.parent.mkdir(parents=True, exist_ok=True)
        blob = folder / "blobs" / blob_name(data) if links else name
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.write_bytes(data)
            then = time.time() - age_days * 86_400
            os.utime(blob, (then, then))
        if links and not name.is_symlink():
            name.symlink_to(os.path.relpath(blob, name.parent))
    if ref:
        place = folder / "refs" / ref
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(commit)
    return commit


def fetch(cache: Path, hub: HubServer, repo: str) -> Path:
    """Fetches a repository as the launcher does; returns its snapshot."""
    return Fetcher(cache, [Endpoint(hub.url)], {}).fetch(Wanted(repo)).state.snapshot


def flip(path: Path, place: int) -> None:
    """Damages one byte and leaves the size."""
    with path.open("r+b") as file:
        file.seek(place)
        old = file.read(1)
        file.seek(place)
        file.write(bytes([old[0] ^ 1]))


def command_line(data_dir: Path, *arguments: str) -> list[str]:
    """How `launcher` is started on a data folder."""
    return [sys.executable, "-m", "launcher", "--data-dir", str(data_dir), *arguments]


def environment(**names: str) -> dict[str, str]:
    """The environment of a command."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **names}


def launch(data_dir: Path, *arguments: str, **names: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the launcher to its end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        command_line(data_dir, *arguments),
        env=environment(**names),
        cwd=data_dir,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def library_complaints(cache: Path) -> list[str]:
    """What the library's scan of a cache has to complain about; what ``hf cache ls`` shows comes from it."""
    from huggingface_hub import scan_cache_dir

    return [str(one) for one in scan_cache_dir(cache).warnings]


def hf(*arguments: str, cache: Path, endpoint: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the library's own command line."""
    names = {"HF_HUB_CACHE": str(cache), **({"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"})}
    return subprocess.run(
        [str(Path(sys.executable).with_name("hf")), *arguments],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def safetensors(size: int) -> bytes:
    """A safetensors file with one tensor of ``size`` bytes."""
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + noise(size, 1)
