"""The run file and its lock, with holders that are killed and files that are damaged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import StartError, StorageError
from launcher.process.facts import observe
from launcher.process.instance import find_running
from launcher.process.runfile import AlreadyRunningError, RunFile, RunRecord
from tests.process.spawn import Nursery, wait_until

RECORD = RunRecord(
    instance="默认",
    mark="默认:00000000.aa",
    supervisor_pid=50,
    supervisor_created_at=1760000000.123456,
    host="127.0.0.1",
    port=7860,
    url="http://127.0.0.1:7860",
    control_address="unix:/run/x/control.sock",
    control_token="control-secret",
    token="page-secret",
    started_at=1760000000.5,
    version="0.1.0",
    children={"page": (51, 1760000001.25), "engine": (52, 1760000001.5)},
    log_dir="/x/logs",
)
#: Holds the lock of the paths in its arguments, starts a child that inherits what it may, and sleeps.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from launcher.process.facts import observe
from launcher.process.runfile import RunFile, RunRecord
import os
me = observe(os.getpid())
run_file = RunFile(Path(sys.argv[1]), Path(sys.argv[2]))
with run_file.lock(created_at=me.created_at):
    run_file.write(RunRecord("default", "m", me.pid, me.created_at))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    print("ready", child.pid, flush=True)
    time.sleep(600)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_file(tmp_path: Path) -> RunFile:
    return RunFile(tmp_path / "run.json", tmp_path / "lock")


def hold(nursery: Nursery, run_file: RunFile) -> tuple[int, int]:
    """Another process takes the lock; its pid and its child's."""
    command = [sys.executable, "-c", HOLDER, str(run_file.path), str(run_file.lock_path)]
    facts, child = nursery.start(command, cwd=ROOT)
    return facts.pid, int(child)


def test_a_record_comes_back_as_it_was(run_file: RunFile) -> None:
    run_file.write(RECORD)
    assert run_file.read() == RECORD
    assert stat.S_IMODE(run_file.path.stat().st_mode) == 0o600 or os.name == "nt"
    run_file.clear()
    run_file.clear()
    assert run_file.read() is None


def test_a_record_never_shows_its_secrets() -> None:
    assert "secret" not in repr(RECORD)


def test_the_new_file_is_private_even_where_a_public_one_was_left(run_file: RunFile) -> None:
    left = run_file.path.with_name("run.json.new")
    left.write_text("half a record")
    left.chmod(0o644)
    run_file.write(RECORD)
    assert stat.S_IMODE(run_file.path.stat().st_mode) == 0o600 or os.name == "nt"
    assert not left.exists()


def test_the_state_follows_the_lock(run_file: RunFile) -> None:
    assert run_file.state() == "absent"
    with run_file.lock():
        assert run_file.state() == "running"
        run_file.write(RECORD)
        assert run_file.state() == "running"
    assert run_file.state() == "crashed"
    run_file.clear()
    assert run_file.state() == "absent"


def test_a_second_holder_is_refused_and_told_who_holds_it(nursery: Nursery, run_file: RunFile) -> None:
    pid, _ = hold(nursery, run_file)
    with pytest.raises(AlreadyRunningError) as refusal, run_file.lock():
        pass
    assert refusal.value.pid == pid
    assert str(pid) in refusal.value.message
    assert refusal.value.fix
    facts = observe(pid)
    assert facts is not None
    assert run_file.holder() == (pid, facts.created_at)


def test_a_killed_holder_releases_the_lock_though_its_child_lives(nursery: Nursery, run_file: RunFile) -> None:
    pid, child = hold(nursery, run_file)
    nursery.note(child)
    assert run_file.state() == "running"
    os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    wait_until(lambda: run_file.state() == "crashed", "the lock outlived its holder")
    assert observe(child) is not None
    with run_file.lock():
        record = run_file.read()
        assert record is not None
        assert record.supervisor_pid == pid


def test_one_of_many_gets_the_lock(run_file: RunFile) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from launcher.process.runfile import AlreadyRunningError, RunFile\n"
        "try:\n"
        "    with RunFile(Path(sys.argv[1]), Path(sys.argv[2])).lock():\n"
        "        print('got it', flush=True); sys.stdin.read()\n"
        "except AlreadyRunningError:\n"
        "    print('refused', flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(run_file.path), str(run_file.lock_path)]
    rivals = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)
    ]
    answers = []
    for rival in rivals:
        assert rival.stdout is not None
        answers.append(rival.stdout.readline().strip())
    for rival in rivals:
        rival.communicate()
    assert sorted(answers) == ["got it", *["refused"] * 4]


def test_looking_at_the_state_never_costs_anyone_the_lock(run_file: RunFile) -> None:
    fcntl = pytest.importorskip("fcntl")
    with run_file.lock_path.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        # Another look sees no holder, and whoever wants the lock waits until the look is over.
        assert run_file.state() == "absent"
        looked = threading.Timer(0.1, fcntl.flock, [looking, fcntl.LOCK_UN])
        looked.start()
        with run_file.lock():
            assert run_file.state() == "running"
        looked.join()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"instance": "a", "mark": "b"}',
        b'{"instance": 1, "mark": "b", "supervisor_pid": 1, "supervisor_created_at": 1}',
        b'{"instance": "a", "mark": "b", "supervisor_pid": "1", "supervisor_created_at": 1}',
        b'{"instance": "a", "mark": "b", "supervisor_pid": true, "supervisor_created_at": 1}',
        b'{"instance": "a", "mark": "b", "supervisor_pid": 1, "supervisor_created_at": 1, "children": {"page": 5}}',
        b'{"instance": "a", "mark": "b", "supervisor_pid": 1, "supervisor_created_at": 1, "children": []}',
        b"\xff\xfe\x00binary",
        b"[" * 100_000,
        b" " * 1_000_000,
    ],
)
def test_a_damaged_file_is_kept_aside_and_not_believed(run_file: RunFile, damage: bytes) -> None:
    run_file.path.write_bytes(damage)
    assert run_file.read() is None
    assert not run_file.path.exists()
    assert Path(f"{run_file.path}.corrupt").read_bytes() == damage
    run_file.write(RECORD)
    assert run_file.read() == RECORD


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut=st.integers(0, 600), flip=st.integers(0, 255))
def test_any_cut_or_flipped_byte_is_survived(run_file: RunFile, cut: int, flip: int) -> None:
    data = json.dumps(RECORD.to_json()).encode()
    place = cut % len(data)
    for damaged in (data[:place], data[:place] + bytes([flip]) + data[place + 1 :]):
        run_file.path.write_bytes(damaged)
        record = run_file.read()
        assert record is None or isinstance(record, RunRecord)


def test_a_later_versions_record_is_understood(run_file: RunFile) -> None:
    run_file.path.write_text(json.dumps({**RECORD.to_json(), "colour": "blue"}))
    assert run_file.read() == RECORD


def test_readers_never_see_half_a_record(run_file: RunFile) -> None:
    records = [replace(RECORD, log_dir=letter * 5000) for letter in "ab"]
    run_file.write(records[0])
    done = threading.Event()
    seen: list[RunRecord | None] = []

    def read() -> None:
        while not done.is_set():
            seen.append(run_file.read())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        run_file.write(records[number % 2])
    done.set()
    reader.join()
    assert seen
    assert all(record in records for record in seen)
    assert not Path(f"{run_file.path}.corrupt").exists()


def sentence_of(action: Callable[[], object]) -> str:
    with pytest.raises(StorageError) as failure:
        action()
    assert failure.value.fix
    return failure.value.message


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    run_file = RunFile(tmp_path / "none" / "run.json", tmp_path / "none" / "lock")
    assert run_file.read() is None
    assert run_file.state() == "absent"
    assert str(run_file.path) in sentence_of(lambda: run_file.write(RECORD))
    with contextlib.ExitStack() as stack:
        assert str(run_file.lock_path) in sentence_of(lambda: stack.enter_context(run_file.lock()))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_record(run_file: RunFile) -> None:
    run_file.write(RECORD)
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from launcher.errors import StorageError\n"
        "from launcher.process.runfile import RunFile, RunRecord\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    RunFile(Path(sys.argv[1]), Path('lock')).write(RunRecord('other', 'm', 1, 1.0))\n"
        "except StorageError as error:\n"
        "    print('said:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run_file.path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("said: The run file"), done.stderr
    assert run_file.read() == RECORD
    assert not run_file.path.with_name("run.json.new").exists()


@contextlib.contextmanager
def as_somebody_else(file: Path) -> Iterator[None]:
    """Takes the right to ``file`` away, also from an administrator."""
    file.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        file.chmod(0o600)


@pytest.mark.skipif(os.name != "posix", reason="users")
def test_of_another_users_instance_nothing_is_said(tmp_path: Path) -> None:
    root = tmp_path / "instances" / "default"
    root.mkdir(parents=True)
    run_file = RunFile(root / "run.json", root / "run.lock")
    with run_file.lock(), as_somebody_else(root / "run.lock"), pytest.raises(StorageError, match="sudo -u"):
        run_file.state()


def test_the_record_of_a_crash_is_not_the_new_runs_though_its_pid_is_the_same(run_file: RunFile) -> None:
    """In a container the supervisor has the same pid after every restart."""
    old = replace(RECORD, supervisor_pid=os.getpid(), supervisor_created_at=1000.5, port=7001)
    run_file.write(old)
    with run_file.lock(created_at=2000.5):
        with pytest.raises(StartError, match="has written no run file"):
            find_running(run_file, timeout_s=0.1)
        new = replace(old, supervisor_created_at=2000.5, port=7002)
        run_file.write(new)
        assert find_running(run_file) == new
