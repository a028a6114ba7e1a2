"""When a child is started again and when not, with a clock and children of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.process.child import describe_exit
from launcher.process.health import MAX_BACKOFF_S, CrashBudget
from launcher.process.timings import FIRST_GUESS_S, MARGIN, StartTimes
from tests.supervisor.keeping import World


def test_ready_ends_the_start_and_is_remembered() -> None:
    world = World()
    world.keeper.start()
    assert world.keeper.remaining_s() == pytest.approx(FIRST_GUESS_S["page"] * MARGIN)
    world.pass_time(2.0)
    assert world.keeper.remaining_s() == pytest.approx(FIRST_GUESS_S["page"] * MARGIN - 2.0)
    world.say("ready", info={})
    assert (world.keeper.state, world.calls[-1]) == ("ready", "ready")
    assert world.keeper.remaining_s() == 0
    assert world.times.usual_s("page") == pytest.approx(2.0)


def test_a_late_start_is_estimated_anew_and_never_at_0() -> None:
    world = World()
    world.keeper.start()
    world.say("hello")
    world.pass_time(30.0)
    assert world.keeper.remaining_s() == pytest.approx(10.0)


def test_pauses_grow_and_then_it_gives_up() -> None:
    world = World(limit=3)
    world.keeper.start()
    pauses = []
    for _ in range(3):
        world.child.exit(1)
        began, count = world.clock.now, len(world.children)
        while len(world.children) == count:
            world.pass_time(0.05)
        pauses.append(world.clock.now - began)
    assert pauses == sorted(pauses)
    world.crash(-9)
    assert world.keeper.state == "failed"
    assert world.keeper.remaining_s() is None
    error = world.status.components["page"].error
    assert error is not None
    assert "SIGKILL" in error["message"]
    assert "last words" in error["message"]
    assert len(world.children) == 4
    world.pass_time(100.0)
    assert len(world.children) == 4


def test_crashes_outside_the_window_do_not_count() -> None:
    world = World(limit=1)
    world.keeper.start()
    for _ in range(5):
        world.say("ready")
        world.crash()
        world.pass_time(100.0)
    assert world.keeper.state == "restarting"
    assert len(world.children) == 6


def test_the_pause_has_an_end() -> None:
    budget = CrashBudget(1000, 1e9)
    assert max(budget.record(float(number)) or 0.0 for number in range(50)) == MAX_BACKOFF_S


def test_a_restart_forgets_crashes_and_waits_for_the_old_child() -> None:
    world = World(limit=1)
    world.keeper.start()
    world.say("ready")
    world.crash()
    world.pass_time(1.0)
    world.say("ready")
    old = world.child
    world.keeper.restart()
    assert old.signals == ["terminate"]
    assert len(world.children) == 2
    world.pass_time(10.0)
    assert "kill" in old.signals
    world.crash(-9)
    assert len(world.children) == 3
    world.crash()
    assert world.keeper.state == "restarting"


def test_what_an_earlier_child_says_is_not_heard() -> None:
    world = World()
    world.keeper.start()
    old = world.child.pid
    world.crash()
    assert len(world.children) == 2
    world.keeper.hear({"event": "ready", "pid": old})
    assert world.keeper.state == "restarting"
    world.say("ready")
    assert world.keeper.state == "ready"


def test_a_child_that_gets_ready_while_it_is_to_make_room_is_not_the_new_one() -> None:
    world = World()
    world.keeper.start()
    world.keeper.restart()
    world.say("ready")
    assert world.keeper.state == "restarting"
    assert "ready" not in world.calls
    world.crash(0)
    assert len(world.children) == 2
    world.say("ready")
    assert world.keeper.state == "ready"
    assert world.calls.count("ready") == 1


def test_a_report_that_arrives_just_after_the_end_still_counts() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.child.exit(6)
    world.loop.run_once(0.0)
    world.say("failed", message="No weights.", fix="Fetch them.")
    world.pass_time(1.0)
    assert world.keeper.state == "failed"
    assert world.status.components["engine"].error == {"message": "No weights.", "fix": "Fetch them."}
    assert len(world.children) == 1


@pytest.mark.parametrize("progress", [None, 5, {}, {"stage": "x", "done": "much"}, {"stage": "x", "total": []}])
def test_nonsense_progress_is_survived(progress: object) -> None:
    world = World()
    world.keeper.start()
    world.say("progress", progress=progress)
    world.say("ready")
    assert world.keeper.state == "ready"


def test_stop_in_a_pause_ends_it() -> None:
    world = World()
    world.keeper.start()
    world.child.exit(1)
    world.loop.run_once(0.0)
    world.keeper.stop(1.0)
    world.pass_time(30.0)
    assert (world.keeper.state, len(world.children)) == ("stopped", 1)


def test_the_stages_follow_the_engines_words() -> None:
    world = World(component="engine")

    def states() -> tuple[str, str]:
        return world.status.stages["weights"].state, world.status.stages["engine"].state

    world.keeper.start()
    assert states() == ("waiting", "running")
    for word, expected in (("import", "waiting"), ("assemble", "running"), ("load", "done"), ("warm_up", "done")):
        world.say("progress", progress={"stage": word, "done": 1, "total": 2})
        assert states() == (expected, "running")
    world.say("ready", info={"name": "kokoro"})
    assert states() == ("done", "done")
    assert world.status.snapshot()["components"]["engine"]["info"] == {"name": "kokoro"}


def test_the_state_of_the_whole() -> None:
    world = World()
    status = world.status
    assert status.state == "starting"
    status.enter("page", "ready")
    assert status.state == "starting"
    status.enter("engine", "ready")
    assert status.state == "ready"
    status.enter("engine", "restarting")
    assert status.state == "degraded"
    status.enter("engine", "failed")
    assert status.state == "failed"
    status.stopping = True
    assert status.state == "stopping"


def test_damaged_start_times_are_no_obstacle(tmp_path: Any) -> None:
    path = tmp_path / "times.json"
    for text in ("", "[]", "5", '{"page": "x"}', '{"page": -1}', '{"page": 1e99}'):
        path.write_text(text)
        assert StartTimes(path).usual_s("page") == FIRST_GUESS_S["page"]
    StartTimes(path).note("page", 3.0)
    assert StartTimes(path).usual_s("page") == 3.0
    StartTimes(tmp_path / "missing" / "times.json").note("page", 1.0)


def test_exits_are_named() -> None:
    assert describe_exit(3) == "ended with exit code 3"
    assert describe_exit(-11) == "was killed by SIGSEGV"
    assert describe_exit(-100) == "was killed by signal 100"


def test_unloaded_it_stays_away_until_it_is_wanted() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.say("ready")
    world.keeper.unload()
    assert (world.keeper.state, world.child.signals, world.calls[-1]) == ("stopping", ["terminate"], "down")
    world.crash(0)
    assert world.keeper.state == "unloaded" and world.keeper.remaining_s() is None
    world.pass_time(30.0)
    assert len(world.children) == 1
    world.keeper.load()
    world.keeper.load()
    assert len(world.children) == 2 and world.keeper.state == "starting"
    world.say("ready")
    assert world.keeper.state == "ready" and world.status.components["engine"].restarts == 0


def test_wanted_while_it_is_unloaded_it_comes_back_at_once() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.say("ready")
    world.say("idle")
    assert world.keeper.state == "stopping"
    world.keeper.load()
    world.crash(0)
    assert world.keeper.state == "starting" and len(world.children) == 2
    # What it said of idleness before it was ready again counts for nothing.
    world.say("idle")
    assert world.child.signals == []


def test_unloaded_while_it_is_restarted_it_stays_away() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.say("ready")
    world.keeper.restart()
    world.keeper.unload()
    world.crash(0)
    assert world.keeper.state == "unloaded" and len(world.children) == 1


def test_the_last_word_counts_while_it_ends() -> None:
    world = World(component="engine")
    world.keeper.start()
    world.say("ready")
    world.keeper.unload()
    world.keeper.load()
    world.keeper.unload()
    world.crash(0)
    assert world.keeper.state == "unloaded" and len(world.children) == 1


def test_a_task_that_is_done_ends_without_a_crash() -> None:
    world = World(component="weights", task=True)
    world.keeper.start()
    world.say("ready", info={})
    world.crash(0)
    assert world.keeper.state == "ready" and len(world.children) == 1
    world.keeper.restart()
    world.say("failed", message="No mirror.", fix="Set one.")
    world.crash(10)
    assert (world.keeper.state, world.calls[-1]) == ("failed", "failed No mirror.")


def test_a_crash_that_the_child_mends_itself_counts_as_one() -> None:
    world = World(limit=2, component="engine")
    world.keeper.start()
    world.pass_time(20.0)
    world.say("ready")
    usual_s = world.times.usual_s("engine")
    for count in (1, 2):
        world.say("replaced", status=-11)
        engine = world.status.components["engine"]
        assert (world.keeper.state, engine.restarts) == ("restarting", count)
        assert engine.error is not None and "SIGSEGV" in engine.error["message"]
        world.say("progress", progress={"stage": "load"})
        world.say("ready")
        assert world.keeper.state == "ready" and engine.error is None
    assert len(world.children) == 1 and world.child.signals == []
    assert world.times.usual_s("engine") == usual_s  # a quick return says nothing about a start
    world.say("replaced", status=-11)
    assert world.child.signals == ["terminate"]
    world.crash(0)
    assert world.keeper.state == "failed"
    error = world.status.components["engine"].error
    assert error is not None and "3 times" in error["message"]


def test_a_task_that_crashes_too_often_says_how_to_try_again() -> None:
    world = World(component="weights", task=True, limit=0)
    world.keeper.start()
    world.crash(-9)
    error = world.status.components["weights"].error
    assert world.keeper.state == "failed" and error is not None
    assert "SIGKILL" in error["message"] and "restart engine" in error["fix"]
