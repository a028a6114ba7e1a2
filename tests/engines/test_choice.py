"""Which engine a start takes, and why: from stamps, caches and GPUs that are really there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from launcher.cache.layout import hub_cache
from launcher.config import Config, load
from launcher.engines.choice import Ground, candidate, choose, to_json
from launcher.engines.environments import engine_dir, installed, interpreter, interpreter_in, lock_digest
from launcher.engines.gpu import Gpu
from launcher.engines.recipes import RECIPES
from launcher.errors import EngineError
from launcher.hub.catalog import Part, needed_by

GIB = 1024**3
CARD = Gpu(0, "A card", "570.10", 24 * GIB, 20 * GIB, (), "GPU-0", (12, 8), (8, 9))
SMALL = Gpu(0, "A small card", "570.10", 4 * GIB, 4 * GIB, (), "GPU-0", (12, 8), (7, 5))


class House:
    """A data folder in which engines and models can be put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, str] = {}
        (folder / "none.env").write_text("")

    @property
    def config(self) -> Config:
        return load({"LAUNCHER_DATA_DIR": str(self.folder), **self.settings}, self.folder / "none.env", {})

    def install(self, engine: str, *, build: str = "cu128", digest: str = "") -> Path:
        folder = engine_dir(self.config, engine)
        python = interpreter_in(folder / "env-1")
        python.parent.mkdir(parents=True)
        python.write_text("")
        stamp = {
            "folder": "env-1",
            "python_version": "3.11.9",
            "versions": {RECIPES[engine].package: "1.0"},
            "build": build,
            "lock_digest": digest or lock_digest(RECIPES[engine].lock()),
            "checked": True,
            "installed_at": 1.0,
        }
        (folder / "engine.json").write_text(json.dumps(stamp))
        return python

    def bring(self, engine: str) -> None:
        """Puts the engine's models into the cache: every file with its size, holes in place of bytes."""
        for entry in needed_by(engine):
            parts: dict[str, list[Part]] = {}
            for part in entry.parts:
                parts.setdefault(part.repo, []).append(part)
            for repo, of_repo in parts.items():
                sizes = {path: size for part in of_repo for path, size in part.sizes.items()}
                folder = hub_cache(self.config) / f"models--{repo.replace('/', '--')}"
                commit = of_repo[0].revision
                for path, size in sizes.items():
                    file = folder / "snapshots" / commit / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with file.open("wb") as hole:
                        hole.truncate(size)
                (folder / "trees").mkdir(exist_ok=True)
                listed = {path: {"size": size, "blob_id": "0" * 40} for path, size in sizes.items()}
                (folder / "trees" / f"{commit}.json").write_text(json.dumps({"files": listed}))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_nothing_is_looked_at_while_no_engine_is_installed(house: House) -> None:
    choice = choose(house.config, find_gpus=lambda: pytest.fail("asked for GPUs"))
    assert (choice.name, choice.interpreter, choice.models) == ("kokoro", Path(sys.executable), ())
    assert "no other engine is installed" in choice.reason and not choice.missing
    choice.require()


@pytest.mark.parametrize(
    ("installed_ones", "brought", "card", "expected", "words"),
    [
        (["indextts2", "indextts2.5"], ["indextts2", "indextts2.5"], CARD, "indextts2.5", "best engine"),
        (["indextts2"], ["indextts2"], CARD, "indextts2", "indextts2.5 is not installed"),
        (["indextts2", "indextts2.5"], ["indextts2"], CARD, "indextts2", "indextts2.5 lacks its weights"),
        (["indextts2"], [], CARD, "kokoro", "fetch indextts-2"),
        (["indextts2"], ["indextts2"], None, "kokoro", "finds no GPU"),
        (["indextts2"], ["indextts2"], SMALL, "kokoro", "needs 7.2 of the GPU's 4.3 GB"),
    ],
)
def test_auto_takes_the_best_that_can_and_says_why(
    house: House, installed_ones: list[str], brought: list[str], card: Gpu | None, expected: str, words: str
) -> None:
    for name in installed_ones:
        house.install(name)
    for name in brought:
        house.bring(name)
    choice = choose(house.config, find_gpus=lambda: [card] if card else [])
    assert choice.name == expected, choice.reason
    assert words in choice.reason and choice.reason.endswith(".")
    assert not choice.missing and not choice.warnings


def test_a_build_for_the_processor_is_no_engine_for_a_gpu(house: House) -> None:
    house.install("indextts2", build="cpu")
    house.bring("indextts2")
    choice = choose(house.config, find_gpus=lambda: [CARD])
    assert choice.name == "kokoro" and "without CUDA" in choice.reason
    house.settings["LAUNCHER_ENGINE"] = "indextts2"
    named = choose(house.config, find_gpus=lambda: [CARD])
    assert named.name == "indextts2" and any("--cuda auto" in warning for warning in named.warnings)


def test_a_device_that_was_chosen_counts(house: House) -> None:
    house.install("indextts2")
    house.bring("indextts2")
    house.settings["LAUNCHER_DEVICE"] = "cpu"
    assert "LAUNCHER_DEVICE" in choose(house.config, find_gpus=lambda: pytest.fail("asked for GPUs")).reason
    house.settings["LAUNCHER_DEVICE"] = "cuda:1"
    assert choose(house.config, find_gpus=lambda: [CARD]).name == "kokoro"
    assert choose(house.config, find_gpus=lambda: [SMALL, CARD]).name == "indextts2"
    house.settings["CUDA_VISIBLE_DEVICES"] = "0"
    assert choose(house.config, find_gpus=lambda: [SMALL, CARD]).name == "kokoro"


def test_an_engine_that_is_named_and_missing(house: House) -> None:
    house.settings["LAUNCHER_ENGINE"] = "indextts2.5"
    choice = choose(house.config, find_gpus=lambda: [CARD])
    assert choice.missing and choice.models == ("indextts-2.5",) and not choice.interpreter.exists()
    with pytest.raises(EngineError) as failure:
        choice.require()
    assert "engine install indextts2.5" in failure.value.fix
    assert to_json(choice)["missing"] is True


def test_an_interpreter_of_the_users_own(house: House) -> None:
    house.settings |= {"LAUNCHER_ENGINE": "indextts2", "LAUNCHER_ENGINE_PYTHON": sys.executable}
    choice = choose(house.config, find_gpus=lambda: [CARD])
    assert choice.interpreter == Path(sys.executable) and not choice.missing
    assert interpreter(house.config, "kokoro") == Path(sys.executable)
    house.settings["LAUNCHER_ENGINE_PYTHON"] = str(house.folder / "nothing")
    with pytest.raises(EngineError, match="LAUNCHER_ENGINE_PYTHON"):
        choose(house.config, find_gpus=lambda: [CARD])


def test_memory_that_others_hold_is_told(house: House) -> None:
    house.install("indextts2")
    house.bring("indextts2")
    busy = Gpu(0, "A card", "570.10", 24 * GIB, 2 * GIB, (), "GPU-0", (12, 8), (8, 9))
    choice = choose(house.config, find_gpus=lambda: [busy])
    assert choice.name == "indextts2"
    assert any("2.1 GB are free" in warning and "engine ls" in warning for warning in choice.warnings)


def test_a_model_folder_of_the_users_own(house: House) -> None:
    house.install("indextts2")
    house.bring("indextts2")
    house.settings["LAUNCHER_MODEL_DIR"] = str(house.folder / "checkpoints")
    assert "lacks its weights" in choose(house.config, find_gpus=lambda: [CARD]).reason
    (house.folder / "checkpoints").mkdir()
    (house.folder / "checkpoints" / "config.yaml").write_text("")
    assert choose(house.config, find_gpus=lambda: [CARD]).name == "indextts2"


def test_weights_that_are_half_there(house: House) -> None:
    house.bring("indextts2")
    next(hub_cache(house.config).glob("models--funasr*/snapshots/*/*.bin")).unlink()
    one = candidate(Ground(house.config, lambda: [CARD]), RECIPES["indextts2"])
    assert one.weights == "partial" and one.fits


def test_a_small_card_needs_no_emotion_model(house: House) -> None:
    house.install("indextts2")
    house.bring("indextts2")
    for path in hub_cache(house.config).glob("models--IndexTeam*/snapshots/*/qwen0.6bemo4-merge/*"):
        path.unlink()
    eight = Gpu(0, "A card", "570.10", 8 * GIB, 8 * GIB, (), "GPU-0", (12, 8), (8, 9))
    choice = choose(house.config, find_gpus=lambda: [eight])
    assert choice.name == "indextts2", choice.reason
    assert choice.memory is not None and choice.memory.to_options() == {"precision": "fp16", "qwen": "no"}


def test_an_environment_from_another_lock_is_told(house: House) -> None:
    house.install("indextts2", digest="0" * 64)
    house.settings["LAUNCHER_ENGINE"] = "indextts2"
    choice = choose(house.config, find_gpus=lambda: [CARD])
    assert any("older lock" in warning for warning in choice.warnings)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": "env-1"}', '{"folder": 1, "versions": 2}'])
def test_a_stamp_that_says_nothing_is_no_environment(house: House, text: str) -> None:
    python = house.install("indextts2")
    assert installed(house.config, "indextts2") is not None
    stamp = engine_dir(house.config, "indextts2") / "engine.json"
    whole = stamp.read_text()
    stamp.write_text(text)
    assert installed(house.config, "indextts2") is None
    stamp.write_text(whole)
    python.unlink()
    assert installed(house.config, "indextts2") is None
