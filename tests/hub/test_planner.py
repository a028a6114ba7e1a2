"""Any interleaving of completions, failures, splits and restarts yields the file, and no byte is fetched by two."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from launcher.hub.planner import MIN_PART_BYTES, Lease, Planner, gaps, merged

KIB = 1024
SIZES = st.integers(0, 3000 * KIB)


class Fetching(RuleBasedStateMachine):
    """Whole transfers as a model: which bytes were written and recorded, and by which lease."""

    leases = Bundle("leases")

    @initialize(size=SIZES)
    def begin(self, size: int) -> None:
        self.size, self.now = size, 0.0
        self.planner = Planner(size)

    def _kept(self, lease: Lease | None) -> object:
        return multiple() if lease is None else lease

    @rule(target=leases, most=st.integers(1, 2000 * KIB))
    def take(self, most: int) -> object:
        return self._kept(self.planner.take("a", most, self.now))

    @rule(target=leases, rate=st.floats(0, 1e9))
    def split(self, rate: float) -> object:
        return self._kept(self.planner.split("b", rate, self.now))

    @rule(target=leases)
    def take_rest(self) -> object:
        return self._kept(self.planner.take_rest("c", self.now))

    @rule(lease=leases, length=st.integers(0, 500 * KIB))
    def receive(self, lease: Lease, length: int) -> None:
        if lease in self.planner.leases:
            taken = self.planner.accept(lease, length, self.now)
            assert 0 <= taken <= length
            assert lease.accepted <= lease.end

    @rule(lease=leases)
    def record(self, lease: Lease) -> None:
        if lease in self.planner.leases:
            self.planner.record(lease)

    @rule(lease=consumes(leases))
    def release(self, lease: Lease) -> None:
        if lease in self.planner.leases:
            self.planner.release(lease)

    @rule(start=SIZES, length=st.integers(1, 700 * KIB))
    def drop(self, start: int, length: int) -> None:
        self.planner.drop(start, min(start + length, self.size))

    @rule(seconds=st.floats(0.01, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.planner = Planner(self.size, self.planner.done)

    @invariant()
    def everything_is_somewhere_once(self) -> None:
        if not hasattr(self, "planner"):
            return
        leased = [(lease.recorded, lease.end) for lease in self.planner.leases]
        spans = sorted(span for span in [*self.planner.done, *leased, *self.planner._pending] if span[0] < span[1])
        place = 0
        for start, end in spans:
            assert start == place, f"{spans} overlap or leave a gap at {place}"
            place = end
        assert place == self.size

    def teardown(self) -> None:
        if not hasattr(self, "planner"):
            return
        for lease in self.planner.leases:
            self.planner.release(lease)
        while (lease := self.planner.take("end", 1 << 30, self.now)) is not None:
            self.planner.accept(lease, lease.left, self.now)
            self.planner.record(lease)
            self.planner.release(lease)
        assert self.planner.is_complete
        assert self.planner.prefix == self.size


Fetching.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestFetching = Fetching.TestCase


def test_an_idle_connection_takes_over_so_that_both_end_together() -> None:
    planner = Planner(8000 * KIB)
    lease = planner.take("slow", 8000 * KIB, 0.0)
    assert lease is not None
    planner.accept(lease, 1000 * KIB, 4.0)  # 250 KiB/s
    other = planner.split("fast", 750 * KIB, 4.0)
    assert other is not None
    assert (lease.end, other.start, other.end) == (other.start, lease.end, 8000 * KIB)
    assert abs(lease.left / (250 * KIB) - other.left / (750 * KIB)) < 0.1


def test_a_stalled_connection_loses_all_that_it_has_not_accepted() -> None:
    planner = Planner(100 * KIB)
    lease = planner.take("stalled", 100 * KIB, 0.0)
    assert lease is not None
    planner.accept(lease, 10 * KIB, 0.5)
    other = planner.split("healthy", 5e6, 30.0)
    assert other is not None and other.end == 100 * KIB
    assert lease.left < MIN_PART_BYTES


def test_a_rest_that_is_nearly_there_is_left_alone() -> None:
    planner = Planner(1000 * KIB)
    lease = planner.take("a", 1000 * KIB, 0.0)
    assert lease is not None
    planner.accept(lease, 900 * KIB, 1.0)
    assert planner.split("b", 900 * KIB, 1.0) is None


def test_ranges() -> None:
    assert merged([(5, 7), (0, 2), (2, 3), (9, 9)]) == [(0, 3), (5, 7)]
    assert list(gaps([(0, 3), (5, 7)], 10)) == [(3, 5), (7, 10)]
