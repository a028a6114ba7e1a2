"""GPUs: what nvidia-smi says, who holds memory, which build of PyTorch and which plan follow from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from launcher.config import Config, load
from launcher.engines.builds import choose_build
from launcher.engines.gpu import Gpu, Holder, command_of, gpus, read_nvml, read_smi, visible
from launcher.engines.memory import memory_plan
from launcher.engines.recipes import RECIPES, index_build
from launcher.errors import ConfigError

GIB = 1024**3


def make_smi(folder: Path, cards: str, holders: str = "") -> str:
    """A program that answers as nvidia-smi does."""
    path = folder / "nvidia-smi"
    text = f"import sys\nprint({cards!r} if '--query-gpu' in ' '.join(sys.argv) else {holders!r})\n"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


def gpu(total_gib: float = 24, *, capability: tuple[int, int] = (8, 9), cuda: tuple[int, int] = (12, 8)) -> Gpu:
    total = int(total_gib * GIB)
    return Gpu(0, "A card", "570.10", total, total, (), "GPU-0", cuda, capability)


def config(**settings: str) -> Config:
    return load({"LAUNCHER_DATA_DIR": os.path.abspath("unused"), **settings}, None, {})  # noqa: PTH100


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a POSIX script")
def test_what_nvidia_smi_says(tmp_path: Path) -> None:
    cards = "0, GPU-aa, NVIDIA RTX 4090, 570.86.10, 24564, 20000, 8.9\n1, GPU-bb, Tesla P4, 570.86.10, 7680, 7600, 6.1"
    holders = f"GPU-aa, {os.getpid()}, 4300\nGPU-aa, 4194303, [N/A]"
    found = read_smi(make_smi(tmp_path, cards, holders))
    assert found is not None
    first, second = found
    assert (first.index, first.name, first.driver, first.cuda) == (0, "NVIDIA RTX 4090", "570.86.10", (12, 0))
    assert (first.vram_total_bytes, first.vram_free_bytes) == (24564 * 2**20, 20000 * 2**20)
    assert first.holders == (Holder(os.getpid(), 4300 * 2**20), Holder(4194303, 0))
    assert second.capability == (6, 1) and not second.holders
    shown = first.to_json()["holders"]
    assert "python" in shown[0]["command"] and shown[1]["command"] == ""


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a POSIX script")
def test_a_driver_that_fails_is_no_gpu(tmp_path: Path) -> None:
    path = tmp_path / "nvidia-smi"
    path.write_text(
        "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the driver' >&2\nexit 9\n"
    )
    path.chmod(0o755)
    assert read_smi(str(path)) is None
    assert read_smi(str(tmp_path / "nothing")) is None
    assert gpus([lambda: read_smi(str(path))]) == ()


def test_the_first_reader_that_can_say_is_believed() -> None:
    assert gpus([lambda: None, lambda: (gpu(),), lambda: pytest.fail("asked although another one knew")]) == (gpu(),)


def test_looking_never_fails_here() -> None:
    found = read_nvml()
    assert found is None or all(one.vram_total_bytes > 0 for one in found)
    assert isinstance(gpus(), tuple)


def test_commands_of_processes() -> None:
    assert "python" in command_of(os.getpid())
    assert command_of(4194303) == ""


@pytest.mark.parametrize(
    ("listed", "indices"),
    [(None, [0, 1]), ("1", [1]), ("1,0", [1, 0]), ("GPU-b", [1]), ("", []), ("-1", []), ("0,7,1", [0]), ("0,0", [0])],
)
def test_visible_gpus_are_counted_as_cuda_does(listed: str | None, indices: list[int]) -> None:
    found = (Gpu(0, "A", "570", 1, 1, uuid="GPU-aa"), Gpu(1, "B", "570", 1, 1, uuid="GPU-bb"))
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert [one.index for one in visible(found, environ)] == indices


@pytest.mark.parametrize(
    ("card", "build"),
    [
        (None, "cpu"),
        (gpu(), "cu128"),
        (gpu(capability=(12, 0), cuda=(13, 0)), "cu128"),
        (gpu(capability=(6, 1)), "cu126"),
        (gpu(cuda=(11, 0)), "cpu"),
        (gpu(cuda=(0, 0), capability=(0, 0)), "cu128"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="there is one build for macOS")
def test_the_build_follows_gpu_and_driver(card: Gpu | None, build: str) -> None:
    for recipe in RECIPES.values():
        chosen = choose_build(recipe, "auto", card)
        assert chosen.name == build and chosen.name in recipe.builds and chosen.reason.endswith(".")


def test_a_build_that_was_asked_for() -> None:
    recipe = RECIPES["indextts2"]
    assert choose_build(recipe, "cu130", None).name == "cu130"
    assert choose_build(recipe, index_build(), None).in_index
    with pytest.raises(ConfigError, match="cu117"):
        choose_build(recipe, "cu117", gpu())


@pytest.mark.parametrize(
    ("card", "half", "precision", "qwen"),
    [
        (None, "fp16", "fp32", "yes"),
        (gpu(24), "fp16", "fp32", "yes"),
        (gpu(12), "fp16", "fp16", "yes"),
        (gpu(12), "bf16", "bf16", "yes"),
        (gpu(8), "fp16", "fp16", "no"),
        (gpu(9.9), "bf16", "bf16", "no"),
    ],
)
def test_the_memory_plan(card: Gpu | None, half: str, precision: str, qwen: str) -> None:
    plan = memory_plan(card, config(), half)
    assert (plan.precision, plan.qwen) == (precision, qwen)
    assert plan.to_options() == {"precision": precision, "qwen": qwen}


def test_engines_on_one_card_share_its_memory() -> None:
    plan = memory_plan(gpu(24), config(), "bf16", engines=2)
    assert (plan.precision, plan.qwen) == ("bf16", "yes") and "for each of 2 engines" in plan.reason


def test_what_the_user_says_about_memory_wins() -> None:
    plan = memory_plan(gpu(8), config(LAUNCHER_PRECISION="fp32", LAUNCHER_QWEN="yes"), "fp16")
    assert (plan.precision, plan.qwen) == ("fp32", "yes")
    assert "LAUNCHER_PRECISION, LAUNCHER_QWEN" in plan.reason
