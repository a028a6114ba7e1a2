"""The ring of staging buffers, with a device made of ordinary memory that takes its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="no CPU build of torch for this Python")

from webui.engine.preload.staging import MIN_BYTES, Ring, StagedCopies  # noqa: E402


class SlowLane:
    """Copies in a thread, some time after it was asked to, as a device does."""

    def __init__(self, size_bytes: int, delay_s: float, log: list[str]) -> None:
        self.buffer = torch.empty(size_bytes, dtype=torch.uint8)
        self._delay_s, self._log = delay_s, log
        self._thread: threading.Thread | None = None

    def wait_free(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def send(self, count: int, destination: Any, after: Any) -> Callable[[], None]:
        assert self._thread is None or not self._thread.is_alive(), "the buffer is still on its way"
        self._log.append(f"send {count} after {after}")

        def copy() -> None:
            time.sleep(self._delay_s)
            destination.copy_(self.buffer[:count])

        self._thread = threading.Thread(target=copy)
        self._thread.start()
        return self._thread.join


def ring_of(count: int, size_bytes: int, delay_s: float = 0.0) -> tuple[Ring, list[str]]:
    log: list[str] = []
    return Ring([SlowLane(size_bytes, delay_s, log) for _ in range(count)]), log


@pytest.mark.parametrize("elements", [1, 1000, 1024, 100_000])
def test_every_byte_arrives(elements: int) -> None:
    ring, log = ring_of(3, 4096, 0.001)
    sources = [torch.randn(elements), torch.randint(0, 99, (elements,)), torch.randn(elements).half()]
    destinations = [torch.empty_like(source) for source in sources]
    flights = [ring.send(source, target, "mark") for source, target in zip(sources, destinations, strict=True)]
    for flight, source, target in zip(flights, sources, destinations, strict=True):
        flight.wait()
        assert torch.equal(source, target)
    ring.close()
    assert ring.sent_bytes == elements * (4 + 8 + 2)
    assert all(line.endswith("after mark") for line in log)


def test_closing_waits_for_what_is_on_its_way() -> None:
    ring, _ = ring_of(2, 1 << 20, 0.2)
    source = torch.randn(1 << 20)
    destination = torch.zeros_like(source)
    ring.send(source, destination)
    ring.close()
    assert torch.equal(source, destination)


def test_a_lane_that_fails_is_reported_to_who_waits() -> None:
    class Broken(SlowLane):
        def send(self, count: int, destination: Any, after: Any) -> Callable[[], None]:
            raise RuntimeError("the device is gone")

    ring = Ring([Broken(1024, 0.0, [])])
    flight = ring.send(torch.ones(5000), torch.empty(5000))
    with pytest.raises(RuntimeError, match="the device is gone"):
        flight.wait()
    ring.close()


def test_copies_are_waited_for_only_by_who_touches_them() -> None:
    ring, log = ring_of(2, 1 << 20, 0.1)
    large, small = torch.randn(MIN_BYTES // 4), torch.randn(10)
    staged = StagedCopies(ring, lambda device: True, lambda: "now")
    with staged:
        here = large.to("cpu", copy=True)
        there = large.to("cpu", copy=True)
        tiny = small.to("cpu", copy=True)
        assert len(log) <= 2 and torch.equal(tiny, small)
        half = here.half()  # touches the first: it must have arrived
        large.zero_()  # and the source may change only when the second has left
    staged.wait_all()
    ring.close()
    assert len(log) == 2
    assert torch.equal(half, here.half()) and float(half.float().std()) > 0.9
    assert torch.equal(here, there)


def test_a_module_moves_and_is_cast_on_the_device() -> None:
    ring, log = ring_of(4, 1 << 20, 0.01)
    model = torch.nn.Sequential(*[torch.nn.Linear(700, 700) for _ in range(3)])
    expected = [parameter.detach().clone().half() for parameter in model.parameters()]
    staged = StagedCopies(ring, lambda device: True, lambda: None)
    with staged:
        moved = [parameter.data.to("cpu", copy=True) for parameter in model.parameters()]
        cast = [tensor.half() for tensor in moved]
    staged.wait_all()
    ring.close()
    assert len(log) == 2 * 3
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(cast, expected, strict=True))
