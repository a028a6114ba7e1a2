"""``config``: every value with its source, every path, no secret."""

import json
import os
import subprocess
import sys
from pathlib import Path

from launcher.config.keys import KEYS

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"


def config(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    base = {**os.environ, "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(cwd / "data"), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-m", "launcher", "config", *arguments],
        cwd=cwd,
        env={**base, **(environ or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_people_see_every_setting_and_every_pinned_path(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LAUNCHER_THREADS=3\nTORCH_HOME=/models/torch\n")
    result = config(cwd=tmp_path)
    lines = {words[0]: words[1:] for words in map(str.split, result.stdout.splitlines()) if words}
    assert result.returncode == 0 and result.stderr == ""
    assert all(key.name in lines for key in KEYS)
    assert lines["LAUNCHER_THREADS"] == ["3", ".env"]
    assert lines["LAUNCHER_DATA_DIR"] == [*str(tmp_path / "data").split(), "environment"]
    assert lines["TORCH_HOME"] == ["/models/torch", "user"]
    assert lines["HF_HUB_CACHE"] == [*str(tmp_path / "data/cache/huggingface/hub").split(), "pinned"]
    assert lines["log_dir"] == str(tmp_path / "data/instances/default/logs").split()
    assert str(tmp_path / ".env") in result.stdout.splitlines()[0]


def test_programs_get_the_same_as_json(tmp_path: Path) -> None:
    data = json.loads(config("--json", cwd=tmp_path, environ={"TRANSFORMERS_CACHE": "/old"}).stdout)
    assert [item["name"] for item in data["settings"]] == [key.name for key in KEYS]
    assert {item["source"] for item in data["settings"]} == {"default", "environment"}
    assert all(item["description"] for item in data["settings"])
    assert {"name": "NLTK_DATA", "path": str(tmp_path / "data/cache/nltk"), "source": "pinned"} in data["caches"]
    assert data["paths"]["run_file"] == str(tmp_path / "data/instances/default/run.json")
    assert data["env_file"] is None and "TRANSFORMERS_CACHE" in data["warnings"][0]


def test_secrets_are_hidden_in_both(tmp_path: Path) -> None:
    environ = {"LAUNCHER_TOKEN": TOKEN, "HF_TOKEN": "hf_abcdef", "HTTPS_PROXY": "http://ada:lovelace@proxy:1"}
    for arguments in ((), ("--json",)):
        result = config(*arguments, cwd=tmp_path, environ=environ)
        assert result.returncode == 0
        assert "********" in result.stdout and "********@proxy:1" in result.stdout
        for secret in (TOKEN, "hf_abcdef", "lovelace"):
            assert secret not in result.stdout + result.stderr


def test_every_bad_value_is_an_error_line_of_its_own(tmp_path: Path) -> None:
    environ = {"LAUNCHER_PORT": "x", "LAUNCHER_DEVICE": "y", "LAUNCHER_PROT": "1"}
    result = config(cwd=tmp_path, environ=environ)
    assert result.returncode == 2 and result.stdout == ""
    assert [line.split()[1].split("=")[0] for line in result.stderr.splitlines()] == [
        "LAUNCHER_PROT",
        "LAUNCHER_PORT",
        "LAUNCHER_DEVICE",
    ]
    assert all(line.startswith("Error: ") for line in result.stderr.splitlines())


def test_a_warning_is_beside_the_answer(tmp_path: Path) -> None:
    result = config(cwd=tmp_path, environ={"TRANSFORMERS_CACHE": "/old"})
    assert result.returncode == 0 and result.stderr.startswith("Warning: TRANSFORMERS_CACHE")


def test_a_missing_settings_file_is_an_error(tmp_path: Path) -> None:
    result = config("--env-file", "nowhere.env", cwd=tmp_path)
    assert result.returncode == 2 and "nowhere.env does not exist" in result.stderr
