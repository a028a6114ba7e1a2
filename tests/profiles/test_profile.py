"""What a profile may say, and the sentence for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config import Config, load
from launcher.errors import ConfigError, LauncherError
from launcher.hub.catalog import lookup
from launcher.profiles.profile import Failure, parse_profile
from launcher.profiles.store import OURS, find, find_directory, find_python, recognise, resolve, write_profile

COMMAND = 'command = ["{python}", "app.py", "--port", "{port}"]\n'


def config_of(tmp_path: Path, **settings: str) -> Config:
    empty = tmp_path / "settings"
    empty.write_text("")
    return load({"LAUNCHER_DATA_DIR": str(tmp_path / "data"), **settings}, empty, {})


def make_app(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def make_python(folder: Path) -> Path:
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return python


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("", "command", "missing"),
        ("command = []", "command", "is empty"),
        ("command = 'python app.py'", "command", "not a list"),
        ("command = ['', 'x']", "command", "is empty"),
        (COMMAND + "comand = []", "comand", "no key"),
        (COMMAND + "health = 'ready'", "health", "path of an address"),
        (COMMAND + "port = '7860'", "port", "1 to 65535"),
        (COMMAND + "port = true", "port", "1 to 65535"),
        (COMMAND + "ready = '('", "ready", "regular expression"),
        (COMMAND + "start_timeout_s = 0", "start_timeout_s", "1 to 86400"),
        (COMMAND + "offline = 'yes'", "offline", "true or false"),
        (COMMAND + "stale = 'app.py'", "stale", "not a list"),
        (COMMAND + "title = 'a\\nb'".replace("'", '"'), "title", "not a line"),
        (COMMAND + "environment = { A = 1 }", "environment", "not text"),
        (COMMAND + "environment = { LAUNCHER_TOKEN = 'x' }", "environment", "no variable for an app"),
        (COMMAND + "models = ['org/name']", "models", "not a list of tables"),
        (COMMAND + "[[models]]\nname = 'org/name'\ninto = '../out'", "models.into", "leaves the app's folder"),
        (COMMAND + "[[models]]\nname = 'org/name'\ninto = '/etc'", "models.into", "leaves the app's folder"),
        (COMMAND + "[[models]]\ninto = 'x'", "models.name", "missing"),
        (COMMAND + "[[models]]\nname = 'org/name'\nfiles = { a = 'b' }", "models.files", "needs into"),
        (COMMAND + "[[models]]\nname = 'org/name'\nwhere = 'b'", "models.where", "no key"),
        (COMMAND + "[[failures]]\npattern = '(a)'\nmessage = '\\2'", "failures.message", "group that its pattern"),
        (COMMAND + "[[failures]]\npattern = '['\nmessage = 'x'", "failures.pattern", "regular expression"),
        ("command = ['{python}', '{prot}']", "command", "no placeholder"),
        ("command = ['{python}', 'app.py']", "command", "never says which port"),
        ("command = ['{python} app.py {port}']", "command", "inside a longer argument"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_key_and_fix(text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile("mine", "/apps/mine.toml", text)
    assert caught.value.message.startswith(f"/apps/mine.toml: {key} ")
    assert words in caught.value.message
    assert caught.value.fix and "\n" not in str(caught.value)


def test_what_is_no_toml_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml is not TOML: .*line 2"):
        parse_profile("mine", "mine.toml", "a = 1\nb = \nc = 2")
    with pytest.raises(ConfigError, match="Did you mean command"):
        parse_profile("mine", "mine.toml", "comand = []")


def test_a_port_may_come_in_three_ways() -> None:
    assert parse_profile("a", "a.toml", COMMAND).port == 0
    assert parse_profile("a", "a.toml", "command = ['x']\nport = 7860").port == 7860
    assert parse_profile("a", "a.toml", "command = ['x']\nenvironment = { PORT = '{port}' }").port == 0


def test_a_line_is_explained_with_what_it_names() -> None:
    text = COMMAND + "[[failures]]\npattern = \"lacks '(\\\\w+)'( now)?\"\nmessage = 'No \\1.'\nfix = 'Get \\1\\2.'"
    profile = parse_profile("a", "a.toml", text)
    found = profile.explain("it lacks 'gradio' today")
    assert found == Failure(profile.failures[0].pattern, "No gradio.", "Get gradio.")
    assert profile.explain("all is well") is None


def test_ours_are_right_and_name_models_that_there_are(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    for name in OURS:
        profile = find(config, name)
        assert profile.title and profile.stale and profile.failures
        for model in profile.models:
            assert lookup(model.name).name == model.name
    with pytest.raises(ConfigError, match="apps init"):
        resolve(config_of(tmp_path, LAUNCHER_APP="index-tts"))
    with pytest.raises(ConfigError, match="There is no app 'another'"):
        resolve(config_of(tmp_path, LAUNCHER_APP="another"))


def test_init_writes_what_can_be_read_and_never_over_a_file(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    clone = make_app(tmp_path / "My clone", "webui.py", "indextts/infer_v2_5.py")
    path = write_profile(config, clone)
    assert (path.name, path.parent) == ("index-tts.toml", config.data_dir / "apps")
    profile = find(config, "index-tts")
    assert (profile.source, profile.directory) == (str(path), str(clone))
    assert path.read_text().count("#") > 10
    with pytest.raises(LauncherError, match="exists already"):
        write_profile(config, clone)

    other = make_app(tmp_path / "My Voice", "app.py", "run_me.py")
    assert write_profile(config, other).stem == "my-voice"
    assert find(config, "my-voice").command[1] == "app.py"
    write_profile(config, other, name="second", script="run_me.py")
    assert find(config, "second").stale == ("run_me.py",)
    assert find(config, "second").environment["GRADIO_SERVER_PORT"] == "{port}"
    write_profile(config, other, name="heygem")
    assert find(config, "heygem").models[0].name == "heygem"
    for bad, words in (
        ({"script": "none.py"}, "none.py"),
        ({"name": "builtin"}, "no name"),
        ({"name": "A"}, "no name"),
    ):
        with pytest.raises(ConfigError, match=words):
            write_profile(config, other, **bad)
    with pytest.raises(ConfigError, match="not a folder"):
        write_profile(config, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="--script"):
        write_profile(config, make_app(tmp_path / "empty", "notes.txt"))


def test_the_folder_of_the_settings_wins_and_has_to_exist(tmp_path: Path) -> None:
    folder = make_app(tmp_path / "app", "app.py")
    profile = parse_profile("a", "a.toml", COMMAND + f'directory = "{folder}"')
    assert find_directory(config_of(tmp_path), profile) == folder
    other = make_app(tmp_path / "other", "app.py")
    assert find_directory(config_of(tmp_path, LAUNCHER_APP_DIR=str(other)), profile) == other
    with pytest.raises(ConfigError, match=r"LAUNCHER_APP_DIR=.*is not a folder"):
        find_directory(config_of(tmp_path, LAUNCHER_APP_DIR=str(tmp_path / "gone")), profile)
    with pytest.raises(ConfigError, match=r"a\.toml: directory = 'gone' is not a whole path"):
        find_directory(config_of(tmp_path), parse_profile("a", "a.toml", COMMAND + "directory = 'gone'"))


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    clone = make_app(tmp_path / "clone", "webui.py", "indextts/infer_v2_5.py")
    found = recognise(config, clone)
    assert found is not None and found.name == "index-tts"
    assert recognise(config, make_app(tmp_path / "other", "webui.py")) is None


def test_the_interpreter_is_found_or_named(tmp_path: Path) -> None:
    folder = make_app(tmp_path / "app", "app.py")
    profile = parse_profile("a", "a.toml", COMMAND)
    with pytest.raises(ConfigError, match="no environment of its own"):
        find_python(profile, folder)
    python = make_python(folder)
    assert find_python(profile, folder) == (str(python),)
    said = parse_profile("a", "a.toml", COMMAND + 'python = ".venv/bin/python"')
    assert find_python(said, folder) == (str(python),)
    for wrong in ("no/such", "no-such-program"):
        with pytest.raises(ConfigError, match=f"a.toml: python = '{wrong}'"):
            find_python(parse_profile("a", "a.toml", COMMAND + f'python = "{wrong}"'), folder)
