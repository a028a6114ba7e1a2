"""Starting, showing, restarting and stopping an instance, through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor.runner import ROOT, STAND_IN, Instance, alive, wait_for


def test_start_says_what_happens_and_stop_leaves_nothing(instance: Instance) -> None:
    process = instance.start()
    snapshot = instance.wait_state("ready")
    assert instance.get("/").json["served_by"] == "page"
    stopped = instance.answer("stop")
    assert stopped["state"] == "stopped"
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "listening"
    assert names[-1] == "stopped"
    assert "ready" in names
    pids = [snapshot["pid"], *(each["pid"] for each in snapshot["components"].values())]
    assert set(pids) <= set(stopped["pids"])
    assert not any(alive(pid) for pid in pids)
    with socket.create_server(("127.0.0.1", instance.port)):
        pass
    root = instance.folder / "data" / "instances" / "default"
    assert not (root / "run.json").exists()
    assert not list((root / "run").glob("*.sock"))


def test_a_person_reads_the_address_first_and_the_stages_after_it(instance: Instance) -> None:
    process = instance.start(json_events=False)
    instance.wait_state("ready")
    instance.answer("stop")
    out, err = process.communicate(timeout=30)
    assert out == f"http://127.0.0.1:{instance.port}\n"
    assert "page ready" in err
    assert "engine ready" in err
    assert "Ready: " in err


def test_status_has_every_part_of_the_snapshot(instance: Instance) -> None:
    instance.start_ready()
    done = instance.run("status")
    assert done.returncode == 0
    snapshot = json.loads(done.stdout)
    assert set(snapshot) == {
        *("instance", "version", "pid", "url", "host", "port", "started_at", "uptime_s", "state", "stages"),
        *("components", "choice", "warnings", "crashes"),
    }
    assert [stage["name"] for stage in snapshot["stages"]] == ["listen", "page", "weights", "engine"]
    assert all(stage["state"] == "done" for stage in snapshot["stages"])
    for component in snapshot["components"].values():
        assert set(component) == {"state", "pid", "restarts", "since", "progress", "info", "error"}
    assert snapshot["components"]["engine"]["info"] == {"name": "kokoro"}
    assert snapshot["choice"]["name"] == "kokoro" and "no other engine is installed" in snapshot["choice"]["reason"]


def test_status_of_nothing_is_exit_code_4(instance: Instance) -> None:
    done = instance.run("status")
    assert done.returncode == 4
    assert json.loads(done.stdout) == {"instance": "default", "state": "stopped", "crashes": []}
    assert instance.run("stop").returncode == 4
    assert instance.run("restart", "page").returncode == 4


def test_a_second_start_shows_the_first(instance: Instance) -> None:
    instance.start_ready()
    second = instance.run("start")
    assert second.returncode == 0
    shown = json.loads(second.stdout)
    assert (shown["already_running"], shown["port"]) == (True, instance.port)
    assert instance.status()["state"] == "ready"


def test_replace_ends_the_first(instance: Instance) -> None:
    first = instance.start_ready()
    old = instance.status()
    instance.start("--replace")
    assert first.wait(timeout=30) == 0
    new = wait_for(lambda: (now := instance.status())["state"] == "ready" and now, "the new instance")
    assert new["pid"] != old["pid"]
    assert not alive(old["components"]["page"]["pid"])


def test_restart_of_a_component_leaves_the_other_alone(instance: Instance) -> None:
    instance.start_ready()
    before = instance.status()["components"]
    for component, other in (("page", "engine"), ("engine", "page")):
        answer = instance.answer("restart", component)
        assert answer["ready"] is True
        after = instance.status()["components"]
        assert after[component]["pid"] != before[component]["pid"]
        assert after[other]["pid"] == before[other]["pid"]
        assert after[component]["restarts"] == 1
        before = after
    instance.answer("restart")
    after = instance.status()["components"]
    assert all(after[name]["pid"] != before[name]["pid"] for name in ("page", "engine"))


def test_detach_returns_when_it_runs(instance: Instance) -> None:
    done = instance.run("start", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert shown["port"] == instance.port
    assert instance.get("/healthz").status == 200
    assert os.getsid(shown["pid"]) == shown["pid"]
    os.kill(shown["pid"], signal.SIGHUP)
    instance.wait_state("ready")
    assert instance.run("stop").returncode == 0


def test_detach_reports_the_failure_of_the_background(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", instance.port)):
        done = instance.run("start", "--detach")
    assert done.returncode == 3
    assert f"Port {instance.port}" in json.loads(done.stdout)["error"]["message"]


def test_detach_reports_that_the_background_was_killed(instance: Instance, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, signal, sys\nif '--background' in sys.orig_argv:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    instance.environment["PYTHONPATH"] += f"{os.pathsep}{site}"
    done = instance.run("start", "--detach")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"]) == (9, 9)
    assert "was killed by SIGKILL" in error["message"]


def test_ctrl_c_ends_gently(instance: Instance) -> None:
    process = instance.start_ready()
    children = [each["pid"] for each in instance.status()["components"].values()]
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert not any(alive(pid) for pid in children)
    assert "page ended with exit code 0" in instance.log()


def test_a_closed_terminal_ends_it(instance: Instance) -> None:
    process = instance.start_ready()
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(timeout=30) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals that are files")
def test_a_terminal_that_is_gone_leaves_everybody_the_time_to_end(instance: Instance) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command, sys.executable, "-m", "launcher", "start"],
        cwd=instance.folder,
        env=without_unbuffered(instance.environment),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        instance.wait_state("ready")
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 0
    log = instance.log()
    assert "received SIGHUP" in log
    assert "page ended with exit code 0" in log
    assert "is killed" not in log


@pytest.mark.parametrize("full", [False, True], ids=["nobody reads", "full disk"])
def test_words_that_nobody_can_have_end_nothing(instance: Instance, full: bool) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher", "start"],
        cwd=instance.folder,
        env=without_unbuffered(instance.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=os.open("/dev/full", os.O_WRONLY) if full else writer,
    )
    os.close(writer)
    os.close(reader)
    instance.started.append(process)
    instance.wait_state("ready")
    assert instance.answer("stop")["state"] == "stopped"
    assert process.wait(timeout=30) == 0


def without_unbuffered(environment: dict[str, str]) -> dict[str, str]:
    """Streams as everybody has them: what cannot be written is tried once more at the end."""
    return {name: value for name, value in environment.items() if name != "PYTHONUNBUFFERED"}


def test_a_second_ctrl_c_does_not_wait(instance: Instance) -> None:
    instance.environment["LAUNCHER_STOP_GRACE_S"] = "600"
    instance.order("engine", mode="stubborn")
    process = instance.start_ready()
    engine = instance.status()["components"]["engine"]["pid"]
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: instance.status()["state"] == "stopping", "the stop")
    assert alive(engine)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert not alive(engine)


def test_a_second_ctrl_c_makes_no_crash_of_an_engine(instance: Instance) -> None:
    instance.environment["LAUNCHER_STOP_GRACE_S"] = "600"
    instance.order("page", mode="stubborn")
    process = instance.start_ready()
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: instance.status()["state"] == "stopping", "the stop")
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "restarting" not in [json.loads(line)["event"] for line in out.splitlines()]
    assert not list((instance.folder / "data").rglob("crash-*"))


def test_who_ignores_sigterm_is_killed(instance: Instance) -> None:
    instance.order("engine", mode="stubborn")
    instance.order("page", mode="stubborn")
    process = instance.start_ready()
    pids = [each["pid"] for each in instance.status()["components"].values()]
    assert instance.answer("stop", "--grace", "0.3")["state"] == "stopped"
    assert process.wait(timeout=30) == 0
    assert not any(alive(pid) for pid in pids)


def test_what_a_child_started_goes_with_it(instance: Instance) -> None:
    instance.order("engine", mode="parent")
    instance.start_ready()
    line = next(line for line in instance.log().splitlines() if "sleeper" in line)
    sleeper = int(line.rsplit(maxsplit=1)[1])
    assert alive(sleeper)
    os.kill(instance.status()["components"]["engine"]["pid"], signal.SIGKILL)
    wait_for(lambda: not alive(sleeper), "the end of the sleeper")


def test_logs_are_shown_by_component(instance: Instance) -> None:
    instance.start_ready()
    instance.answer("stop")
    lines = [json.loads(line)["text"] for line in instance.run("logs", "--component", "engine").stdout.splitlines()]
    assert any("engine mode=ok" in line for line in lines)
    assert not any("page mode=ok" in line for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_a_folder_whose_name_is_no_unicode_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    instance = Instance(folder)
    done = instance.run("start")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert "LAUNCHER_DATA_DIR" in error["message"]
    assert "is no Unicode" in error["message"]


def test_an_update_that_takes_its_files_away_ends_nothing(tmp_path: Path) -> None:
    package = tmp_path / "old" / "launcher"
    shutil.copytree(ROOT / "launcher", package, ignore=shutil.ignore_patterns("__pycache__"))
    instance = Instance(tmp_path / "instance", LAUNCHER_TOKEN="a-token-of-this-test")
    instance.environment["PYTHONPATH"] = os.pathsep.join([str(STAND_IN), str(package.parent)])
    instance.order("page", mode="mute")
    try:
        process = instance.start()
        wait_for(lambda: instance.status().get("components", {}).get("page", {}).get("pid"), "the page's process")
        for path in package.rglob("*.html"):
            path.unlink()
        assert instance.get("/", Accept="text/html").status == 401
        assert instance.get("/login", Accept="text/html").status == 200
        shown = instance.get("/", Accept="text/html", Authorization="Bearer a-token-of-this-test")
        assert shown.status == 503
        assert b"<html" in shown.body
        assert process.poll() is None
        assert instance.answer("stop")["state"] == "stopped"
    finally:
        instance.end()
