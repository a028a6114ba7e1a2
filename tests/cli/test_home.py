"""Who has no home folder, as in a container that runs under a number nobody gave a name, and a ``~`` nobody has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.cache.layout import cache_dir, child_environment
from launcher.cli.app import main
from launcher.config import load
from launcher.config.home import whole_path
from launcher.doctor.finding import Ground
from launcher.doctor.processes import check_autostart
from launcher.engines.indexes import package_links
from launcher.errors import ConfigError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a user of Windows has a profile")


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("homeless")
def test_a_child_gets_a_home_where_there_is_none(tmp_path: Path) -> None:
    config = load({}, None, {"LAUNCHER_DATA_DIR": str(tmp_path)})
    assert child_environment(config, {})["HOME"] == str(cache_dir(config)), "packages ask for one at their import"
    assert child_environment(config, {"HOME": "/of/mia"})["HOME"] == "/of/mia"


def test_a_home_that_the_system_knows_stays_its_business(tmp_path: Path) -> None:
    config = load({}, None, {"LAUNCHER_DATA_DIR": str(tmp_path)})
    assert "HOME" not in child_environment(config, {})


@pytest.mark.usefixtures("homeless")
def test_nothing_breaks_without_a_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    assert main(["cache", "migrate", *data]) == 0
    capsys.readouterr()
    for words in (("shortcut", "install"), ("service", "install", "--print")):
        assert main([*words, *data]) == 2, words
        assert "There is no home folder. Set HOME" in capsys.readouterr().err
    config = load({}, None, {"LAUNCHER_DATA_DIR": str(tmp_path)})
    assert check_autostart(Ground(config, network=False, project_dirs=(), source=tmp_path)).state == "ok"


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "{}"),
        ("cache", "migrate", "{}"),
        ("cache", "overlay", "{}"),
        ("cache", "ls", "--cache", "{}"),
        ("cache", "restore", "--from", "{}", "org/model"),
        ("mirror", "add", "https://mirror.example", "--token-file", "{}"),
    ],
)
def test_a_tilde_that_nobody_has_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    given = "~nobody-has-this-name/models"
    code = main([*(word.format(given) for word in words), "--data-dir", str(tmp_path / "data")])
    said = capsys.readouterr().err
    assert code == 2 and f"{given} starts with ~, but there is no such home folder. Write the whole path." in said, said


def test_links_for_packages_may_start_with_any_tilde(tmp_path: Path) -> None:
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path)}, None, {})
    assert package_links(config, {"PIP_FIND_LINKS": "~nobody-has-this-name/w"}) == ("~nobody-has-this-name/w",)


def test_a_file_whose_name_starts_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-has-this-name").mkdir()
    assert whole_path("~nobody-has-this-name") == tmp_path / "~nobody-has-this-name"
    with pytest.raises(ConfigError):
        whole_path("~nobody-has-that-name")
