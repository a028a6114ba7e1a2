"""Caches to test with, made by real fetches, and what to look for in them afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.hub.endpoints import Endpoint
from launcher.hub.fetch import Fetcher
from launcher.hub.wanted import Wanted
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

ROOT = Path(__file__).parents[2]
NAME = "org/model"
FOLDER = "models--org--model"
OLDER_FILES: dict[str, Content] = {"config.json": b'{"a": 1}', "sub/model.bin": GeneratedFile(3_000_000, 5)}
OLDER = Repo(OLDER_FILES)
REPO = Repo({**OLDER_FILES, "config.json": b'{"a": 2}', "voices/a.bin": GeneratedFile(300_000, 6)}, previous=OLDER)
OTHER = Repo({"weights.safetensors": GeneratedFile(2_000_000, 7), "README.md": b"# other"})


def fill(hub_cache: Path) -> None:
    """Two repositories, one of them at two commits."""
    with HubServer({NAME: OLDER, "org/other": OTHER}) as hub:
        fetch(hub_cache, hub)
        fetch(hub_cache, hub, "org/other")
        hub.set_repos({NAME: REPO})
        fetch(hub_cache, hub, update=True)


def fetch(hub_cache: Path, hub: HubServer, name: str = NAME, *, update: bool = False) -> None:
    Fetcher(hub_cache, [Endpoint(hub.url)], {}).fetch(Wanted(name), update=update)


def contents(*folders: Path) -> set[str]:
    """sha256 of every file below the folders, links not followed."""
    found = set()
    for folder in folders:
        for parent, _folders, files in os.walk(folder):
            for name in files:
                path = Path(parent) / name
                if not path.is_symlink():
                    found.add(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def weights() -> set[str]:
    """sha256 of all that `fill` fetched."""
    return {file.sha256 for repo in (OLDER, REPO, OTHER) for file in repo.files.values()}


def is_whole(hub_cache: Path) -> bool:
    """Whether all that `fill` fetched is there under its names, with its bytes."""
    for repo, folder in ((OLDER, FOLDER), (REPO, FOLDER), (OTHER, "models--org--other")):
        for path, file in repo.files.items():
            place = hub_cache / folder / "snapshots" / repo.commit / path
            if not place.is_file() or hashlib.sha256(place.read_bytes()).hexdigest() != file.sha256:
                return False
    refs = hub_cache / FOLDER / "refs" / "main"
    return refs.is_file() and refs.read_text() == REPO.commit


def flaws(hub_cache: Path) -> list[str]:
    """What huggingface_hub finds wrong with a cache."""
    from huggingface_hub import scan_cache_dir

    return [str(warning) for warning in scan_cache_dir(hub_cache).warnings] if hub_cache.is_dir() else []


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    names = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCHER_", "HF_", "XDG_"))}
    return {**names, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1", **(extra or {})}


def launcher(*argv: object, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[int, Any, str]:
    """A command in a process of its own; its exit code, JSON and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *map(str, argv), "--json"],
        env=environment(environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def hf_is_clean(hub_cache: Path, *servers: HubServer, names: tuple[str, ...] = (NAME,)) -> None:
    """``hf cache ls`` and, with a hub, ``hf cache verify`` find nothing wrong."""
    hf = str(Path(sys.executable).with_name("hf"))
    environ = environment({"HF_ENDPOINT": servers[0].url} if servers else {"HF_HUB_OFFLINE": "1"})
    commands = [["ls"], *(["verify", name] for name in names if servers)]
    for command in commands:
        done = subprocess.run(
            [hf, "cache", *command, "--cache-dir", str(hub_cache)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "orrupt" not in said and "arning" not in said, said
