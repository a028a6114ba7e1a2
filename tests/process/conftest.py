"""Fixtures of the process tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.process.spawn import Nursery


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """Starts real processes and ends them after the test."""
    nursery = Nursery()
    yield nursery
    nursery.close()
