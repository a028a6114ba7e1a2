"""What the children are started with, against what they read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from launcher.apps import Addresses, child_specs, choose_engine
from launcher.cli.browser import wants_browser
from launcher.config import Config, load
from launcher.process.child import ChildSpec
from webui.settings import PageSettings, WorkerSettings, parse_settings

SECRET = "a-secret-of-the-test-0123"


def make(tmp_path: Path, **settings: str) -> tuple[Config, dict[str, ChildSpec]]:
    environ = {"LAUNCHER_DATA_DIR": str(tmp_path / "data"), "LAUNCHER_TOKEN": SECRET, **settings}
    empty = tmp_path / "settings"
    empty.write_text("")
    config = load(environ, empty, {})
    addresses = Addresses("127.0.0.1", 1, "unix:/c", "unix:/e", "default:mark", "control-secret", "engine-secret")
    return config, child_specs(config, addresses, {**environ, "PATH": "/bin"})


def test_the_children_understand_their_settings(tmp_path: Path) -> None:
    _, specs = make(tmp_path, LAUNCHER_ROOT_PATH="/tts", LAUNCHER_QUEUE_SIZE="3")
    page = parse_settings(PageSettings, json.dumps(specs["page"].settings))
    engine = parse_settings(WorkerSettings, json.dumps(specs["engine"].settings))
    assert (page.token, page.root_path, page.queue_size) == (SECRET, "/tts", 3)
    assert page.engine_address == engine.address
    assert page.control_address == engine.control_address
    # Everything that a child can be told is told; the descriptor is known at its start only.
    assert {field.name for field in fields(PageSettings)} - {"listen_fd"} == set(specs["page"].settings)
    assert {field.name for field in fields(WorkerSettings)} == set(specs["engine"].settings)


def test_no_secret_leaves_the_settings(tmp_path: Path) -> None:
    _, specs = make(tmp_path)
    for spec in specs.values():
        outside = json.dumps([spec.argv, dict(spec.environment)])
        assert SECRET not in outside
        assert "control-secret" not in outside
        assert spec.environment["LAUNCHER_INSTANCE_MARK"] == "default:mark"
        assert [name for name in spec.environment if name.startswith("LAUNCHER_")] == ["LAUNCHER_INSTANCE_MARK"]


def test_the_engine_is_chosen_with_a_reason(tmp_path: Path) -> None:
    config, _ = make(tmp_path)
    assert choose_engine(config).name == "kokoro"
    config, specs = make(tmp_path, LAUNCHER_ENGINE="kokoro")
    assert "LAUNCHER_ENGINE" in choose_engine(config).reason
    assert specs["engine"].settings["engine"] == "kokoro"


def test_a_browser_opens_only_for_somebody_who_sees_it() -> None:
    desktop = {"DISPLAY": ":0"}
    assert wants_browser("auto", desktop, "linux", has_terminal=True)
    assert wants_browser("auto", {}, "darwin", has_terminal=True)
    assert wants_browser("yes", {}, "linux", has_terminal=False)
    assert not wants_browser("auto", {}, "linux", has_terminal=True)
    assert not wants_browser("auto", desktop, "linux", has_terminal=False)
    assert not wants_browser("auto", {**desktop, "SSH_CONNECTION": "x"}, "linux", has_terminal=True)
    assert not wants_browser("no", desktop, "linux", has_terminal=True)
