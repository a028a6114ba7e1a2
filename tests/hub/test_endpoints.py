"""Which places weights come from, what each may be told, and what is said about a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.config import load
from launcher.errors import ConfigError, StorageError
from launcher.hub.endpoints import BUILT_IN, OFFICIAL_URL, Endpoint, mirrors_file, parse_endpoints

HF_MIRROR = BUILT_IN["hf-mirror"].url
MODELSCOPE = BUILT_IN["modelscope"].url


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def endpoints(environ: Mapping[str, str] | None = None, file: str | None = None) -> dict[str, Endpoint]:
    """By address; ``file`` is the text of DATA/mirrors.toml."""
    data = Path.cwd() / "data"
    if file is not None:
        data.mkdir(exist_ok=True)
        (data / "mirrors.toml").write_text(file, encoding="utf-8")
    config = load({"LAUNCHER_DATA_DIR": str(data), **(environ or {})}, None, {})
    return {endpoint.url: endpoint for endpoint in parse_endpoints(config)}


def refusal(environ: Mapping[str, str] | None = None, file: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        endpoints(environ, file)
    assert caught.value.fix or "\n" in caught.value.message
    return str(caught.value)


def test_without_settings_there_are_the_built_in_ones() -> None:
    found = endpoints()
    assert list(found) == [OFFICIAL_URL, HF_MIRROR, MODELSCOPE]
    assert [one.trusted for one in found.values()] == [True, False, False]


def test_a_private_hf_endpoint_stands_alone_and_is_trusted() -> None:
    found = endpoints({"HF_ENDPOINT": "https://Hub.lab.example:443/hf/"})
    assert [(one.url, one.trusted, one.source) for one in found.values()] == [
        ("https://hub.lab.example/hf", True, "HF_ENDPOINT")
    ]


def test_a_known_hf_endpoint_comes_first_among_the_built_in_ones() -> None:
    found = endpoints({"HF_ENDPOINT": HF_MIRROR})
    assert list(found) == [HF_MIRROR, OFFICIAL_URL, MODELSCOPE]
    assert found[HF_MIRROR].trusted


def test_a_list_replaces_the_built_in_ones_and_may_name_them() -> None:
    listed = "https://a.example;weight=2.5;connections=4, modelscope https://b.example/hub/;kind=private"
    found = endpoints({"LAUNCHER_MIRRORS": listed})
    assert list(found) == ["https://a.example", MODELSCOPE, "https://b.example/hub"]
    first, second, third = found.values()
    assert (first.weight, first.connections, first.trusted, first.kind) == (2.5, 4, False, "hub")
    assert second.kind == "modelscope" and third.trusted
    assert list(endpoints({"LAUNCHER_MIRRORS": "https://a.example", "HF_ENDPOINT": "https://b.example"})) == [
        "https://b.example",
        "https://a.example",
    ]


def test_the_file_beside_the_caches_or_a_named_one() -> None:
    file = '[[mirror]]\nurl = "https://a.example"\nkind = "modelscope"\nids = {"org/a" = "org/b"}\n'
    found = endpoints(file=file)
    assert list(found) == ["https://a.example"]
    assert found["https://a.example"].name_of("org/a") == "org/b"
    assert found["https://a.example"].name_of("org/c") == "org/c"
    Path("my.toml").write_text('builtin = ["official"]\n')
    assert list(endpoints({"LAUNCHER_MIRRORS": "my.toml"})) == [OFFICIAL_URL]
    with pytest.raises(StorageError, match=r"absent\.toml"):
        endpoints({"LAUNCHER_MIRRORS": "absent.toml"})


def test_a_token_belongs_to_one_address() -> None:
    Path("token").write_text("hf_lab\n")
    found = endpoints({"LAUNCHER_MIRRORS": "official,https://lab.example;token_file=token", "HF_TOKEN": "hf_mine"})
    lab, official = found["https://lab.example"], found[OFFICIAL_URL]
    assert (lab.token, official.token) == ("hf_lab", "hf_mine")
    assert lab.owns("https://lab.example/api/models/a/b")
    for elsewhere in ("https://cdn.lab.example/x", "http://lab.example/x", "https://lab.example:8443/x"):
        assert not lab.owns(elsewhere)
    assert "hf_lab" not in repr(found) and "hf_mine" not in repr(found)


def test_the_hub_token_goes_to_hf_endpoint_alone() -> None:
    found = endpoints({"LAUNCHER_MIRRORS": "official", "HF_ENDPOINT": "https://lab.example", "HF_TOKEN": "hf_lab"})
    assert found["https://lab.example"].token == "hf_lab" and found[OFFICIAL_URL].token == ""


def test_a_token_in_the_file_and_none_in_the_list() -> None:
    found = endpoints(file='[[mirror]]\nurl = "https://a.example"\ntoken = "hf_secret"\n')
    assert found["https://a.example"].token == "hf_secret"
    said = refusal({"LAUNCHER_MIRRORS": "https://a.example;token=hf_secret"})
    assert "hf_secret" not in said and "token_file" in said


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("ftp://a.example", "'ftp://a.example'"),
        ("https://a.example?x=1", "without query"),
        ("https://ada:lovelace@a.example", "password"),
        ("https://a.example;weight=0", "weight='0'"),
        ("https://a.example;weight=nan", "weight='nan'"),
        ("https://a.example;connections=2.5", "whole number from 1 to 32"),
        ("https://a.example;kind=ftp", "hub, modelscope or private"),
        ("https://a.example;fast", "option 'fast'"),
        ("https://a.example;speed=9", "option 'speed'"),
        ("https://a.example;trusted=maybe", "yes or no"),
        ("https://a.example,https://A.example/", "twice"),
        ("https://a.example;token_file=absent", "cannot be read"),
        ("nonsense", "'nonsense'"),
    ],
)
def test_a_wrong_list_is_named_with_its_fix(listed: str, said: str) -> None:
    message = refusal({"LAUNCHER_MIRRORS": listed})
    assert said in message and "LAUNCHER_MIRRORS" in message and "lovelace" not in message


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("[[mirror]\n", "is not TOML"),
        ("[[mirror]]\nurl = 5\n", "no text"),
        ("[[mirror]]\n", "''"),
        ("[mirror]\n", "[[mirror]]"),
        ("builtin = 3\n", "official"),
        ('mirrors = ["https://a.example"]\n', "'mirrors'"),
        ('[[mirror]]\nurl = "https://a.example"\nids = {a = "b"}\n', "ids"),
        ('[[mirror]]\nurl = "https://a.example"\ntoken = "a b"\n', "space"),
    ],
)
def test_a_wrong_file_is_named_with_its_fix(file: str, said: str) -> None:
    message = refusal(file=file)
    assert said in message and "mirrors.toml" in message


@pytest.mark.parametrize("setting", ["LAUNCHER_MIRRORS", "HF_ENDPOINT"])
def test_without_encryption_only_this_machine_or_by_consent(setting: str) -> None:
    assert "LAUNCHER_ALLOW_HTTP_MIRRORS" in refusal({setting: "http://10.0.0.5:8080"})
    assert list(endpoints({setting: "http://10.0.0.5:8080", "LAUNCHER_ALLOW_HTTP_MIRRORS": "yes"})) == [
        "http://10.0.0.5:8080"
    ]
    assert list(endpoints({setting: "http://127.0.0.2:8080"})) == ["http://127.0.0.2:8080"]


def test_addresses_of_both_protocols() -> None:
    hub, scope = BUILT_IN["official"], BUILT_IN["modelscope"]
    assert hub.file_url("org/a", "refs/pr/1", "x y/z+1.bin").endswith("/org/a/resolve/refs%2Fpr%2F1/x%20y/z%2B1.bin")
    assert hub.model_url("org/a", "main").endswith("/api/models/org/a/revision/main")
    assert "FilePath=x%20y%2Fz%2B1.bin" in scope.file_url("org/a", "main", "x y/z+1.bin")
    assert "/AI-ModelScope/w2v-bert-2.0/repo/files?" in scope.listing_url("facebook/w2v-bert-2.0", "main")


def test_the_file_that_changes_is_the_one_that_is_read(tmp_path: Path) -> None:
    def file_of(mirrors: str) -> Path | None:
        return mirrors_file(load({"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_MIRRORS": mirrors}, None, {}))

    assert file_of("") == tmp_path / "mirrors.toml"
    assert file_of("~/m.toml") == Path("~/m.toml").expanduser()
    assert file_of("official") is None
