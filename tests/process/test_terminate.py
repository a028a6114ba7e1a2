"""Trees of real processes end: the polite, the deaf, the stopped, the re-parented."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.process.facts import ProcessFacts, observe, still
from launcher.process.ports import port_free, port_holder
from launcher.process.terminate import send_signal, terminate_tree, wait_port_free
from tests.ports import free_port
from tests.process.spawn import DEAF, FAMILY, SLEEPER, Nursery, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

#: Listens on every address of a free port, prints it, and keeps a child that inherits the socket.
SERVER = """
import socket, subprocess, sys, time
server = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
server.set_inheritable(True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
print("ready", server.getsockname()[1], flush=True)
time.sleep(600)
"""


def facts_of(pid: int) -> ProcessFacts:
    facts = observe(pid)
    assert facts is not None
    return facts


def test_a_polite_process_ends_without_force(nursery: Nursery, tmp_path: Path) -> None:
    root, _ = nursery.run(SLEEPER, tmp_path)
    teardown = terminate_tree(root, grace_s=30)
    assert [facts.pid for facts in teardown.stopped] == [root.pid]
    assert not teardown.survivors
    assert not teardown.forced
    assert not still(root)


def test_asking_is_enough_when_the_root_obeys(nursery: Nursery, tmp_path: Path) -> None:
    told = tmp_path / "told"
    root, _ = nursery.run(DEAF, tmp_path, arguments=[str(told)])

    def ask() -> bool:
        # Stands for the control request, which this script does not know.
        os.kill(root.pid, signal.SIGINT)
        return True

    teardown = terminate_tree(root, grace_s=30, ask=ask)
    assert not teardown.survivors
    assert not teardown.forced
    assert not told.exists(), "nothing more than the request was needed"


def test_a_refused_request_is_followed_by_sigterm(nursery: Nursery, tmp_path: Path) -> None:
    root, _ = nursery.run(SLEEPER, tmp_path)
    assert not terminate_tree(root, grace_s=30, ask=lambda: False).survivors


def test_a_process_that_ignores_sigterm_is_killed_after_it_was_told(nursery: Nursery, tmp_path: Path) -> None:
    told = tmp_path / "told"
    root, _ = nursery.run(DEAF, tmp_path, arguments=[str(told)])
    teardown = terminate_tree(root, grace_s=1.0)
    assert not teardown.survivors
    assert teardown.forced
    assert told.read_text() == "term\n"


def test_a_stopped_process_wakes_up_to_end_itself(nursery: Nursery, tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = DEAF.replace('file.write("term\\n")', 'file.write("term\\n")\n    sys.exit(0)')
    root, _ = nursery.run(code, tmp_path, arguments=[str(told)])
    os.kill(root.pid, signal.SIGSTOP)
    wait_until(lambda: facts_of(root.pid).status == "stopped", "SIGSTOP did not stop it")
    asked = []

    def ask() -> bool:
        asked.append(True)
        return True

    teardown = terminate_tree(facts_of(root.pid), grace_s=30, ask=ask)
    assert not teardown.survivors
    assert not teardown.forced
    assert told.read_text() == "term\n"
    assert not asked, "a stopped process cannot answer"


def test_children_and_grandchildren_go_with_the_root(nursery: Nursery, tmp_path: Path) -> None:
    root, pids = nursery.run(FAMILY, tmp_path, arguments=["stay"])
    family = [facts_of(int(pid)) for pid in pids.split()]
    teardown = terminate_tree(root, grace_s=20)
    assert {facts.pid for facts in teardown.stopped} == {root.pid, *(facts.pid for facts in family)}
    assert not any(still(facts) for facts in [root, *family])


def test_a_grandchild_that_lost_its_parent_during_the_stop_is_still_ended(nursery: Nursery, tmp_path: Path) -> None:
    root, pids = nursery.run(FAMILY, tmp_path, arguments=["stay"])
    child, grandchild = [facts_of(int(pid)) for pid in pids.split()]

    def ask() -> bool:
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: facts_of(grandchild.pid).parent_pid != child.pid, "it was not re-parented")
        return False

    teardown = terminate_tree(root, grace_s=20, ask=ask)
    assert not teardown.survivors
    assert not still(grandchild)


def test_a_deaf_grandchild_is_killed_and_the_rest_ends_in_peace(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(DEAF)
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, 'deaf.py', 'told'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root, pid = nursery.run(code, tmp_path)
    deaf = facts_of(int(pid))
    teardown = terminate_tree(root, grace_s=1.0)
    assert teardown.forced
    assert not teardown.survivors
    assert not still(deaf)
    assert (tmp_path / "told").read_text() == "term\n"


def test_a_reused_pid_is_not_signalled(nursery: Nursery, tmp_path: Path) -> None:
    bystander, _ = nursery.run(SLEEPER, tmp_path)
    gone = replace(bystander, created_at=bystander.created_at - 100)
    teardown = terminate_tree(gone, grace_s=5)
    assert teardown.stopped == (gone,)
    assert not teardown.forced
    send_signal(gone, signal.SIGKILL)
    assert still(bystander)
    send_signal(bystander, signal.SIGKILL)
    wait_until(lambda: not still(bystander), "the very process was not signalled")


def test_what_a_dying_child_starts_is_ended_too(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(
        "import signal, subprocess, sys, time\n"
        "def again(*_):\n"
        "    late = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    open('late', 'w').write(str(late.pid))\n"
        "signal.signal(signal.SIGTERM, again)\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(600)\n"
    )
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, 'child.py'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    root, _ = nursery.run(code, tmp_path)
    teardown = terminate_tree(root, grace_s=2.0)
    late = int((tmp_path / "late").read_text())
    nursery.note(late)
    assert late in {facts.pid for facts in teardown.stopped}
    found = observe(late)
    assert found is None or found.status == "zombie"


def test_this_process_survives_its_own_name() -> None:
    # Signalled itself, pytest would end here.
    teardown = terminate_tree(facts_of(os.getpid()), grace_s=0.0)
    assert [facts.pid for facts in teardown.survivors] == [os.getpid()]


def test_a_zombie_counts_as_gone(nursery: Nursery, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'pass'])\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent, pid = nursery.run(code, tmp_path)
    # One look may fall into the moment of its end and see nothing.
    wait_until(lambda: (seen := observe(int(pid))) is not None and seen.status == "zombie", "the child did not end")
    teardown = terminate_tree(facts_of(int(pid)), grace_s=5)
    assert not teardown.survivors
    assert not teardown.forced
    assert still(parent)


def test_a_port_held_by_a_tree_comes_free(nursery: Nursery, tmp_path: Path) -> None:
    root, port_text = nursery.run(SERVER, tmp_path, arguments=["0.0.0.0"])
    port = int(port_text)
    assert not wait_port_free("127.0.0.1", port, 0.05)
    assert not terminate_tree(root, grace_s=20).survivors
    assert wait_port_free("127.0.0.1", port, 20)


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("::", "::1"),
        ("::", "::"),
        ("127.0.0.1", "::"),
        ("0.0.0.0", "::"),
    ],
)
def test_the_holder_of_a_port_is_named(nursery: Nursery, tmp_path: Path, bound: str, asked: str) -> None:
    root, port_text = nursery.run(SERVER, tmp_path, arguments=[bound])
    holder = port_holder(asked, int(port_text))
    assert holder is not None
    assert holder.pid == root.pid, "of those who share the socket, the oldest"
    assert "webui.py" in holder.describe()


def test_a_free_port_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        assert not port_free("127.0.0.1", port)
    assert port_holder("127.0.0.1", port) is None
    assert port_holder("host.invalid", port) is None
    assert wait_port_free("127.0.0.1", port, 0.0)


def test_a_port_whose_connections_wait_out_their_time_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert port_free("127.0.0.1", port)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_another_users_holder_is_named_by_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            "import os\n"
            "from launcher.process.ports import port_holder\n"
            "''.encode('idna')  # loads what the other user may not read\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"print(port_holder('127.0.0.1', {port}))"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pid=0" in found.stdout, found.stderr
    assert "owner='root'" in found.stdout


def test_ending_the_same_tree_twice_at_once_is_harmless(nursery: Nursery, tmp_path: Path) -> None:
    root, pids = nursery.run(FAMILY, tmp_path, arguments=["stay"])
    family = [facts_of(int(pid)) for pid in pids.split()]
    results = []
    threads = [threading.Thread(target=lambda: results.append(terminate_tree(root, grace_s=20))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [teardown.survivors for teardown in results] == [(), ()]
    assert not any(still(facts) for facts in family)


def test_a_tree_that_keeps_growing_is_ended(nursery: Nursery, tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "def again(*_):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    open('children', 'a').write(f'{child.pid}\\n')\n"
        "signal.signal(signal.SIGTERM, again)\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(600)\n"
    )
    root, _ = nursery.run(code, tmp_path)
    teardown = terminate_tree(root, grace_s=2.0)
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    for pid in children:
        nursery.note(pid)
    assert not teardown.survivors
    assert children
    assert all(found is None or found.status == "zombie" for found in map(observe, children))
