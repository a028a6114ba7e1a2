"""A real instance is broken on purpose: everybody is served again soon, with the right sound, and nothing is lost.

This is a short selection; `scripts/bench_reliability.py` makes every fault and writes the table of
docs/reliability.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import scenarios, starts
from tests.faults.scenarios import SETTINGS, Bench, Outcome
from tests.faults.tones import tones


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with tones(folder, settings=SETTINGS) as instance:
        yield Bench(instance, folder / "data")


@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.kill_page,
        scenarios.hang_engine,
        scenarios.engine_out_of_memory,
        scenarios.half_open,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_the_instance_comes_back(bench: Bench, scenario: Callable[[Bench], Outcome]) -> None:
    outcome = scenario(bench)
    assert (outcome.wrong, outcome.data_lost) == (0, ""), outcome
    # A request that is inside a process when that is killed cannot be answered; the others are, or are told to wait.
    assert outcome.lost <= 2, outcome
    assert outcome.recovery_s < float("inf")


def test_a_crowd_is_served_or_told_to_come_back(bench: Bench) -> None:
    outcome = scenarios.many_requests(bench, count=300, clients=60)
    assert dataclasses.astuple(outcome)[-3:] == (0, 0, ""), outcome


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (starts.port_stolen, "It is not ours and stays untouched"),
        (starts.mirror_lies, "served wrong bytes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_is_said(tmp_path: Path, start: Callable[[Path], Outcome], words: str) -> None:
    outcome = start(tmp_path)
    assert words in outcome.seen
    assert outcome.wrong == 0
