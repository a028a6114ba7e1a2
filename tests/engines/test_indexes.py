"""Where packages come from: our settings before uv's, uv's before pip's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.config import Config, load
from launcher.config.package_index import KNOWN_INDEXES
from launcher.engines.indexes import package_indexes, package_links
from launcher.errors import ConfigError, FetchError

TUNA, PYPI, ALIYUN = (KNOWN_INDEXES[name] for name in ("tuna", "pypi", "aliyun"))


def config(folder: Path, **settings: str) -> Config:
    (folder / "none.env").write_text("")
    return load({"LAUNCHER_DATA_DIR": str(folder / "data"), **settings}, folder / "none.env", {})


def urls(folder: Path, environ: dict[str, str], **settings: str) -> list[str]:
    return [index.url for index in package_indexes(config(folder, **settings), {"HOME": str(folder), **environ})]


def test_our_setting_wins_and_is_tried_in_order(tmp_path: Path) -> None:
    environ = {"UV_INDEX_URL": "https://uv.example/simple", "PIP_INDEX_URL": "https://pip.example/simple"}
    listed = urls(tmp_path, environ, LAUNCHER_PACKAGE_INDEX="tuna, https://own.example/simple/ pypi,tuna")
    assert listed == [TUNA, "https://own.example/simple", PYPI]


def test_what_uv_is_told_is_left_to_uv(tmp_path: Path) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        environ = {
            name: "https://uv.example/simple",
            "PIP_INDEX_URL": "https://pip.example/simple",
            "HOME": str(tmp_path),
        }
        (index,) = package_indexes(config(tmp_path), environ)
        assert index.arguments() == () and name in index.shown


def test_pips_setting_and_file_are_honoured(tmp_path: Path) -> None:
    assert urls(tmp_path, {"PIP_INDEX_URL": "https://pip.example/simple"}) == ["https://pip.example/simple"]
    file = tmp_path / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text("[global]\nindex-url = https://file.example/simple\nfind-links =\n    /one\n    /two\n")
    environ = {"HOME": str(tmp_path)}
    assert urls(tmp_path, environ) == ["https://file.example/simple"]
    assert package_links(config(tmp_path), environ) == ("/one", "/two")
    assert package_links(config(tmp_path), {**environ, "PIP_FIND_LINKS": "/three"}) == ("/three",)
    file.write_text("no section\n")
    assert urls(tmp_path, {**environ, "PIP_CONFIG_FILE": str(file)}) != ["https://file.example/simple"]
    assert urls(tmp_path, {**environ, "PIP_CONFIG_FILE": os.devnull}) == [""]


def test_a_folder_of_wheels_may_have_a_space_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my wheels"
    folder.mkdir()
    assert package_links(config(tmp_path, LAUNCHER_PACKAGE_LINKS=str(folder)), {}) == (str(folder),)


def test_the_fastest_first_and_those_that_do_not_answer_not_at_all(tmp_path: Path) -> None:
    settings = config(tmp_path, LAUNCHER_PACKAGE_INDEX="fastest")
    times = {TUNA: 0.2, PYPI: 0.9, ALIYUN: None}
    assert [one.url for one in package_indexes(settings, {}, probe=times.__getitem__)] == [TUNA, PYPI]
    with pytest.raises(FetchError, match="None of"):
        package_indexes(settings, {}, probe=lambda _url: None)


@pytest.mark.parametrize("text", ["tunas", "ftp://host/simple", "https://", "tuna,/folder", "https://h/simple?x=1"])
def test_what_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="LAUNCHER_PACKAGE_INDEX"):
        config(tmp_path, LAUNCHER_PACKAGE_INDEX=text)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    settings = config(tmp_path, LAUNCHER_PACKAGE_INDEX="https://me:geheim@own.example/simple")
    (index,) = package_indexes(settings, {})
    assert "geheim" not in index.shown and "geheim" in index.arguments()[1]
    assert "geheim" not in str([value.shown for value in settings.values])
    with pytest.raises(ConfigError) as failure:
        config(tmp_path, LAUNCHER_TORCH_INDEX="https://me:geheim@own.example/whl?x=1")
    assert "geheim" not in str(failure.value)
