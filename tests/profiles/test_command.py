"""``apps``: what is shown, written and checked, through the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.cli.app import main
from tests.profiles.test_profile import make_app


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCHER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LAUNCHER_PORT", "auto")
    monkeypatch.setenv("LAUNCHER_MIRRORS", "http://127.0.0.1:9")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["--json", "apps", *arguments])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_ls_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "apps"
    folder.mkdir(parents=True)
    (folder / "broken.toml").write_text("command = 1")
    code, shown = run(capsys, "ls")
    apps = {one["name"]: one for one in shown["apps"]}
    assert code == 0 and list(apps) == ["builtin", "index-tts", "heygem", "broken"]
    assert apps["builtin"]["chosen"] and "broken.toml: command" in apps["broken"]["error"]
    code, shown = run(capsys, "show", "index-tts")
    assert (code, shown["models"][0]["name"]) == (0, "indextts-2.5")
    assert main(["apps", "show", "heygem"]) == 0
    assert capsys.readouterr().out.startswith("# ")
    assert run(capsys, "show")[0] == 2
    assert run(capsys, "show", "nothing")[0] == 2


def test_init_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clone = make_app(tmp_path / "clone", "webui.py", "indextts/infer_v2_5.py")
    code, made = run(capsys, "init", str(clone))
    assert (code, made["name"]) == (0, "index-tts")
    assert run(capsys, "init", str(clone))[0] == 5
    code, found = run(capsys, "check", "index-tts")
    states = {line["key"]: line["state"] for line in found["checks"]}
    assert code == 2
    assert states == {
        **{"profile": "ok", "directory": "ok", "python": "failed", "models": "warning"},
        **{"writing": "ok", "port": "ok"},
    }
    path = Path(made["path"])
    python = json.dumps(sys.executable)
    text = path.read_text().replace("# python = ", f"python = {python}  # ", 1)
    path.write_text(text.replace('imports = ["gradio", ', 'imports = ["json", "no_such_module", '))
    code, found = run(capsys, "check", "index-tts")
    lines = {line["key"]: line for line in found["checks"]}
    assert lines["python"]["state"] == lines["command"]["state"] == "ok"
    assert lines["imports"]["state"] == "failed" and "no_such_module" in lines["imports"]["detail"]
    assert "json" not in lines["imports"]["detail"]
    (clone / "webui.py").unlink()
    code, found = run(capsys, "check", "index-tts")
    lines = {line["key"]: line for line in found["checks"]}
    assert lines["command"]["state"] == "failed" and lines["directory"]["state"] == "warning"


def test_check_takes_the_current_folder_when_it_is_surely_the_apps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no folder yet" in json.dumps(run(capsys, "check", "index-tts")[1])
    monkeypatch.chdir(make_app(tmp_path / "clone", "webui.py", "indextts/infer_v2_5.py"))
    _, found = run(capsys, "check", "index-tts")
    assert found["checks"][1] == {"key": "directory", "state": "ok", "detail": str(tmp_path / "clone"), "fix": ""}


def test_a_fixed_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_app(tmp_path / "fixed", "app.py")
    path = Path(run(capsys, "init", str(made))[1]["path"])
    path.write_text(path.read_text().replace("# port = 7860", "port = 7990"))
    code = main(["--json", "apps", "check", "fixed", "--app-dir", str(made)])
    lines = {line["key"]: line for line in json.loads(capsys.readouterr().out)["checks"]}
    assert code == 2 and lines["port"]["detail"] == "7990 is free"
