"""Children and supervisors that die, and what the next start finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from launcher.process.crash import MAX_REPORTS, Crash, CrashReports, read_reports
from tests.supervisor.runner import STAND_IN, Instance, alive, wait_for


def kill_component(instance: Instance, component: str) -> int:
    pid = int(instance.status()["components"][component]["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_killed_child_comes_back(instance: Instance) -> None:
    instance.start_ready()
    for component in ("page", "engine"):
        old = kill_component(instance, component)
        back = wait_for(
            lambda name=component, pid=old: (
                (now := instance.status()["components"][name])["state"] == "ready" and now["pid"] != pid and now
            ),
            f"the {component}",
        )
        assert back["restarts"] == 1
    assert "was killed by SIGKILL" in instance.log()


def test_a_crash_loop_ends_and_says_why(instance: Instance) -> None:
    instance.environment["LAUNCHER_RESTART_LIMIT"] = "2"
    instance.order("page", mode="crash")
    process = instance.start()
    page = instance.wait_component("page", "failed")
    assert "exit code 3" in page["error"]["message"]
    assert "crashed 3 times" in page["error"]["message"]
    assert "told to crash" in page["error"]["message"]
    assert "restart page" in page["error"]["fix"]
    instance.wait_component("engine", "ready")
    assert process.poll() is None
    assert instance.status()["state"] == "failed"
    answer = instance.get("/v1/models")
    assert (answer.status, answer.headers["x-should-retry"]) == (503, "false")
    assert "exit code 3" in answer.json["error"]["message"]
    shown = instance.get("/", Accept="text/html").body.decode()
    assert "told to crash" in shown
    # The budget is fresh once the cause is mended.
    instance.order("page", mode="ok")
    assert instance.answer("restart", "page")["ready"] is True
    assert instance.get("/").json["served_by"] == "page"


def test_a_crash_is_kept_and_shown_wherever_somebody_looks(instance: Instance) -> None:
    secret = instance.environment["LAUNCHER_TOKEN"] = "a-secret-of-many-characters"
    instance.environment["LAUNCHER_RESTART_LIMIT"] = "1"
    instance.order("engine", mode="crash", words=[*map(str, range(300)), f"the token is {secret}"])
    instance.order("page", mode="mute")  # so that the supervisor answers
    instance.start()
    instance.wait_component("engine", "failed")
    shown = instance.answer("status")["crashes"]
    assert [crash["component"] for crash in shown] == ["engine", "engine"]
    assert (shown[0]["exit_code"], shown[0]["signal"], shown[0]["stage"]) == (3, "", "start")
    assert 1e6 < shown[0]["peak_bytes"] < 1e9
    reports = instance.answer("logs", "--crash")["crashes"]
    assert [report["path"] for report in reports] == [crash["path"] for crash in shown]
    assert len(reports[0]["lines"]) == 200
    assert reports[0]["lines"][-1] == "RuntimeError: told to crash"
    assert "the token is ***" in reports[0]["lines"]
    text = instance.get("/", Accept="text/html", Authorization=f"Bearer {secret}").body.decode()
    assert "told to crash" in text and "MB of memory" in text and secret not in text
    logs = Path(reports[0]["path"]).parent
    assert not [path for path in logs.iterdir() if secret in path.read_text()]
    assert instance.answer("logs", "--crash", "--component", "page") == {"crashes": []}
    os.kill(instance.status()["components"]["page"]["pid"], signal.SIGKILL)
    wait_for(lambda: instance.status()["crashes"][0]["signal"] == "SIGKILL", "the page's report")
    instance.started[0].kill()
    instance.started[0].wait()
    stopped = instance.answer("status")
    assert (stopped["state"], stopped["crashes"][0]["component"]) == ("crashed", "page")
    for component in ("page", "engine"):
        instance.order(component, mode="ok")
    instance.start_ready()
    last = instance.answer("logs", "--crash", "--component", "supervisor")["crashes"]
    assert len(last) == 1 and last[0]["pid"] == instance.started[0].pid
    assert any("was killed by SIGKILL" in line for line in last[0]["lines"])
    assert instance.status()["crashes"][0]["component"] == "supervisor"


def test_a_child_that_hangs_while_it_serves_is_replaced(instance: Instance) -> None:
    instance.environment["LAUNCHER_HANG_S"] = "1"
    instance.order("page", beat_s=0.1)
    instance.start_ready()
    page = instance.status()["components"]["page"]["pid"]
    wait_for(lambda: instance.get("/").json["pid"] == page, "the page's answer")
    os.kill(page, signal.SIGSTOP)
    back = wait_for(
        lambda: (now := instance.status()["components"]["page"])["state"] == "ready" and now["pid"] != page and now,
        "another page",
    )
    assert back["restarts"] == 1 and not alive(page)
    assert "no sign of life for 1 s" in instance.status()["crashes"][0]["what"]
    assert instance.get("/").json["pid"] == back["pid"]


def test_no_restart_when_the_limit_is_0(instance: Instance) -> None:
    instance.environment["LAUNCHER_RESTART_LIMIT"] = "0"
    instance.start_ready()
    kill_component(instance, "engine")
    engine = instance.wait_component("engine", "failed")
    assert engine["restarts"] == 0
    assert instance.get("/").json["served_by"] == "page"


def test_a_child_that_reports_its_failure_is_not_started_again(instance: Instance) -> None:
    instance.order("engine", mode="failed")
    instance.start()
    engine = instance.wait_component("engine", "failed")
    assert engine["error"] == {"message": "The weights are damaged.", "fix": "Fetch them again."}
    assert engine["restarts"] == 0
    done = instance.run("restart", "engine")
    assert done.returncode == 9
    assert "weights are damaged" in done.stdout
    second = instance.run("start")
    assert second.returncode == 9
    assert "weights are damaged" in second.stdout


def test_after_a_killed_supervisor_start_works(instance: Instance) -> None:
    first = instance.start_ready()
    children = [each["pid"] for each in instance.status()["components"].values()]
    first.kill()
    first.wait()
    wait_for(lambda: not any(alive(pid) for pid in children), "the children's end")
    assert instance.answer("status")["state"] == "crashed"
    instance.start_ready()
    assert instance.get("/").json["served_by"] == "page"


def test_orphans_that_hold_the_port_are_ended(instance: Instance) -> None:
    instance.order("page", mode="deaf")
    instance.order("engine", mode="deaf")
    first = instance.start_ready()
    orphans = [each["pid"] for each in instance.status()["components"].values()]
    first.kill()
    first.wait()
    instance.order("page", mode="ok")
    instance.order("engine", mode="ok")
    assert all(alive(pid) for pid in orphans)
    second = instance.start_ready()
    assert not any(alive(pid) for pid in orphans)
    assert instance.get("/").json["pid"] == instance.status()["components"]["page"]["pid"]
    instance.answer("stop")
    assert "Ending a leftover" in second.communicate(timeout=30)[1]


def test_an_old_page_without_a_launcher_is_ended(instance: Instance) -> None:
    script = STAND_IN / "webui" / "webui.py"
    old = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, env=instance.environment, cwd=instance.folder
    )
    wait_for(lambda: len(psutil.Process(old.pid).cmdline()) > 1, "the old page")
    instance.start_ready()
    old.communicate(timeout=30)
    assert old.returncode != 0


def test_a_stopped_supervisor_is_replaced(instance: Instance) -> None:
    first = instance.start_ready()
    os.kill(first.pid, signal.SIGSTOP)
    done = instance.run("start")
    assert done.returncode == 9
    assert "--replace" in done.stdout
    instance.environment["LAUNCHER_STOP_GRACE_S"] = "0.5"
    second = instance.start("--replace")
    first.wait(timeout=60)
    instance.wait_state("ready")
    assert instance.status()["pid"] == second.pid


def test_an_unusable_folder_is_one_sentence(instance: Instance) -> None:
    (instance.folder / "data").write_text("a file")
    done = instance.run("start")
    assert done.returncode == 5
    assert "LAUNCHER_DATA_DIR" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_two_starts_at_once_make_one_instance(instance: Instance) -> None:
    both = [instance.start(), instance.start()]
    instance.wait_state("ready")
    wait_for(lambda: any(each.poll() is not None for each in both), "the second one's answer")
    loser = next(each for each in both if each.poll() is not None)
    assert loser.returncode == 0, loser.communicate()
    assert '"already_running": true' in loser.communicate()[0]
    time.sleep(0.1)
    assert sum(each.poll() is None for each in both) == 1


def test_a_clock_that_was_set_back_costs_no_new_report(tmp_path: Path) -> None:
    reports = CrashReports(tmp_path)
    later = time.time() + 86_400
    for number in range(MAX_REPORTS):
        reports.keep(Crash("engine", "crashed tomorrow", at=later + number))
    kept = [reports.keep(Crash("page", "crashed now", at=time.time()))["path"] for _ in range(3)]
    assert Path(kept[-1]).exists()
    assert len(read_reports(tmp_path)) == MAX_REPORTS
