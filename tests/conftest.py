"""What every test stands on: a clean environment, and nothing left running afterwards.

Invariants: no setting of the person who runs the tests reaches a test; every process that a test started carries
`RUN_MARK` in its environment, and one that outlives the session fails it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.chromium import chromium, find_chromium

RUN_MARK = "TTS_LAUNCHER_TEST_RUN"
#: Names that change what the launcher does; a test sets its own.
SETTINGS = ("LAUNCHER_", "HF_", "TORCH_HOME", "TRANSFORMERS_CACHE", "MODELSCOPE_", "GRADIO_", "XDG_")
#: How long processes that were told to stop may take to be gone once the last test is over.
GONE_WITHIN_S = 10.0


def pytest_configure(config: pytest.Config) -> None:
    """Clean the environment before any test module is read."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ.setdefault(RUN_MARK, uuid.uuid4().hex)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests this machine cannot run instead of failing them."""
    if find_chromium() is None:
        skip = pytest.mark.skip(reason="chromium is not installed")
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(skip)


def _left_over() -> Iterator[psutil.Process]:
    """Processes of this test session that still run, except pytest itself and what started it."""
    mark = os.environ[RUN_MARK]
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in ours or process.status() == psutil.STATUS_ZOMBIE:
                continue
            # Python's own tracker ends with the process that uses it, which is the one to name.
            tracks = "multiprocessing.resource_tracker" in "".join(process.cmdline())
            if process.environ().get(RUN_MARK) == mark and not tracks:
                yield process
        except psutil.Error:  # gone meanwhile, or somebody else's
            continue


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the session when a process that a test started outlives it, and end that process."""
    yield
    if hasattr(request.config, "workerinput"):  # one of several parallel workers: the others' processes live
        return
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := list(_left_over())) and time.monotonic() < deadline:
        time.sleep(0.1)
    lines = []
    for process in left:
        try:
            lines.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
        except psutil.Error:
            continue
    assert not lines, "tests left processes running:\n" + "\n".join(lines)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of one file."""
    with chromium() as running:
        yield running
