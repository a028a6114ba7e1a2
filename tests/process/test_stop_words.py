"""What a stop says of GPUs' memory and of processes that did not end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.engines.gpu import Gpu, Holder
from launcher.process.facts import ProcessFacts
from launcher.process.instance import survivors_error, way_out
from launcher.process.video_memory import MemoryBefore

GB = 10**9
FACTS = ProcessFacts(2**22 + 7, 1.0, "mia", ("python", "webui.py"), "/srv", "", "sleeping", 1)


def gpu(used_gb: float, *holders: tuple[int, float]) -> Gpu:
    held = tuple(Holder(pid, int(size * GB)) for pid, size in holders)
    return Gpu(0, "NVIDIA L40S", "580.1", 48 * GB, int((48 - used_gb) * GB), held)


class Driver:
    """Answers one look after the other; the last answer stays."""

    def __init__(self, *looks: Gpu) -> None:
        self.looks = list(looks)
        self.asked = 0

    def __call__(self) -> tuple[Gpu, ...]:
        self.asked += 1
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0],)


def test_memory_that_came_back_is_two_numbers() -> None:
    before = MemoryBefore(Driver(gpu(9, (40, 7), (77, 1.5)), gpu(8.9, (77, 1.5)), gpu(2, (77, 1.5))))
    [back] = before.compare([40], sleep=lambda seconds: None)
    assert (back.before_bytes, back.after_bytes, back.held_bytes, back.missing_bytes) == (9 * GB, 2 * GB, 7 * GB, 0)
    assert back.sentence() == "GPU 0: 9.00 GB in use before, 2.00 GB after."


def test_memory_that_stays_away_is_named_with_its_holder() -> None:
    driver = Driver(gpu(9, (40, 7)), gpu(6, (2**22 + 9, 4)))
    waited: list[float] = []
    [left] = MemoryBefore(driver).compare([40, 41], wait_s=1.0, sleep=waited.append)
    assert left.missing_bytes == 4 * GB
    assert sum(waited) == pytest.approx(1.0)
    assert "4.00 GB that the instance held has not come back" in left.sentence()
    assert f"pid {2**22 + 9} (not to be seen from here), 4.00 GB" in left.sentence()


def test_what_others_take_meanwhile_is_not_held_against_it() -> None:
    # Numbers of a container say nothing about who is who: then there are no claims.
    [seen] = MemoryBefore(Driver(gpu(9, (1040, 7)), gpu(9.5, (1041, 8)))).compare([40], sleep=lambda seconds: None)
    assert (seen.held_bytes, seen.missing_bytes) == (0, 0)


def test_without_a_gpu_nothing_is_said() -> None:
    asked: list[bool] = []

    def none() -> tuple[Gpu, ...]:
        asked.append(True)
        return ()

    assert MemoryBefore(none).compare([1]) == ()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "disk-sleep"}, ["waits in the kernel", "restart of the machine"]),
        ({"owner": "ben"}, ["with the rights of ben"]),
        ({"status": "tracing-stop"}, ["debugger"]),
        ({}, [f"kill -9 {FACTS.pid}"]),
    ],
)
def test_each_survivor_comes_with_a_way_out(changes: dict[str, str], words: list[str]) -> None:
    text = way_out(replace(FACTS, **changes), "mia")
    assert all(word in text for word in words)
    assert text.endswith(".")


def test_several_survivors_are_one_error() -> None:
    error = survivors_error("Not everything ended", [FACTS, replace(FACTS, pid=FACTS.pid + 1, status="disk-sleep")])
    assert f"pid {FACTS.pid} (python webui.py, owner mia); pid {FACTS.pid + 1}" in error.message
    assert "kernel" in error.fix
