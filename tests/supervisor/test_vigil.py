"""Children that fall silent, and what is told of a crash, with a clock of the test's own."""

from __future__ import annotations

import pytest

from tests.supervisor.keeping import World


def test_a_mute_child_is_killed_and_counts_as_a_crash() -> None:
    world = World(limit=0)
    world.keeper.start()
    world.pass_time(29.0)
    assert world.child.signals == []
    world.pass_time(2.0)
    assert world.child.signals == ["kill"]
    world.crash(-9)
    error = world.status.components["page"].error
    assert error is not None
    assert "said nothing for 30 s" in error["message"]


def test_any_word_gives_more_time() -> None:
    world = World()
    world.keeper.start()
    world.say("hello")
    for _ in range(5):
        world.pass_time(40.0)
        world.say("progress", progress={"stage": "import"})
    assert world.child.signals == []
    world.say("ready")
    world.pass_time(1000.0)
    assert world.child.signals == []


def test_a_child_that_falls_silent_while_it_serves_is_killed_and_comes_back() -> None:
    world = World()
    world.keeper.start()
    world.say("ready", beats=True)
    world.pass_time(29.0)
    assert world.child.signals == []
    world.pass_time(2.0)
    assert world.child.signals == ["kill"], "it had promised"
    world.crash(-9)
    world.say("ready")
    world.pass_time(500.0)
    assert world.child.signals == [], "who neither promised nor gave a sign of life is not judged by them"
    for _ in range(20):
        world.say("alive")
        world.pass_time(26.0)
    assert world.child.signals == []
    world.pass_time(40.0)
    assert world.child.signals == ["kill"]
    world.crash(-9)
    error = world.status.components["page"].error
    assert len(world.children) == 3 and error is not None
    assert "gave no sign of life for 30 s" in error["message"] and "logs --crash" in error["fix"]


def test_a_pause_of_the_machine_makes_nobody_late() -> None:
    world = World()
    world.keeper.start()
    world.say("ready")
    for _ in range(5):
        world.say("alive")
        world.clock.now += 3600.0  # nothing ran: neither the child nor this loop
        world.loop.run_once(0.0)
        world.pass_time(10.0)
    assert world.child.signals == []
    world.keeper.unload()
    world.pass_time(3.0)
    assert world.child.signals == ["terminate"], "a child that is to end is not watched"


def test_a_crash_is_described() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.say("progress", progress={"stage": "load", "done": 1, "total": 2})
    world.pass_time(4.0)
    pid = world.child.pid
    world.crash(-11)
    [crash] = world.crashes
    assert (crash.component, crash.signal, crash.stage, crash.pid) == ("engine", "SIGSEGV", "load", pid)
    assert (crash.peak_bytes, crash.lines, crash.to_json()["exit_code"]) == (123_000_000, ("last words",), None)
    assert crash.ran_s == pytest.approx(4.0, abs=0.2)
    error = world.status.components["engine"].error
    assert error is not None
    assert "SIGSEGV while it was in stage 'load', after 4 s, with at most 123 MB of memory" in error["message"]
