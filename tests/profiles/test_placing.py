"""Models brought and linked to where an app looks for them, against a hub with real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.cache.layout import hub_cache
from launcher.config import Config
from launcher.hub.bringing import bring as bring_all
from launcher.hub.fetch import Reporting
from launcher.profiles.placing import bring, lacking, odd_sizes, place
from launcher.profiles.profile import Profile, parse_profile
from tests.profiles.test_profile import COMMAND, config_of
from tests.servers.hub import HubServer, Repo

REPOS = {
    "org/tts": Repo({"config.yaml": b"a: 1", "gpt.pth": b"g" * 1000, "emo/config.json": b"{}"}),
    "org/codec": Repo({"semantic/model.safetensors": b"s" * 500, "other.bin": b"o"}),
    "spaces/org/demo": Repo({"examples/voice.wav": b"RIFF", "app.py": b"no"}),
}
MODELS = """
[[models]]
name = "org/tts"
into = "checkpoints"
[[models]]
name = "org/codec"
into = "checkpoints/hf_cache"
files = { "semantic/model.safetensors" = "semantic_model.safetensors" }
[[models]]
name = "spaces/org/demo@main:examples/*.wav"
into = ""
optional = true
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(REPOS) as server:
        yield server


@pytest.fixture
def config(tmp_path: Path, hub: HubServer) -> Config:
    return config_of(tmp_path, LAUNCHER_MIRRORS=hub.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    return made


def fetch_for(config: Config, profile: Profile, folder: Path) -> list[str]:
    """Fetches and places; returns the notes."""
    notes: list[str] = []

    def fetch(parts: list[object], sizes: object) -> None:
        bring_all(config, [part.wanted for part in parts], Reporting(lambda progress: None, notes.append))  # type: ignore[attr-defined]

    bring(config, profile, folder, fetch, notes.append)  # type: ignore[arg-type]
    place(config, profile, folder)
    return notes


def test_everything_is_where_the_app_looks_and_no_request_is_left(config: Config, folder: Path, hub: HubServer) -> None:
    profile = parse_profile("a", "a.toml", COMMAND + MODELS)
    assert {need.part.repo for need, _ in lacking(config, profile, folder)} == set(REPOS)
    fetch_for(config, profile, folder)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        *("checkpoints/config.yaml", "checkpoints/gpt.pth", "checkpoints/emo/config.json", "examples/voice.wav"),
        "checkpoints/hf_cache/semantic_model.safetensors",
    }
    assert (folder / "checkpoints/gpt.pth").read_bytes() == b"g" * 1000
    assert (folder / "checkpoints/gpt.pth").is_symlink()
    hub.forget()
    assert not lacking(config, profile, folder)
    assert place(config, profile, folder) == []
    assert hub.count() == 0


def test_what_lies_there_already_is_the_apps_own(config: Config, folder: Path, hub: HubServer) -> None:
    profile = parse_profile("a", "a.toml", COMMAND + MODELS)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/gpt.pth").write_bytes(b"tuned")
    elsewhere = folder / "mine.yaml"
    elsewhere.write_text("b: 2")
    (folder / "checkpoints/config.yaml").symlink_to(elsewhere)
    fetch_for(config, profile, folder)
    assert (folder / "checkpoints/gpt.pth").read_bytes() == b"tuned"
    assert (folder / "checkpoints/config.yaml").read_text() == "b: 2"
    assert (folder / "checkpoints/emo/config.json").is_file()


def test_links_that_lead_nowhere_are_renewed(config: Config, folder: Path) -> None:
    profile = parse_profile("a", "a.toml", COMMAND + MODELS)
    (folder / "checkpoints").mkdir()
    old = hub_cache(config) / "models--org--tts" / "snapshots" / ("0" * 40) / "gpt.pth"
    (folder / "checkpoints/gpt.pth").symlink_to(old)
    fetch_for(config, profile, folder)
    assert (folder / "checkpoints/gpt.pth").read_bytes() == b"g" * 1000


def test_an_optional_model_that_cannot_be_had_is_said(config: Config, folder: Path, hub: HubServer) -> None:
    hub.set_repos({name: repo for name, repo in REPOS.items() if name != "spaces/org/demo"})
    notes = fetch_for(config, parse_profile("a", "a.toml", COMMAND + MODELS), folder)
    assert any("spaces/org/demo" in note and "starts without" in note for note in notes)
    assert (folder / "checkpoints/gpt.pth").is_file() and not (folder / "examples").exists()


def test_the_catalogs_own_files_in_the_folder_need_no_fetch(tmp_path: Path, folder: Path) -> None:
    config = config_of(tmp_path, LAUNCHER_MIRRORS="http://127.0.0.1:9")
    profile = parse_profile("a", "a.toml", COMMAND + '[[models]]\nname = "bigvgan"\ninto = "hf_cache/bigvgan"')
    assert [need.part.repo for need, _ in lacking(config, profile, folder)] == ["nvidia/bigvgan_v2_22khz_80band_256x"]
    (folder / "hf_cache/bigvgan").mkdir(parents=True)
    for name in ("config.json", "bigvgan_generator.pt"):
        (folder / "hf_cache/bigvgan" / name).write_bytes(b"cut")
    assert not lacking(config, profile, folder)
    assert {path for path, size, _ in odd_sizes(profile, folder) if size == 3} == {
        "hf_cache/bigvgan/config.json",
        "hf_cache/bigvgan/bigvgan_generator.pt",
    }


def test_a_folder_gets_one_repository_the_cache_gets_all(tmp_path: Path, folder: Path) -> None:
    config = config_of(tmp_path)
    into = parse_profile("a", "a.toml", COMMAND + '[[models]]\nname = "indextts-2.5"\ninto = "checkpoints"')
    assert {need.part.repo for need, _ in lacking(config, into, folder)} == {"IndexTeam/IndexTTS-2.5"}
    cached = parse_profile("a", "a.toml", COMMAND + '[[models]]\nname = "heygem"')
    assert len({need.part.repo for need, _ in lacking(config, cached, folder)}) == 2
