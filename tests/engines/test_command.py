"""``engine`` on the command line: what people and programs read, and the offer that ``start`` makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.engines.environments import engine_dir
from tests.engines.test_choice import House

ROOT = Path(__file__).resolve().parents[2]


def run(house: House, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(house.folder), **settings}
    command = [sys.executable, "-m", "launcher", *words]
    return subprocess.run(
        command, cwd=house.folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_ls_shows_what_is_there_and_what_a_start_takes(house: House) -> None:
    house.install("indextts2")
    done = run(house, "engine", "ls", "--json", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    shown = answer(done)
    engines = {one["name"]: one for one in shown["engines"]}
    assert set(engines) == {"indextts2", "indextts2.5", "kokoro"}
    assert engines["indextts2"]["installed"]["build"] == "cu128" and engines["indextts2"]["weights"] == "missing"
    assert engines["indextts2.5"]["installed"] is None and engines["indextts2.5"]["obstacle"] == "is not installed"
    assert shown["choice"]["name"] == "kokoro" and "indextts2 lacks its weights" in shown["choice"]["reason"]
    text = run(house, "engine", "ls").stdout
    assert "A start takes kokoro." in text and "indextts2.5" in text


def test_a_plan_changes_nothing(house: House) -> None:
    done = run(house, "engine", "install", "IndexTTS-2.5", "--cuda", "cu126", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = answer(done)["plan"]
    assert plan["engine"] == "indextts2.5" and plan["build"] == "cu126" and plan["size_bytes"] > 10**9
    assert plan["torch_index"] == "https://download.pytorch.org/whl/cu126"
    assert not engine_dir(house.config, "indextts2.5").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["install", "kokoro"], 2, "comes with the launcher"),
        (["install", "whisper"], 2, "indextts2 or indextts2.5"),
        (["install", "indextts2.5", "--python", "3.13"], 2, "3.10, 3.11"),
        (["install", "indextts2", "--cuda", "cu999"], 2, "cu999"),
        (["rm", "nothing"], 2, "indextts2"),
        (["unload"], 4, "is not running"),
        (["lod"], 2, "load"),
    ],
)
def test_mistakes_are_one_sentence(house: House, words: list[str], code: int, says: str) -> None:
    done = run(house, "engine", *words)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr


def test_rm_removes_and_says_how_much(house: House) -> None:
    python = house.install("indextts2")
    python.write_text("x" * 5000)
    done = run(house, "engine", "rm", "indextts2", "--json")
    assert answer(done)["removed_bytes"] >= 5000 and not engine_dir(house.config, "indextts2").exists()
    assert "was not installed" in run(house, "engine", "rm", "indextts2").stdout


def test_a_start_without_a_terminal_says_the_command(house: House) -> None:
    done = run(house, "start", "--engine", "indextts2", "--port", "auto", "--no-open")
    assert done.returncode == 6, done.stderr
    assert "tts-launcher engine install indextts2" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_start_at_a_terminal_offers_to_install(house: House) -> None:
    import pty

    environ = {**os.environ, "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(house.folder)}
    command = [sys.executable, "-m", "launcher", "start", "--engine", "indextts2", "--port", "auto", "--no-open"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=house.folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""
    try:
        while "[y/N]" not in said:
            said += os.read(ours, 4096).decode()
        os.write(ours, b"n\n")
        while True:
            said += os.read(ours, 4096).decode()
    except OSError:  # the terminal's other end is closed: it has ended
        pass
    finally:
        code = process.wait(60)
        os.close(ours)
    assert "Install it now (about" in said
    assert code == 6 and "engine install indextts2" in said
    assert not engine_dir(house.config, "indextts2").exists()
