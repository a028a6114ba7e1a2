"""One ready instance for the tests that only talk to it; those that break one start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.running import Running, running


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose caches all instances of the session share."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def shared_instance(data_dir: Path) -> Iterator[Running]:
    """An instance that nobody may break."""
    with running(data_dir, "shared") as instance:
        yield instance
