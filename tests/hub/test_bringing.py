"""What an engine needs before it can start, by the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.alarms.events import recent
from launcher.cache.layout import cache_dir
from launcher.config import load
from launcher.errors import FetchError
from launcher.hub.bringing import bring, needs
from launcher.hub.fetch import Reporting, Wanted
from tests.ports import free_port

QWEN = "qwen0.6bemo4-merge/"
ROOT = Path(__file__).parents[2]


def needed(tmp_path: Path, engine: str = "indextts2", **settings: str) -> list[tuple[str, tuple[str, ...]]]:
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path), **settings}, None, {})
    return [(part.repo, part.include) for part in needs(config, engine)]


def test_what_is_optional_is_brought_unless_it_is_not_wanted(tmp_path: Path) -> None:
    everything = needed(tmp_path)
    assert ("IndexTeam/IndexTTS-2", (QWEN,)) in everything
    assert len({repo for repo, _ in everything}) == 5
    assert set(everything) - set(needed(tmp_path, LAUNCHER_QWEN="no")) == {("IndexTeam/IndexTTS-2", (QWEN,))}


def test_what_is_optional_keeps_nobody_waiting_who_has_no_network(tmp_path: Path) -> None:
    offline = needed(tmp_path, LAUNCHER_OFFLINE="yes")
    assert ("IndexTeam/IndexTTS-2", (QWEN,)) not in offline and len(offline) == 5
    assert ("IndexTeam/IndexTTS-2", (QWEN,)) in needed(tmp_path, LAUNCHER_OFFLINE="yes", LAUNCHER_QWEN="yes")


def test_a_folder_of_ones_own_takes_the_place_of_the_model_and_of_nothing_else(tmp_path: Path) -> None:
    repos = {repo for repo, _ in needed(tmp_path, LAUNCHER_MODEL_DIR=str(tmp_path))}
    assert "IndexTeam/IndexTTS-2" not in repos and "facebook/w2v-bert-2.0" in repos


def test_further_models_come_last(tmp_path: Path) -> None:
    assert needed(tmp_path, "kokoro", LAUNCHER_MODELS="org/name:syncnet.pth") == [("org/name", ("syncnet.pth",))]


def test_a_mirror_that_nobody_could_reach_is_on_record(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path), "HF_ENDPOINT": url}, None, {})
    with pytest.raises(FetchError, match="No mirror answers"):
        bring(config, [Wanted("org/name")], Reporting())
    assert [(one.kind, one.subject) for one in recent(cache_dir(config))] == [("mirror_timeout", url)]


def test_looking_for_what_is_missing_loads_nothing_that_fetches() -> None:
    """The supervisor asks; it answers on the port and has to stay light."""
    code = (
        "import sys, launcher.hub.bringing, launcher.profiles.placing\n"
        "print({'ssl', 'http.client', 'urllib3', 'launcher.hub.fetch'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
