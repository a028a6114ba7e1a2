"""What every test stands on: a clean environment, and nothing left running afterwards.

Invariants: no setting of the person who runs the tests reaches a test; every process that a test started carries
`RUN_MARK` in its environment, and one that outlives the session fails it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chromium import chromium, find_chromium
from tests.mounting import place_for_a_mount

RUN_MARK = "TTS_LAUNCHER_TEST_RUN"
#: Names that change what the launcher does; a test sets its own.
SETTINGS = ("LAUNCHER_", "HF_", "TORCH_HOME", "TRANSFORMERS_CACHE", "MODELSCOPE_", "GRADIO_", "XDG_")
#: What else a person's shell may have set that a test must not meet: the width of a terminal, ways to the network that
#: do not lead to this machine, an interpreter that compiles everything anew each time.
SURROUNDINGS = ("COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE")
#: Set in the session that began the run, and in none of its workers or sessions inside other interpreters: their
#: fellows' processes still live when they end.
_OWNS_RUN = pytest.StashKey[bool]()
#: How long processes that were told to stop may take to be gone once the last test is over.
GONE_WITHIN_S = 10.0


def pytest_configure(config: pytest.Config) -> None:
    """Clean the environment before any test module is read."""
    for name in [
        name
        for name in os.environ
        if name.startswith(SETTINGS) or name in SURROUNDINGS or name.lower().endswith("_proxy")
    ]:
        del os.environ[name]
    os.umask(0o022)  # other users read what some tests make
    if RUN_MARK not in os.environ:
        os.environ[RUN_MARK] = uuid.uuid4().hex
        config.stash[_OWNS_RUN] = True


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
            if process.environ().get(RUN_MARK) == mark and "multiprocessing.resource_tracker" not in "".join(
                process.cmdline()
            ):
                yield process
        except psutil.Error:  # gone meanwhile, or somebody else's
            continue


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when a process that a test started outlives it, and end that process."""
    if not session.config.stash.get(_OWNS_RUN, False):
        return
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := list(_left_over())) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        try:
            print(f"tests left running: {process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
        except psutil.Error:
            continue
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of one file."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A worker whose engine speaks in tones, for the tests of one file; where an engine itself is tested, that one."""
    from tests.engine.processes import worker

    with worker(tmp_path_factory.mktemp("engine")) as process:
        yield process


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A place for a mount, which is gone afterwards."""
    with place_for_a_mount(tmp_path) as place:
        yield place
