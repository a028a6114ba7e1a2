"""The fair queue: who is admitted next, who is refused, what a leaver frees."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.queueing import MAX_ASKED, MAX_RETRY_AFTER_S, FairQueue, QueueFullError, Ticket


def test_clients_take_turns() -> None:
    async def main() -> None:
        queue = FairQueue(10)
        greedy = [queue.join("greedy") for _ in range(3)]
        polite = [queue.join("polite") for _ in range(2)]
        assert greedy[0].admitted
        assert [queue.position(ticket) for ticket in (*greedy, *polite)] == [0, 1, 3, 2, 4]
        order = []
        current: Ticket | None = greedy[0]
        while current is not None:
            order.append(current)
            queue.leave(current)
            current = next((ticket for ticket in (*greedy, *polite) if ticket.admitted and ticket not in order), None)
        assert order == [greedy[0], greedy[1], polite[0], greedy[2], polite[1]]

    asyncio.run(main())


def test_a_full_queue_refuses_and_a_leaver_makes_room() -> None:
    async def main() -> None:
        queue = FairQueue(1)
        first, second = queue.join("a"), queue.join("a")
        with pytest.raises(QueueFullError) as caught:
            queue.join("b")
        assert caught.value.http_status == 429
        queue.leave(second)
        third = queue.join("b")
        queue.leave(first)
        assert third.admitted
        queue.leave(third)
        assert queue.join("c").admitted

    asyncio.run(main())


def test_a_refused_client_is_told_when_the_row_will_have_gone_by() -> None:
    async def main() -> None:
        now = 0.0
        queue = FairQueue(4, places=2, clock=lambda: now)

        def refused() -> int:
            with pytest.raises(QueueFullError) as caught:
                queue.join("late")
            assert f"{caught.value.retry_after_s} s" in caught.value.fix
            return caught.value.retry_after_s

        tickets = [queue.join("a") for _ in range(6)]
        assert refused() == 4, "2 s each are a guess: four wait, two at a time"
        # Whoever holds a place for longer than usual is what the others wait for.
        now = 9.0
        assert refused() == 18
        for _ in range(2):
            queue.leave(tickets.pop(0))
        tickets += [queue.join("a") for _ in range(2)]
        assert refused() == 18, "measured: 9 s each"
        # Quick ones bring it down, a step at a time; leaving the row unserved is no measure.
        for _ in range(40):
            now += 0.01
            queue.leave(tickets.pop(0))
            tickets.append(queue.join("a"))
        assert refused() == 1
        queue.leave(tickets.pop())
        tickets.append(queue.join("a"))
        assert refused() == 1
        now += 10_000
        assert refused() == MAX_RETRY_AFTER_S

    asyncio.run(main())


def test_work_in_the_background_is_no_measure() -> None:
    async def main() -> None:
        now = 0.0
        queue = FairQueue(1, clock=lambda: now)
        row = queue.join("jobs", in_background=True)
        queue.join("a")
        now = 50.0
        with pytest.raises(QueueFullError) as caught:
            queue.join("b")
        queue.leave(row)
        assert caught.value.retry_after_s == 2

    asyncio.run(main())


def test_nobody_is_overtaken_twice_by_the_same_client() -> None:
    async def main() -> None:
        queue = FairQueue(100, places=3)
        greedy = [queue.join("greedy") for _ in range(50)]
        polite = [queue.join("polite") for _ in range(3)]
        order = [ticket for ticket in greedy if ticket.admitted]
        assert len(order) == 3
        for index in range(50):
            queue.leave(order[index])
            order += [ticket for ticket in (*greedy, *polite) if ticket.admitted and ticket not in order]
        assert [order.index(ticket) for ticket in polite] == [4, 6, 8]

    asyncio.run(main())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=60), st.integers(1, 4))
def test_every_place_is_taken_whoever_comes_and_goes(steps: list[tuple[str, int]], places: int) -> None:
    async def main() -> None:
        queue = FairQueue(100, places)
        present: list[Ticket] = []
        for client, action in steps:
            if action < 6 or not present:
                present.append(queue.join(client))
            else:
                queue.leave(present.pop(action % len(present)))
            served = min(places, len(present))
            assert sum(ticket.admitted for ticket in present) == served
            waiting = list(range(1, len(present) - served + 1))
            assert sorted(map(queue.position, present)) == [0] * served + waiting

    asyncio.run(main())


def test_the_background_waits_for_everybody_else_and_takes_nobodys_room() -> None:
    async def run() -> None:
        queue = FairQueue(1, places=1)
        rows = [queue.join("jobs", in_background=True) for _ in range(3)]
        assert [row.admitted for row in rows] == [True, False, False]
        person = queue.join("page")
        assert (queue.length, queue.position(person), queue.position(rows[1])) == (1, 1, 2)
        queue.leave(rows[0])
        assert person.admitted and not rows[1].admitted
        another = queue.join("page")
        queue.leave(person)
        assert another.admitted and not rows[1].admitted
        queue.leave(rows[2])
        queue.leave(another)
        assert rows[1].admitted and queue.places == 1

    asyncio.run(run())


def test_the_background_is_asked_to_leave_for_whoever_waits() -> None:
    async def run() -> None:
        queue = FairQueue(8, places=2)
        rows = [queue.join("jobs", in_background=True) for _ in range(9)]
        persons = [queue.join("page")]
        assert [row.asked_to_leave.is_set() for row in rows[:3]].count(True) == 1, "as many as somebody waits for"
        (asked,) = [row for row in rows if row.asked_to_leave.is_set()]
        queue.leave(asked)
        assert persons[0].admitted and not any(row.asked_to_leave.is_set() for row in rows if row is not asked)

    asyncio.run(run())


def test_one_of_the_background_stays_to_its_end_where_somebody_always_comes() -> None:
    async def run() -> None:
        queue, asked = FairQueue(8, places=1), []
        for _ in range(2 * (MAX_ASKED + 1)):
            row = queue.join("jobs", in_background=True)
            person = queue.join("page")
            asked.append(row.asked_to_leave.is_set())
            queue.leave(row)
            assert person.admitted
            queue.leave(person)
        assert asked == [True] * MAX_ASKED + [False] + [True] * MAX_ASKED + [False]

    asyncio.run(run())
