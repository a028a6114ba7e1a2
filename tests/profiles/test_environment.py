"""What an app is started with: our pins, its own words, nothing of our interpreter's."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.profiles.environment import app_command, app_environment, best_endpoint, placeholders
from launcher.profiles.profile import parse_profile
from launcher.profiles.store import App
from tests.profiles.test_profile import COMMAND, config_of, make_app, make_python

ROOT = Path(__file__).resolve().parents[2]


def app_of(tmp_path: Path, text: str = "") -> App:
    folder = tmp_path / "app"
    if not folder.exists():
        make_python(make_app(folder, "app.py"))
        (folder / ".venv" / "pyvenv.cfg").write_text("")
    return App(parse_profile("a", "a.toml", COMMAND + text), folder, (str(folder / ".venv/bin/python"),))


def test_pins_and_the_profiles_own_words(tmp_path: Path) -> None:
    config = config_of(tmp_path, TORCH_HOME=str(tmp_path / "torch"))
    text = '[environment]\nTORCH_HOME = "{data_dir}/t"\nMY_CACHE = "{hub_cache}"\nMY_PORT = "{port}"\nOTHER = "{x y}"'
    base = {
        "PATH": "/bin",
        "LAUNCHER_TOKEN": "secret",
        "VIRTUAL_ENV": "/ours",
        "PYTHONPATH": f"{ROOT}{os.pathsep}/theirs",
    }
    found = app_environment(config, app_of(tmp_path, text), base)
    data = config.data_dir
    assert found["HF_HUB_CACHE"] == found["MY_CACHE"] == found["TRANSFORMERS_CACHE"] == f"{data}/cache/huggingface/hub"
    assert (found["HF_HOME"], found["MODELSCOPE_CACHE"]) == (f"{data}/cache/huggingface", f"{data}/cache/modelscope")
    assert found["TORCH_HOME"] == f"{data}/t"
    assert found["GRADIO_TEMP_DIR"].startswith(str(data)) and found["TMPDIR"].startswith(str(data))
    assert (found["MY_PORT"], found["OTHER"]) == ("{port}", "{x y}")
    # Of our interpreter nothing is left, and the app's programs come first.
    assert found["PYTHONPATH"] == "/theirs"
    assert found["VIRTUAL_ENV"] == str(tmp_path / "app" / ".venv")
    assert found["PATH"] == f"{tmp_path}/app/.venv/bin{os.pathsep}/bin"
    assert not any(name.startswith("LAUNCHER_") for name in found)


def test_what_needs_no_network_is_kept_off_it(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert "HF_HUB_OFFLINE" not in app_environment(config, app_of(tmp_path), {})
    assert app_environment(config, app_of(tmp_path, "offline = true"), {})["HF_HUB_OFFLINE"] == "1"
    offline = config_of(tmp_path, LAUNCHER_OFFLINE="yes")
    assert app_environment(offline, app_of(tmp_path), {})["TRANSFORMERS_OFFLINE"] == "1"


def test_the_best_mirror_is_the_endpoint_and_gets_no_token(tmp_path: Path) -> None:
    mirror = "https://mirror.example.org"
    config = config_of(tmp_path, LAUNCHER_MIRRORS=f"{mirror},official")
    app = app_of(tmp_path)
    assert app_environment(config, app, {})["HF_ENDPOINT"] == mirror
    assert best_endpoint(config_of(tmp_path, LAUNCHER_MIRRORS="official"), app.profile) == ""
    assert (
        best_endpoint(config_of(tmp_path, LAUNCHER_MIRRORS=mirror, HF_TOKEN="hf_secret_of_a_test"), app.profile) == ""
    )
    chosen = config_of(tmp_path, HF_ENDPOINT="https://hub.example.org")
    assert app_environment(chosen, app, {})["HF_ENDPOINT"] == "https://hub.example.org"


def test_the_device_is_what_it_sees(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    assert app_environment(config_of(tmp_path, LAUNCHER_DEVICE="cuda:2"), app, {})["CUDA_VISIBLE_DEVICES"] == "2"
    assert app_environment(config_of(tmp_path, LAUNCHER_DEVICE="cpu"), app, {})["CUDA_VISIBLE_DEVICES"] == ""
    seen = config_of(tmp_path, LAUNCHER_DEVICE="cuda:2", CUDA_VISIBLE_DEVICES="5")
    assert app_environment(seen, app, {})["CUDA_VISIBLE_DEVICES"] == "5"
    assert "CUDA_VISIBLE_DEVICES" not in app_environment(config_of(tmp_path), app, {})


def test_the_command_line(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    values = placeholders(config_of(tmp_path), app.directory)
    assert app_command(app, {**values, "port": "1234"})[1:] == ("app.py", "--port", "1234")
    several = App(app.profile, app.directory, ("uv", "run", "python"))
    assert app_command(several, values)[:4] == ("uv", "run", "python", "app.py")
