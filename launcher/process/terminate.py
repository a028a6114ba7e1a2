"""Ending a process and everything it started, gently first, and knowing at the end whether it is gone.

Invariants: a signal goes only to the very process that was observed (same pid, same creation time, through a pidfd
where the system has one); the root goes first, because a supervisor would restart its children; descendants are
noted before their parent dies, so that re-parenting hides none; this process is never signalled; whoever survives is
named.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from launcher.process.facts import ProcessFacts, observe, still
from launcher.process.ports import wait_port_free

__all__ = ["Teardown", "send_signal", "terminate_tree", "wait_port_free"]

#: Longest wait between a SIGTERM to the children that outlived their root, or after an asked root, and SIGKILL.
SHORT_GRACE_S = 3.0
#: How long the kernel may take to clear away a killed process; one in uninterruptible sleep stays longer.
KILL_WAIT_S = 5.0


@dataclass(frozen=True)
class Teardown:
    """What became of a tree of processes.

    Attributes:
        stopped: the processes that are gone; a zombie that its own parent must collect counts as gone.
        survivors: those that are still there.
        forced: whether SIGKILL was needed.
        elapsed_s: seconds from the call to its end.
    """

    stopped: tuple[ProcessFacts, ...]
    survivors: tuple[ProcessFacts, ...]
    forced: bool
    elapsed_s: float


def terminate_tree(root: ProcessFacts, *, grace_s: float, ask: Callable[[], bool] | None = None) -> Teardown:
    """Ends ``root`` and its descendants: asks, then SIGTERM, then SIGKILL, each only for those that are left.

    Args:
        root: the process to end.
        grace_s: seconds that the root has after it was asked or, when it was not, after SIGTERM.
        ask: asks the root politely (a control request) and says whether the request was taken; it bounds its own
            time. It is not called for a root that is stopped (SIGSTOP), which could not answer.

    Returns:
        What happened; nobody is left when ``survivors`` is empty. An unknown process (pid 0) and this one survive.
    """
    if root.pid in (0, os.getpid()):
        return Teardown((), (root,), forced=False, elapsed_s=0.0)
    started = time.monotonic()
    tree = _Tree(root)
    term_grace_s = grace_s
    if ask is not None and tree.living() and root.status != psutil.STATUS_STOPPED and ask():
        tree.wait(grace_s)
        term_grace_s = min(grace_s, SHORT_GRACE_S)
    if still(root):
        tree.note_descendants()
        _end(root)
        tree.wait(term_grace_s, only=(root,))
    if still(root):
        tree.note_descendants()
        tree.kill((root,))
        tree.wait(KILL_WAIT_S, only=(root,))
    tree.note_descendants()
    outliving = [facts for facts in tree.living() if facts != root]
    for facts in outliving:
        _end(facts)
    tree.wait(min(grace_s, SHORT_GRACE_S), only=outliving)
    deadline = time.monotonic() + KILL_WAIT_S
    while (left := tree.living()) and time.monotonic() < deadline:
        # Again and again: a dying process may still start another.
        tree.note_descendants()
        tree.kill(left)
        tree.wait(0.2)
    survivors = tuple(tree.living())
    stopped = tuple(facts for facts in tree.members.values() if facts not in survivors)
    return Teardown(stopped, survivors, tree.forced, time.monotonic() - started)


class _Tree:
    """The root and every descendant of it that was ever seen."""

    def __init__(self, root: ProcessFacts) -> None:
        self.members: dict[tuple[int, float], ProcessFacts] = {(root.pid, root.created_at): root}
        self.forced = False
        self.note_descendants()

    def note_descendants(self) -> None:
        """Adds the present descendants of every living member."""
        seen: set[int] = {os.getpid()}
        for facts in self.living():
            if facts.pid in seen:
                continue
            children: list[psutil.Process] = []
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(facts.pid).children(recursive=True)
            for child in children:
                if child.pid not in seen and (found := observe(child.pid)) is not None:
                    self.members.setdefault((found.pid, found.created_at), found)
                    seen.add(child.pid)

    def living(self) -> list[ProcessFacts]:
        """The members that still run, the root first."""
        return [facts for facts in self.members.values() if still(facts)]

    def kill(self, targets: Iterable[ProcessFacts]) -> None:
        for facts in targets:
            self.forced = True
            send_signal(facts, _KILL)

    def wait(self, timeout_s: float, only: Iterable[ProcessFacts] | None = None) -> None:
        """Returns when the members (or ``only`` those) are gone, at the latest after ``timeout_s`` seconds."""
        waited_for = list(self.members.values()) if only is None else list(only)
        deadline = time.monotonic() + timeout_s
        pause_s = 0.01
        while any(still(facts) for facts in waited_for) and time.monotonic() < deadline:
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)


if sys.platform == "win32":
    _KILL = signal.SIGTERM
else:
    _KILL = signal.SIGKILL


def _end(facts: ProcessFacts) -> None:
    """SIGTERM, and SIGCONT so that a stopped process can act on it; on Windows the process simply ends."""
    send_signal(facts, signal.SIGTERM)
    if sys.platform != "win32":
        send_signal(facts, signal.SIGCONT)


def send_signal(facts: ProcessFacts, number: signal.Signals) -> None:
    """Signals this very process; when it has gone, its pid was reused or it may not be signalled, nothing happens."""
    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform == "linux" and (descriptor := _pin(facts.pid)) is not None:
            try:
                # When the pinned process is the right one, no reuse of the pid can come between look and signal.
                if still(facts):
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
        elif still(facts):
            psutil.Process(facts.pid).send_signal(number)


def _pin(pid: int) -> int | None:
    """A pidfd of the process; ``None`` where this build or system has none, or a filter forbids the call.

    Raises:
        ProcessLookupError: when there is no such process.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None
