"""The work behind the System tab's buttons, against a hub of our own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.errand import run
from launcher.config import Config, load
from launcher.errors import ConfigError, LauncherError
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

NAME = "org/model"
FILES: dict[str, Content] = {"config.json": b"{}", "model.bin": GeneratedFile(400_000, seed=5)}


def settings(folder: Path, url: str) -> Config:
    return load({"LAUNCHER_DATA_DIR": str(folder), "HF_ENDPOINT": url}, None, {})


def test_fetch_verify_and_look(tmp_path: Path) -> None:
    with HubServer({NAME: Repo(FILES)}) as hub:
        config, said = settings(tmp_path, hub.url), io.StringIO()
        fetched = run(config, "fetch", NAME, said)
        again = run(config, "fetch", NAME, io.StringIO())
    assert fetched["files"] == 2 and sum(fetched["hosts"].values()) >= 400_000
    assert any("progress" in json.loads(line) for line in said.getvalue().splitlines() if line.startswith("{"))
    assert again["files"] == 0
    right = run(config, "verify", "", io.StringIO())
    assert right["ok"] and right["checked_files"] == 2
    blob = max((tmp_path / "cache" / "huggingface" / "hub").rglob("blobs/*"), key=lambda path: path.stat().st_size)
    blob.chmod(0o644)
    with blob.open("r+b") as stream:
        stream.write(b"damage")
    damaged = run(config, "verify", NAME, io.StringIO())
    assert not damaged["ok"] and damaged["findings"][0]["path"] == "model.bin"
    seen = run(config, "look", "", io.StringIO())
    assert [one["name"] for one in seen["repos"]] == [NAME] and len(seen["models"]) > 3
    assert [one["url"] for one in seen["mirrors"]] == [hub.url]
    with pytest.raises(LauncherError, match="no model"):
        run(config, "fetch", "nothing-like-this", io.StringIO())
    with pytest.raises(ConfigError):
        run(config, "dance", "", io.StringIO())


def test_as_a_process_it_speaks_json_and_ends_with_its_input(tmp_path: Path) -> None:
    config = settings(tmp_path, "http://127.0.0.1:9")
    for kind, model, key in (("verify", "", "result"), ("fetch", NAME, "error")):
        asked = json.dumps({"config": config.to_json(), "kind": kind, "model": model}).encode() + b"\n"
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher.cli.errand"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(asked)
        process.stdin.flush()
        lines = [json.loads(line) for line in process.stdout if line.startswith(b"{")]
        process.stdin.close()
        process.stdout.close()
        assert key in lines[-1] and process.wait(60) == (0 if key == "result" else 10)
