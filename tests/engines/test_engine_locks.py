"""The engines' locks: complete, hashed, bound to no machine, and in step with what the launcher says about them."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from launcher.engines.check import WORKER_MODULES
from launcher.engines.lock import blocks, exact_build, versions, without_build
from launcher.engines.recipes import RECIPES, Recipe

ALL = pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.engine)


@ALL
def test_every_package_has_an_exact_version_and_a_hash(recipe: Recipe) -> None:
    found = [text for texts in blocks(recipe.lock()).values() for text in texts]
    assert len(found) > 80
    for text in found:
        requirement = Requirement(text.partition(" \\\n")[0])
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], text
        assert "--hash=sha256:" in text, text
    assert not re.search(r"://|file:|index-url|find-links| @ ", recipe.lock())


@ALL
def test_the_lock_is_what_the_recipe_says(recipe: Recipe) -> None:
    locked = versions(recipe.lock())
    assert locked["torch"] == (recipe.torch,) and locked["torchaudio"] == (recipe.torchaudio,)
    assert recipe.package in locked
    assert set(WORKER_MODULES) <= set(locked)


@ALL
def test_the_index_has_the_build_that_is_taken_for_gpus(recipe: Recipe) -> None:
    """The wheels that the lock names for Linux are those for CUDA 12.8."""
    (runtime,) = versions(recipe.lock())["nvidia-cuda-runtime-cu12"]
    assert runtime.startswith("12.8.") and {"cpu", "cu126", "cu128"} <= set(recipe.builds)


def test_versions_that_speak() -> None:
    (transformers,) = versions(RECIPES["indextts2"].lock())["transformers"]
    assert (5, 2) <= tuple(map(int, transformers.split(".")[:2])) < (5, 18)
    assert versions(RECIPES["indextts2.5"].lock())["transformers"] == ("4.52.1",)


@ALL
def test_what_hangs_on_the_build_can_be_left_out(recipe: Recipe) -> None:
    rest = set(blocks(without_build(recipe.lock())))
    gone = set(blocks(recipe.lock())) - rest
    assert {"torch", "torchaudio", "triton", "nvidia-cudnn-cu12"} <= gone
    assert {"numpy", "transformers", recipe.package} <= rest
    assert all(name in ("torch", "torchaudio", "triton") or name.startswith(("nvidia-", "cuda-")) for name in gone)


@ALL
def test_the_very_version_of_torch(recipe: Recipe) -> None:
    text = exact_build(recipe.lock())
    assert f"\ntorch==={recipe.torch} " in text and f"\ntorchaudio==={recipe.torchaudio} " in text
    assert text.count("===") == 2


@ALL
def test_pythons_are_those_that_we_run_on(recipe: Recipe) -> None:
    assert set(recipe.pythons) <= {"3.10", "3.11", "3.12", "3.13"}
