"""The first sound that an environment has to make when it is installed, by the packages' own classes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.engines.check import TRIAL, check
from launcher.engines.recipes import RECIPES


@pytest.mark.parametrize("engine", sorted(RECIPES))
def test_the_packages_make_a_sound(engine_python: Path, engine: str) -> None:
    recipe = RECIPES[engine]
    checked = check(engine_python, recipe, [recipe.package, "torch"], dict(os.environ), trial=TRIAL)
    assert (checked.error, checked.step) == ("", "speak")
    assert set(checked.versions) == {recipe.package, "torch"}
