"""``self-check``: what an update left to be done is said, told once, and asks no network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher import __version__
from launcher.cache.layout import instance_paths
from launcher.config import load
from launcher.config.keys import KEYS_BY_NAME
from launcher.doctor.finding import Ground
from launcher.doctor.update import CHECKS, check_catalog, check_version, note_seen, out_of_date, read_seen
from launcher.engines.environments import STAMP, engine_dir, interpreter_in
from launcher.hub.catalog import lookup
from launcher.hub.remote_files import folder_name
from launcher.process.runfile import RunFile, RunRecord
from tests.doctor.test_command import ROOT, doctor


def self_check(cwd: Path, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and findings by name, from a process that cannot reach a network."""
    isolated = ("unshare", "--net", "--") if can_isolate() else ()
    done = subprocess.run(
        [*isolated, sys.executable, "-m", "launcher", "self-check", "--json"],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(cwd / "data"), **environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def can_isolate() -> bool:
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


def ground_of(folder: Path) -> Ground:
    config = load({"LAUNCHER_DATA_DIR": str(folder), "HF_HUB_CACHE": str(folder / "hub")}, None, {})
    return Ground(config, False, (), ROOT)


def test_new_settings_are_told_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    note_seen(data)
    noted = json.loads((data / "seen.json").read_text())
    noted["keys"] = [name for name in noted["keys"] if name != "LAUNCHER_LOG_DAYS"] + ["LAUNCHER_OLD_NAME"]
    noted["version"] = "0.0.9"
    (data / "seen.json").write_text(json.dumps(noted))
    _, found = self_check(tmp_path)
    assert list(found) == ["Settings", *CHECKS]
    assert found["New settings"]["detail"] == "new: LAUNCHER_LOG_DAYS; gone: LAUNCHER_OLD_NAME"
    assert found["Version"]["detail"] == f"{__version__}, 0.0.9 when you last looked"
    _, found = self_check(tmp_path)
    assert found["New settings"]["detail"] == "none since you last looked"


def test_a_setting_that_is_gone_is_named_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LAUNCHER_LOG_FILE_COUNT=5\n")
    code, found = self_check(tmp_path)
    assert code == 2
    assert "LAUNCHER_LOG_FILE_COUNT" in found["Settings"]["detail"]
    assert "LAUNCHER_LOG_FILES" in found["Settings"]["fix"] + found["Settings"]["detail"]
    # The same sentence as everywhere else.
    assert found["Settings"]["detail"] in doctor("--json", "--offline", cwd=tmp_path).stdout


def test_an_environment_of_an_older_lock_is_named(tmp_path: Path) -> None:
    ground = ground_of(tmp_path)
    folder = engine_dir(ground.config, "indextts2.5")
    python = interpreter_in(folder / "env-1")
    python.parent.mkdir(parents=True)
    python.touch()
    stamp = {"folder": "env-1", "python_version": "3.11", "versions": {}, "build": "cpu", "lock_digest": "old"}
    (folder / STAMP).write_text(json.dumps({**stamp, "checked": True, "installed_at": 1.0}))
    finding = CHECKS["Engines"](ground)
    assert (finding.state, finding.fix) == ("warning", "Run: tts-launcher engine install indextts2.5")
    assert out_of_date(ground.config, ROOT) == ["the environment of indextts2.5"]


def test_weights_of_an_older_catalog_are_named(tmp_path: Path) -> None:
    ground = ground_of(tmp_path)
    assert check_catalog(ground).state == "ok", "nothing is here"
    part = lookup("indextts-2").parts[0]
    snapshots = tmp_path / "hub" / folder_name(part.repo) / "snapshots"
    (snapshots / ("0" * 40)).mkdir(parents=True)
    finding = check_catalog(ground)
    assert (finding.state, finding.fix) == ("warning", "Run: tts-launcher fetch indextts-2")
    (snapshots / part.revision).mkdir()
    assert check_catalog(ground).state == "ok"


def test_an_instance_that_runs_the_old_code_is_named(tmp_path: Path) -> None:
    ground = ground_of(tmp_path)
    paths = instance_paths(ground.config)
    paths.root.mkdir(parents=True)
    run_file = RunFile(paths.run_file, paths.lock_file)
    with run_file.lock():
        run_file.write(replace(RunRecord("default", "m", 1, 1.0), version="0.0.9"))
        finding = check_version(ground)
        assert (finding.state, finding.fix) == ("warning", "Run: tts-launcher start --replace")
        assert "still runs 0.0.9" in finding.detail
    assert check_version(ground).state == "ok"


def test_a_damaged_note_is_no_note(tmp_path: Path) -> None:
    for text in ("", "[]", "5", '{"version": 1}'):
        (tmp_path / "seen.json").write_text(text)
        assert read_seen(tmp_path) is None
    note_seen(tmp_path)
    seen = read_seen(tmp_path)
    assert seen is not None and seen.keys == set(KEYS_BY_NAME)
