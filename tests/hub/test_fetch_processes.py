"""Fetches as processes of their own: killed again and again, ten at once, beside the library, without a network."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.servers.hub import GeneratedFile, HubServer, Repo

NAME = "org/model"
ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, mirrors: list[str], *arguments: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCHER_", "HF_"))}
    environ |= {"LAUNCHER_MIRRORS": ",".join(mirrors), "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(tmp_path / "hub")}
    return subprocess.Popen(
        [sys.executable, "-m", "launcher", "fetch", *arguments, "--data-dir", str(tmp_path / "data"), "--json"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fetch(tmp_path: Path, mirrors: list[str], *arguments: str) -> tuple[int, dict[str, object], str]:
    process = start(tmp_path, mirrors, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out), err


def content(tmp_path: Path, path: str = "model.bin") -> str:
    (found,) = (tmp_path / "hub").glob(f"models--*/snapshots/*/{path}")
    return hashlib.sha256(found.read_bytes()).hexdigest()


def test_killed_ten_times_it_moves_hardly_more_than_the_file(tmp_path: Path) -> None:
    size = 400_000_000
    repo = Repo({"model.bin": GeneratedFile(size, 5)})
    chance = random.Random(11)
    with HubServer({NAME: repo}, throttle_bytes_per_s=3_000_000) as hub:
        for _ in range(10):
            process = start(tmp_path, [hub.url], NAME)
            before, deadline = hub.bytes_sent(), time.monotonic() + 60
            target = before + chance.randint(1_000_000, 35_000_000)
            while hub.bytes_sent() < target and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it could be killed"
            process.kill()
            process.communicate()
            assert not list((tmp_path / "hub").glob("models--*/blobs/*")), "a part has a final name"
        code, _, err = fetch(tmp_path, [hub.url], NAME)
        assert code == 0, err
        assert content(tmp_path) == repo.sha256("model.bin")
        assert hub.bytes_sent() <= 1.1 * size, f"{hub.bytes_sent() / size:.3f}"


def test_ten_processes_on_one_cache_make_one_download(tmp_path: Path) -> None:
    repo = Repo({"config.json": b"{}", "model.bin": GeneratedFile(30_000_000, 5)})
    with HubServer({NAME: repo}, throttle_bytes_per_s=4_000_000) as hub:
        processes = [start(tmp_path, [hub.url], NAME) for _ in range(10)]
        answers = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * 10, [err for _, err in answers]
        fetched = [json.loads(out)["repos"][0]["fetched"] for out, _ in answers]
        assert sorted(map(len, fetched)) == [0] * 9 + [2]
        bodies = sum(request.bytes_sent for request in hub.seen() if request.scope == "body")
        assert bodies < 1.1 * repo.size
        assert content(tmp_path) == repo.sha256("model.bin")


@pytest.mark.parametrize("library_first", [True, False])
def test_beside_the_real_library_one_download(tmp_path: Path, library_first: bool) -> None:
    repo = Repo({"model.bin": GeneratedFile(24_000_000, 5)})
    code = "from huggingface_hub import snapshot_download as s; s('org/model')"
    environ = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    with HubServer({NAME: repo}, throttle_bytes_per_s=6_000_000) as hub:
        environ["HF_ENDPOINT"] = hub.url
        library = subprocess.Popen([sys.executable, "-c", code], env=environ) if library_first else None
        ours = None if library_first else start(tmp_path, [hub.url], NAME)
        deadline = time.monotonic() + 60
        while hub.bytes_sent() < 500_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        library = library or subprocess.Popen([sys.executable, "-c", code], env=environ)
        ours = ours or start(tmp_path, [hub.url], NAME)
        assert library.wait(120) == 0
        _, err = ours.communicate(timeout=120)
        assert ours.returncode == 0, err
        bodies = sum(request.bytes_sent for request in hub.seen() if request.scope == "body")
        assert bodies < 1.1 * repo.size
        assert content(tmp_path) == repo.sha256("model.bin")


def test_offline_names_what_is_missing_and_asks_nobody(tmp_path: Path) -> None:
    repo = Repo({"config.json": b"{}", "model.bin": GeneratedFile(300_000, 5)})
    with HubServer({NAME: repo}) as hub:
        code, answer, _ = fetch(tmp_path, [hub.url], NAME, "--offline")
        assert code == 10 and NAME in str(answer["error"])
        assert fetch(tmp_path, [hub.url], f"{NAME}:config.json")[0] == 0
        hub.forget()
        code, answer, _ = fetch(tmp_path, [hub.url], NAME, "--offline")
        assert (
            code == 10 and "org/model/model.bin" in str(answer["error"]) and "config.json" not in str(answer["error"])
        )
        assert fetch(tmp_path, [hub.url], f"{NAME}:config.json", "--offline")[0] == 0
        assert hub.seen() == []


def test_a_dead_mirror_changes_nothing_once_all_is_there(tmp_path: Path) -> None:
    repo = Repo({"config.json": b"{}"})
    with HubServer({NAME: repo}) as hub:
        url = hub.url
        assert fetch(tmp_path, [url], NAME)[0] == 0
    code, answer, _ = fetch(tmp_path, [url], NAME, "--to-dir", str(tmp_path / "copy"))
    assert code == 0 and answer["repos"][0]["fetched"] == []  # type: ignore[index]
    assert (tmp_path / "copy" / "config.json").read_bytes() == b"{}"
    code, answer, _ = fetch(tmp_path, [url], "org/other")
    assert code == 10 and url in str(answer["error"])


def test_a_dry_run_shows_and_writes_nothing(tmp_path: Path) -> None:
    repo = Repo({"config.json": b"{}", "logs/train.log": b"x", "model.bin": GeneratedFile(300_000, 5)})
    with HubServer({NAME: repo}) as hub:
        code, answer, _ = fetch(tmp_path, [hub.url], NAME, "--dry-run")
        (plan,) = answer["repos"]  # type: ignore[misc]
        assert code == 0 and plan["missing_bytes"] == 300_002
        assert [one["path"] for one in plan["skipped"]] == ["logs/train.log"]
        assert not (tmp_path / "hub").exists()


def test_ctrl_c_ends_soon_and_keeps_what_is_there(tmp_path: Path) -> None:
    repo = Repo({"model.bin": GeneratedFile(50_000_000, 5)})
    with HubServer({NAME: repo}, throttle_bytes_per_s=1_000_000) as hub:
        process = start(tmp_path, [hub.url], NAME)
        while hub.bytes_sent() < 12_000_000 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(2)
        killer = threading.Timer(30, process.kill)
        killer.start()
        process.communicate()
        killer.cancel()
        assert process.returncode == 130
        (journal,) = (tmp_path / "hub").glob("models--*/.partial/*.journal")
        assert journal.read_bytes().count(b"\n") > 4


def test_models_knows_what_is_here(tmp_path: Path) -> None:
    repo = Repo({"examples/a.wav": b"a", "examples/cases.jsonl": b"b", "webui.py": b"c"})
    with HubServer({"spaces/IndexTeam/IndexTTS-2-Demo": repo}) as hub:
        code, _, err = fetch(tmp_path, [hub.url], "indextts-examples")
        assert code == 0, err
    environ = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "launcher", "models", "--data-dir", str(tmp_path / "data"), "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=True)
    models = {model["name"]: model for model in json.loads(done.stdout)["models"]}
    assert models["indextts-examples"]["state"] == "present"
    assert models["indextts-examples"]["repos"][0]["commit"] == repo.commit
    assert models["indextts-examples"]["present_bytes"] == 2
    assert models["indextts-2"]["state"] == "missing" and models["indextts-2"]["size_bytes"] > 7_000_000_000
    next(path for path in (tmp_path / "hub").glob("spaces--*/snapshots/*/examples/a.wav")).unlink()
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=True)
    models = {model["name"]: model for model in json.loads(done.stdout)["models"]}
    assert models["indextts-examples"]["state"] == "partial"
    assert models["indextts-examples"]["repos"][0]["missing"] == ["examples/a.wav"]


@pytest.mark.parametrize("lock", ["tts-launcher-fetch", "DIGEST"])
@pytest.mark.parametrize("shared", ["yes", "no"])
def test_a_lock_that_cannot_be_had_is_one_sentence(tmp_path: Path, lock: str, shared: str) -> None:
    """As where it is another user's, or the disk has no place for another file."""
    repo = Repo({"model.bin": GeneratedFile(100_000, 5)})
    name = lock.replace("DIGEST", repo.sha256("model.bin"))
    place = tmp_path / "hub" / ".locks" / "models--org--model" / f"{name}.lock"
    place.mkdir(parents=True)
    with HubServer({NAME: repo}) as hub:
        code, answer, _ = fetch(tmp_path, [hub.url], NAME, "--env-file", str(env_file(tmp_path, shared)))
    assert code == 5, answer
    assert str(place) in str(answer["error"])
    place.rmdir()
    with HubServer({NAME: repo}) as hub:
        assert fetch(tmp_path, [hub.url], NAME)[0] == 0
    assert content(tmp_path) == repo.sha256("model.bin")


def env_file(tmp_path: Path, shared: str) -> Path:
    path = tmp_path / "settings.env"
    path.write_text(f"LAUNCHER_SHARED_CACHE={shared}\n")
    return path
