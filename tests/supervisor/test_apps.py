"""What the children are started with, against what they read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from launcher.apps import Addresses, child_specs, own_folder, webui_folder
from launcher.cli.browser import wants_browser
from launcher.config import Config, load
from launcher.errors import EngineError
from launcher.process.child import ChildSpec
from webui.settings import PageSettings, WorkerSettings, parse_settings

SECRET = "a-secret-of-the-test-0123"


def make(tmp_path: Path, **settings: str) -> tuple[Config, dict[str, ChildSpec]]:
    environ = {"LAUNCHER_DATA_DIR": str(tmp_path / "data"), "LAUNCHER_TOKEN": SECRET, **settings}
    empty = tmp_path / "settings"
    empty.write_text("")
    config = load(environ, empty, {})
    addresses = Addresses(
        "127.0.0.1", 1, "unix:/c", "unix:/e", "default:mark", SECRET, "control-secret", "engine-secret"
    )
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


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:7890", "socks://127.0.0.1:7890/", "http://127.0.0.1:7890"])
def test_a_proxy_is_for_who_fetches_and_not_for_the_page(tmp_path: Path, proxy: str) -> None:
    _, specs = make(tmp_path, ALL_PROXY=proxy, https_proxy=proxy)
    assert not {"ALL_PROXY", "https_proxy"} & set(specs["page"].environment)
    assert specs["engine"].environment["ALL_PROXY"] == proxy


def specs_of(tmp_path: Path, count: int, **settings: str) -> list[ChildSpec]:
    """The engines of so many addresses."""
    environ = {"LAUNCHER_DATA_DIR": str(tmp_path / "data"), **settings}
    further = tuple(f"unix:/e{number}" for number in range(2, count + 1))
    addresses = Addresses("127.0.0.1", 1, "unix:/c", "unix:/e", "default:mark", further_engines=further)
    (tmp_path / "settings").write_text("")
    config = load(environ, tmp_path / "settings", {})
    assert len(config.devices) == count
    specs = child_specs(config, addresses, environ)
    assert json.loads(json.dumps(specs["page"].settings))["further_engine_addresses"] == list(further)
    return [spec for name, spec in specs.items() if name.startswith("engine")]


def test_each_engine_has_its_name_its_address_and_its_gpu_alone(tmp_path: Path) -> None:
    first, second, third = specs_of(tmp_path, 3, LAUNCHER_GPU="0,2", LAUNCHER_ENGINES="3")
    assert [spec.component for spec in (first, second, third)] == ["engine", "engine-2", "engine-3"]
    assert [spec.settings["component"] for spec in (first, second, third)] == ["engine", "engine-2", "engine-3"]
    assert [spec.settings["address"] for spec in (first, second, third)] == ["unix:/e", "unix:/e2", "unix:/e3"]
    assert [spec.environment["CUDA_VISIBLE_DEVICES"] for spec in (first, second, third)] == ["0", "2", "0"]
    assert {spec.settings["device"] for spec in (first, second, third)} == {"cuda:0"}
    assert {spec.environment["CUDA_DEVICE_ORDER"] for spec in (first, second, third)} == {"PCI_BUS_ID"}
    # Numbers count what the user left visible; one beyond it shows nothing.
    seen = specs_of(tmp_path, 2, LAUNCHER_GPU="1,2", CUDA_VISIBLE_DEVICES="5, GPU-abc")
    assert [spec.environment["CUDA_VISIBLE_DEVICES"] for spec in seen] == ["GPU-abc", ""]
    (alone,) = specs_of(tmp_path, 1, LAUNCHER_DEVICE="cuda:1")
    assert "CUDA_VISIBLE_DEVICES" not in alone.environment and alone.settings["device"] == "cuda:1"


def test_no_secret_leaves_the_settings(tmp_path: Path) -> None:
    _, specs = make(tmp_path)
    for spec in specs.values():
        outside = json.dumps([spec.argv, dict(spec.environment)])
        assert SECRET not in outside
        assert "control-secret" not in outside
        assert spec.environment["LAUNCHER_INSTANCE_MARK"] == "default:mark"
        assert [name for name in spec.environment if name.startswith("LAUNCHER_")] == ["LAUNCHER_INSTANCE_MARK"]


def test_what_needs_no_hub_is_kept_off_it(tmp_path: Path) -> None:
    _, specs = make(tmp_path)
    assert set(specs) == {"page", "engine"}
    for spec in specs.values():
        assert [spec.environment[name] for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")] == ["1", "1"]
        assert spec.environment["HF_HUB_DISABLE_XET"] == "1"
    _, specs = make(tmp_path, HF_HUB_OFFLINE="0")
    assert specs["engine"].environment["HF_HUB_OFFLINE"] == "0"
    _, specs = make(tmp_path, HF_HUB_OFFLINE="0", LAUNCHER_OFFLINE="yes")
    assert specs["engine"].environment["HF_HUB_OFFLINE"] == "1"
    # Nobody knows what an engine that the catalog does not list will fetch.
    _, specs = make(tmp_path, LAUNCHER_ENGINE="another")
    assert "HF_HUB_OFFLINE" not in specs["engine"].environment


def test_weights_are_brought_with_the_same_settings(tmp_path: Path) -> None:
    config, specs = make(tmp_path, LAUNCHER_MODELS="org/tiny@v1:*.json org/other", HF_TOKEN="hf_secret_of_the_test")
    weights = specs["weights"]
    # Through a pipe and back: what the child gets is what the supervisor has.
    sent = json.loads(json.dumps(weights.settings))
    assert vars(Config.from_json(sent["config"])) == vars(config)
    assert "hf_secret_of_the_test" not in " ".join(weights.argv)
    # It alone may use the network.
    assert weights.is_task and "HF_HUB_OFFLINE" not in weights.environment
    assert specs["engine"].environment["HF_HUB_OFFLINE"] == "1"


def test_an_engine_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    settings = {"LAUNCHER_ENGINE_PYTHON": str(python), "LAUNCHER_ENGINE": "indextts2.5", "LAUNCHER_DEVICE": "cpu"}
    _, specs = make(tmp_path, **settings, LAUNCHER_PRECISION="bf16", LAUNCHER_IDLE_UNLOAD="600", LAUNCHER_QWEN="no")
    engine = specs["engine"]
    assert engine.argv[0] == str(python) and specs["page"].argv[0] == sys.executable
    options = engine.settings["options"]
    assert (options["precision"], options["qwen"], options["idle_unload_s"]) == ("bf16", "no", "600")
    # It finds our packages and nothing of the environment that they are installed in.
    code = "import launcher.channel, webui.engine.worker, webui.settings; print(webui.__path__[0])"
    found = subprocess.run(
        [python, "-S", "-c", code], env=dict(engine.environment), capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).resolve() == webui_folder()


def test_installed_packages_are_shown_to_a_foreign_interpreter_alone(tmp_path: Path) -> None:
    config, _ = make(tmp_path)
    site = tmp_path / "site-packages"
    (site / "webui").mkdir(parents=True)
    (site / "another").mkdir()
    folder = own_folder(config, site / "webui")
    assert sorted(path.name for path in folder.iterdir()) == ["launcher", "webui"]
    assert own_folder(config, site / "webui") == folder


def test_an_engine_that_is_not_installed_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="engine install indextts2"):
        make(tmp_path, LAUNCHER_ENGINE="indextts2")


def test_a_browser_opens_only_for_somebody_who_sees_it() -> None:
    desktop = {"DISPLAY": ":0"}
    assert wants_browser("auto", desktop, "linux", has_terminal=True)
    assert wants_browser("auto", {}, "darwin", has_terminal=True)
    assert wants_browser("yes", {}, "linux", has_terminal=False)
    assert not wants_browser("auto", {}, "linux", has_terminal=True)
    assert not wants_browser("auto", desktop, "linux", has_terminal=False)
    assert not wants_browser("auto", {**desktop, "SSH_CONNECTION": "x"}, "linux", has_terminal=True)
    assert not wants_browser("no", desktop, "linux", has_terminal=True)
