"""Judgement over facts alone, and what is read of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.process.facts import ProcessFacts, new_mark, observe, observe_all, own_pids, still
from launcher.process.identity import StaleScripts, Verdict, judge
from launcher.process.runfile import RunRecord
from tests.process.spawn import SLEEPER, Nursery, wait_until

PROJECT = "/srv/mia/project"
DATA = "/srv/mia/data"
RECORD = RunRecord("default", "default:00000000.aa", 50, 1000.25, children={"page": (51, 1001.5)})
PAGE = ProcessFacts(
    pid=77,
    created_at=900.0,
    owner="mia",
    command=("/usr/bin/python3", "webui/webui.py"),
    cwd=PROJECT,
    mark="",
    status="sleeping",
    parent_pid=1,
)


def verdict_of(facts: ProcessFacts, *, record: RunRecord | None = RECORD, own: frozenset[int] = frozenset()) -> Verdict:
    verdict = judge(
        facts,
        instance="default",
        data_dir=DATA,
        owner="mia",
        project_dirs=[PROJECT],
        record=record,
        own_pids=own,
    )
    assert verdict.reason.endswith(".")
    return verdict


def running(*command: str, cwd: str | None = PROJECT) -> ProcessFacts:
    return replace(PAGE, command=command, cwd=cwd)


@pytest.mark.parametrize(
    "command",
    [
        ["python", "webui.py"],
        ["/usr/bin/python3.11", "-u", "./webui/webui.py", "--port", "7860"],
        ["python3.13t", "-X", "dev", "-W", "ignore", "webui/webui.py"],
        ["python", "-Xdev", "-Bum", "webui.engine.worker"],
        ["python", "-m", "webui.engine.worker"],
        ["python", "--check-hash-based-pycs", "always", "webui.py"],
        ["pypy3", f"{PROJECT}/webui/webui.py"],
        ["./webui.py"],
    ],
)
def test_a_page_or_engine_from_our_folder_is_ours(command: Sequence[str]) -> None:
    assert verdict_of(running(*command)).ours


def test_a_script_in_our_folder_is_ours_wherever_it_was_started_from() -> None:
    assert verdict_of(running("python", f"{PROJECT}/webui/webui.py", cwd="/")).ours
    assert verdict_of(running("python", "../project/webui.py", cwd="/srv/mia/x")).ours
    assert verdict_of(running("python", f"{PROJECT}/webui.py", cwd=None)).ours


@pytest.mark.parametrize(
    "command",
    [
        ["vim", "webui.py"],
        ["grep", "-rn", "webui.py", "."],
        ["tail", "-f", "webui.py"],
        ["python", "-c", "print('webui.py')", "webui.py"],
        ["python", "-m", "http.server", "webui.py"],
        ["python", "-m", "pdb", "webui.py"],
        ["python", "tool.py", "webui.py"],
        ["python", "-W", "webui.py"],
        ["python"],
        ["python", "my_webui.py"],
        ["bash", "-c", "python webui.py"],
        ["pythonic", "webui.py"],
        [],
    ],
)
def test_a_command_line_that_merely_speaks_of_us_is_foreign(command: Sequence[str]) -> None:
    assert not verdict_of(running(*command)).ours


@pytest.mark.parametrize("cwd", ["/srv/mia/other", "/srv/mia", f"{PROJECT}-2", f"{PROJECT}/..", None, "/"])
def test_a_page_of_another_folder_is_foreign(cwd: str | None) -> None:
    assert not verdict_of(running("python", "webui.py", cwd=cwd)).ours
    assert not verdict_of(running("python", "-m", "webui.engine.worker", cwd=cwd)).ours


def test_another_projects_script_is_foreign_even_when_started_from_our_folder() -> None:
    assert not verdict_of(running("python", "/opt/other/webui.py", cwd=PROJECT)).ours
    assert not verdict_of(running("python", "../other/webui.py", cwd=PROJECT)).ours


def test_another_owners_process_is_never_ours() -> None:
    assert not verdict_of(replace(PAGE, owner="ben")).ours
    assert not verdict_of(replace(PAGE, owner="ben", mark=RECORD.mark)).ours
    assert not verdict_of(replace(PAGE, owner="ben", pid=50, created_at=1000.25)).ours
    assert not verdict_of(replace(PAGE, owner="")).ours


def test_this_command_and_its_ancestors_are_never_ours() -> None:
    assert not verdict_of(replace(PAGE, pid=50, created_at=1000.25), own=frozenset([50])).ours


def test_the_record_knows_a_process_by_pid_and_creation_time_together() -> None:
    supervisor = replace(running("anything"), pid=50, created_at=1000.25)
    assert verdict_of(supervisor).ours
    assert "supervisor" in verdict_of(supervisor).reason
    assert verdict_of(replace(supervisor, pid=51, created_at=1001.5)).ours
    assert verdict_of(replace(supervisor, created_at=1000.2500001)).ours, "rounding is forgiven"


def test_a_reused_pid_is_not_the_recorded_process() -> None:
    reused = replace(running("/usr/bin/sshd"), pid=50, created_at=1000.26)
    assert not verdict_of(reused).ours
    assert not verdict_of(replace(reused, pid=51, created_at=5000.0)).ours


def test_a_mark_decides_whatever_the_command_line_says() -> None:
    helper = running("ffmpeg", "-i", "x.wav", cwd="/tmp")
    assert verdict_of(replace(helper, mark=RECORD.mark)).ours
    assert verdict_of(replace(helper, mark=new_mark("default", DATA)), record=None).ours
    assert not verdict_of(replace(PAGE, mark=new_mark("second", DATA))).ours
    assert not verdict_of(replace(PAGE, mark=new_mark("default", "/srv/other-data"))).ours
    assert not verdict_of(replace(PAGE, mark="default:bb"), record=None).ours
    assert not verdict_of(replace(PAGE, mark="nonsense")).ours


def test_an_instance_whose_name_begins_like_ours_is_another() -> None:
    assert not verdict_of(replace(PAGE, mark=new_mark("default-2", DATA))).ours


def test_an_unreadable_environment_leaves_the_page_alone() -> None:
    assert not verdict_of(replace(PAGE, mark=None)).ours


@pytest.mark.parametrize(
    "command", [["python", "-m", "launcher", "start"], ["python", "/venv/bin/tts-launcher", "start"]]
)
def test_a_launcher_that_the_record_does_not_name_is_another_instances(command: Sequence[str]) -> None:
    facts = running(*command)
    assert not verdict_of(facts).ours
    assert "another instance" in verdict_of(facts).reason
    assert verdict_of(replace(facts, pid=50, created_at=1000.25)).ours


def test_a_zombie_is_reported_and_not_ours() -> None:
    verdict = verdict_of(replace(PAGE, status="zombie"))
    assert not verdict.ours
    assert "parent" in verdict.reason


@given(st.lists(st.text(max_size=20), max_size=6), st.one_of(st.none(), st.text(max_size=20)))
def test_no_command_line_breaks_the_judgement(command: list[str], cwd: str | None) -> None:
    facts = replace(PAGE, command=tuple(command), cwd=cwd)
    assert isinstance(verdict_of(facts).ours, bool)
    assert facts.describe().isprintable()


def test_a_real_process_is_observed(nursery: Nursery, tmp_path: Path) -> None:
    mark = new_mark("default", str(tmp_path))
    facts, _ = nursery.run(SLEEPER, tmp_path, mark=mark)
    assert facts.command[1:] == ("webui.py",)
    assert facts.cwd == str(tmp_path.resolve())
    assert facts.mark == mark
    assert facts.parent_pid == os.getpid()
    assert still(facts)
    assert not still(replace(facts, created_at=facts.created_at - 0.01))
    assert facts in list(observe_all()) or facts.pid in {each.pid for each in observe_all()}


def test_what_is_gone_is_not_observed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    facts = observe(process.pid)
    assert facts is not None
    wait_until(lambda: not still(facts), "the zombie counts as running")
    found = observe(process.pid)
    assert found is not None
    assert found.status == "zombie"
    process.wait()
    assert observe(process.pid) is None
    assert observe(-1) is None
    assert observe(2**70) is None


def test_own_pids_are_this_process_and_its_ancestors() -> None:
    assert {os.getpid(), os.getppid()} <= own_pids()


APP = StaleScripts(("/srv/mia/app", "/data/app"), ("webui.py", "start_app.sh", "-m heygem.app"))


@pytest.mark.parametrize(
    ("command", "cwd", "ours"),
    [
        (["python", "webui.py", "--port", "7860"], "/srv/mia/app", True),
        (["/srv/mia/app/.venv/bin/python3.11", "-u", "/data/app/webui.py"], "/", True),
        (["bash", "start_app.sh"], "/srv/mia/app", True),
        (["/bin/sh", "-e", "./start_app.sh", "--gpu"], "/srv/mia/app", True),
        (["python", "-m", "heygem.app"], "/srv/mia/app", True),
        (["python", "webui.py"], "/srv/mia/app2", False),
        (["python", "sub/webui.py"], "/srv/mia/app", False),
        (["python", "webui.py"], None, False),
        (["python", "train.py", "webui.py"], "/srv/mia/app", False),
        (["vim", "webui.py"], "/srv/mia/app", False),
        (["bash", "-c", "webui.py"], "/srv/mia/app", False),
        (["python", "-c", "webui.py"], "/srv/mia/app", False),
        (["python", "-m", "heygem.app"], "/srv/mia", False),
        (["python", "-m", "heygem"], "/srv/mia/app", False),
    ],
)
def test_an_apps_leftovers_are_known_by_script_and_folder(command: list[str], cwd: str | None, ours: bool) -> None:
    def verdict(facts: ProcessFacts, stale: StaleScripts | None) -> Verdict:
        return judge(
            facts,
            instance="default",
            data_dir=DATA,
            owner="mia",
            project_dirs=[PROJECT],
            record=None,
            own_pids=frozenset({1}),
            stale=stale,
        )

    facts = running(*command, cwd=cwd)
    assert verdict(facts, APP).ours is ours
    assert not verdict(facts, None).ours
    # Another user's, another instance's, one whose environment is hidden, this command's own: never.
    for other in (
        replace(facts, owner="tom"),
        replace(facts, mark="studio:00000000.aa"),
        replace(facts, mark=None),
        replace(facts, pid=1),
    ):
        assert not verdict(other, APP).ours
