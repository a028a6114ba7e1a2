"""Leftovers of an instance are found and ended; everybody else's processes never hear of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from launcher.process.facts import new_mark, observe, still
from launcher.process.identity import Leftovers, find_leftovers
from launcher.process.runfile import RunRecord
from launcher.process.takeover import Claim, end_leftovers
from launcher.process.terminate import terminate_tree
from tests.process.spawn import SLEEPER, Nursery, wait_until


def leftovers(data: Path, project: Path, record: RunRecord | None = None) -> Leftovers:
    return find_leftovers(instance="default", data_dir=str(data), project_dirs=[str(project)], record=record)


def stale_pids(data: Path, project: Path, record: RunRecord | None = None) -> list[int]:
    found = leftovers(data, project, record).ours
    assert all(verdict.ours and verdict.reason for _, verdict in found)
    return [facts.pid for facts, _ in found]


def test_an_old_page_is_found_and_ended(nursery: Nursery, tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    page, _ = nursery.run(SLEEPER, project / "webui")
    [(facts, _)] = leftovers(data, project).ours
    assert facts.pid == page.pid
    teardown = terminate_tree(facts, grace_s=20)
    assert not teardown.survivors
    assert not teardown.forced
    assert stale_pids(data, project) == []


def test_foreign_processes_are_neither_found_nor_touched(nursery: Nursery, tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    project.mkdir()
    foreign = [
        nursery.run(SLEEPER, tmp_path / "other project")[0],
        nursery.run(SLEEPER, tmp_path / "project-2", cwd=project)[0],
        nursery.run(SLEEPER, project, name="other.py", arguments=["webui.py"])[0],
        nursery.run(SLEEPER, project / "a", mark=new_mark("second", str(data)))[0],
        nursery.run(SLEEPER, project / "b", mark=new_mark("default", str(tmp_path / "elsewhere")))[0],
        nursery.start([sys.executable, "-c", SLEEPER, "webui.py"], cwd=project)[0],
    ]
    ours, _ = nursery.run(SLEEPER, project / "webui")
    assert stale_pids(data, project) == [ours.pid]
    terminate_tree(ours, grace_s=20)
    assert all(still(facts) for facts in foreign)


def test_a_project_reached_through_a_symbolic_link_is_the_same_project(nursery: Nursery, tmp_path: Path) -> None:
    project, link = tmp_path / "project", tmp_path / "link"
    page, _ = nursery.run(SLEEPER, project)
    link.symlink_to(project)
    assert stale_pids(tmp_path / "data", link) == [page.pid]


def test_marked_leftovers_are_found_wherever_they_run(nursery: Nursery, tmp_path: Path) -> None:
    data = tmp_path / "data"
    record = RunRecord("default", "default:00000000.from-the-last-run", 2**22 + 5, 1.0)
    first, _ = nursery.run(SLEEPER, tmp_path / "x", name="tool.py", mark=new_mark("default", str(data)))
    second, _ = nursery.run(SLEEPER, tmp_path / "y", name="tool.py", mark=record.mark)
    assert stale_pids(data, tmp_path / "none", record) == [first.pid, second.pid], "oldest first"
    assert stale_pids(data, tmp_path / "none") == [first.pid]


def test_a_recorded_child_is_found_and_a_reused_pid_is_not(nursery: Nursery, tmp_path: Path) -> None:
    facts, _ = nursery.run(SLEEPER, tmp_path / "x", name="tool.py")
    record = RunRecord("default", "m", 2**22 + 5, 1.0, children={"page": (facts.pid, facts.created_at)})
    assert stale_pids(tmp_path / "data", tmp_path / "none", record) == [facts.pid]
    reused = RunRecord("default", "m", facts.pid, facts.created_at - 5, children={"page": (facts.pid, 17.0)})
    assert stale_pids(tmp_path / "data", tmp_path / "none", reused) == []


def test_this_process_is_never_stale(tmp_path: Path) -> None:
    record = RunRecord("default", "m", os.getpid(), 0.0, children={"page": (os.getppid(), 0.0)})
    assert stale_pids(tmp_path, tmp_path, record) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may start another user's process"
)
def test_another_users_page_is_left_alone(nursery: Nursery, tmp_path: Path) -> None:
    command = ["sh", "-c", "echo ready; exec sleep 600"]
    record_mark = new_mark("default", str(tmp_path))
    other, _ = nursery.start(command, cwd=Path("/"), mark=record_mark, user=65534)
    same, _ = nursery.start(command, cwd=Path("/"), mark=record_mark)
    assert other.owner != same.owner
    assert stale_pids(tmp_path, tmp_path) == [same.pid]
    [(named, verdict)] = leftovers(tmp_path, tmp_path).alike
    assert named.pid == other.pid
    assert other.owner in verdict.reason


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root may make a space of process numbers"
)
def test_a_page_in_a_container_is_named_and_left_alone(nursery: Nursery, tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    project.mkdir()
    (project / "webui.py").write_text(SLEEPER)
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "webui.py"]
    outer, _ = nursery.start(command, cwd=project)
    [inner] = psutil.Process(outer.pid).children()
    facts = observe(inner.pid)
    assert facts is not None and facts.is_contained and not outer.is_contained
    ours, _ = nursery.run(SLEEPER, project)
    assert stale_pids(data, project) == [ours.pid]
    [(named, verdict)] = leftovers(data, project).alike
    assert named.pid == inner.pid and "container" in verdict.reason
    told: list[str] = []
    assert end_leftovers(Claim("default", str(data), (str(project),), None), told.append) == 1
    assert still(facts) and not still(ours)
    assert any(f"pid {inner.pid}" in text and text.startswith("Left alone") for text in told)


def test_a_zombie_is_named_and_not_waited_for(nursery: Nursery, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', ''])\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    _, pid = nursery.run(code, tmp_path / "x", name="parent.py")
    wait_until(lambda: (seen := observe(int(pid))) is not None and seen.status == "zombie", "it did not end")
    facts = observe(int(pid))
    assert facts is not None
    record = RunRecord("default", "m", 2**22 + 5, 1.0, children={"engine": (facts.pid, facts.created_at)})
    assert stale_pids(tmp_path / "data", tmp_path / "none", record) == []
    [(named, verdict)] = leftovers(tmp_path / "data", tmp_path / "none", record).alike
    assert named.pid == facts.pid and f"pid {facts.parent_pid}" in verdict.reason
    assert not terminate_tree(facts, grace_s=20).survivors
