"""The engine's fork server: real processes, real signals, the tone engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.engine.processes import MARK, PATIENCE_S, ROOT, ControlListener, WorkerProcess, wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can fork an engine")


@pytest.fixture
def control() -> Iterator[ControlListener]:
    listener = ControlListener()
    yield listener
    listener.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For a socket, whose path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tts-") as folder:
        yield Path(folder)


def start(folder: Path, control_address: str = "", *, prepared: bool = True) -> WorkerProcess:
    """A worker behind a fork server; ``prepared``: once that one can fork the next engine."""
    running = WorkerProcess(folder, control_address=control_address, options={"forkserver": "yes"}).start()
    running.wait_ready()
    if prepared:
        wait_until(lambda: "the next one is forked" in running.stderr(), "the fork server's imports")
    return running


def engine_pid(running: WorkerProcess) -> int:
    return int((running.health() or {"pid": 0})["pid"])


def say(running: WorkerProcess, text: str) -> bool:
    with running.http() as client:
        answer = client.post("/speak", json={"text": text})
    return answer.status_code == 200 and b'"end"' in answer.content


def test_a_crashed_engine_is_forked_again_and_the_supervisor_hears_of_it(
    tmp_path: Path, control: ControlListener
) -> None:
    running = start(tmp_path, control.address)
    try:
        first = engine_pid(running)
        assert first != running.process.pid
        assert psutil.Process(first).ppid() == running.process.pid
        os.kill(first, signal.SIGSEGV)
        replaced = control.wait_event("replaced")
        assert (replaced["pid"], replaced["status"]) == (running.process.pid, -signal.SIGSEGV)
        # The socket stays open all the time: asking is never refused, it only waits.
        wait_until(lambda: (running.health() or {}).get("state") == "ready", "the next engine")
        second = engine_pid(running)
        assert second not in (first, running.process.pid)
        assert say(running, "hello again")
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: len(control.events("replaced")) == 2, "the second report")
        wait_until(lambda: (running.health() or {}).get("state") == "ready", "the third engine")
        assert running.process.poll() is None
        assert {event["pid"] for event in control.events("hello")} == {running.process.pid}
        assert len(control.events("ready")) == 3
    finally:
        running.close()


def test_an_asked_for_end_is_an_end(tmp_path: Path, control: ControlListener) -> None:
    running = start(tmp_path, control.address)
    try:
        engine = engine_pid(running)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 0
        assert not psutil.pid_exists(engine)
        control.wait_event("stopping")
        assert not control.events("replaced")
    finally:
        running.close()


#: A fork server whose engine's process needs a while until it is one; says so, and then serves until it is told to end.
SLOW = """
import os, sys, time
from webui.engine.forkserver import ForkServer
from webui.settings import WorkerSettings

def begin():
    print("forked", flush=True)
    time.sleep(1)

os.register_at_fork(after_in_child=begin)
settings = WorkerSettings("test", "tone", sys.argv[1], "", "")
sys.exit(ForkServer(settings, lambda parent: time.sleep(600) or 0, lambda: None, os._exit).run())
"""


def test_an_end_that_is_asked_for_in_the_midst_of_a_fork_is_an_end(short_folder: Path) -> None:
    command = [sys.executable, "-c", SLOW, f"unix:{short_folder}/engine.sock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **MARK}, **pipes)  # type: ignore[call-overload]
    try:
        assert process.stdout.readline() == b"forked\n"
        [engine] = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
        assert not engine.is_running()
    finally:
        for one in (*psutil.Process(process.pid).children(), process) if process.poll() is None else ():
            one.kill()
        process.communicate()


def test_both_end_with_their_supervisor(tmp_path: Path) -> None:
    running = start(tmp_path, prepared=False)
    try:
        engine = engine_pid(running)
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(PATIENCE_S) == 0
        assert not psutil.pid_exists(engine)
    finally:
        running.close()


def test_a_crash_that_nobody_hears_of_ends_the_parent_alike(tmp_path: Path) -> None:
    running = start(tmp_path)
    try:
        os.kill(engine_pid(running), signal.SIGSEGV)
        assert running.process.wait(PATIENCE_S) == -signal.SIGSEGV
    finally:
        running.close()


def test_a_crash_while_it_loads_is_the_supervisors_to_judge(tmp_path: Path, control: ControlListener) -> None:
    (tmp_path / "tone.json").write_text('{"load_s": 60}')
    running = WorkerProcess(tmp_path, control_address=control.address, options={"forkserver": "yes"}).start()
    try:
        wait_until(lambda: engine_pid(running), "an answer")
        os.kill(engine_pid(running), signal.SIGABRT)
        assert running.process.wait(PATIENCE_S) == -signal.SIGABRT
        assert not control.events("replaced")
    finally:
        running.close()


def test_a_failure_to_load_is_reported_once_and_ends_both(tmp_path: Path, control: ControlListener) -> None:
    (tmp_path / "tone.json").write_text('{"load_error": "The weights are missing."}')
    running = WorkerProcess(tmp_path, control_address=control.address, options={"forkserver": "yes"}).start()
    try:
        assert running.process.wait(PATIENCE_S) == 6
        assert [event["message"] for event in control.events("failed")] == ["The weights are missing."]
    finally:
        running.close()


def test_imports_that_fail_cost_only_the_quick_way_back(tmp_path: Path, control: ControlListener) -> None:
    (tmp_path / "tone.json").write_text('{"import_error": "no such package"}')
    running = WorkerProcess(tmp_path, control_address=control.address, options={"forkserver": "yes"}).start()
    try:
        running.wait_ready()
        wait_until(lambda: "no such package" in running.stderr(), "the warning")
        assert say(running, "hello")
        running_engine = engine_pid(running)
        os.kill(running_engine, signal.SIGKILL)
        assert running.process.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        running.close()


def test_threads_forbid_a_fork(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "from webui.engine.forkserver import _can_be_forked\n"
        "assert _can_be_forked()\n"
        "threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()\n"
        "assert not _can_be_forked()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "started threads" in done.stderr
