"""A filled cache to copy from and a process to kill: made once for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cache.caches import fill
from tests.cache.killing import Driver


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    """Runs calls in processes that can be killed."""
    with Driver() as running:
        yield running


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hub cache; tests copy it."""
    folder = tmp_path_factory.mktemp("filled") / "hub"
    fill(folder)
    return folder
