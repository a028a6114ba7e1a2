"""What the operating system says about a process: read once, kept as a value.

Invariants: reading never raises because a process went away or belongs to somebody else; a pid alone never stands
for a process, the time of its creation always goes with it; nothing here signals or changes a process.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

Answer = TypeVar("Answer")

#: The variable in a child's environment that says which instance started it.
MARK_VARIABLE = "LAUNCHER_INSTANCE_MARK"
#: Creation times that travelled through JSON differ by rounding at most; the kernel counts in ticks of 10 ms.
CREATED_AT_TOLERANCE_S = 0.001


@dataclass(frozen=True)
class ProcessFacts:
    """One process at the moment when it was observed.

    Attributes:
        pid: its number; 0 when the operating system does not tell which process it is.
        created_at: when it was created, in seconds since 1970; 0.0 when pid is 0.
        owner: the user's name as the operating system writes it; empty when unknown.
        command: its command line; empty when it cannot be read.
        cwd: its working directory; ``None`` when it cannot be read.
        mark: `MARK_VARIABLE` of its environment; ``""`` when the environment was read and holds none, ``None``
            when the environment cannot be read.
        status: psutil's word (``running``, ``sleeping``, ``stopped``, ``zombie``, ``disk-sleep``, ...).
        parent_pid: its parent's number; 0 when it has none.
        is_contained: whether it lives in a container: it counts processes apart from us (Linux).
    """

    pid: int
    created_at: float
    owner: str
    command: tuple[str, ...]
    cwd: str | None
    mark: str | None
    status: str
    parent_pid: int
    is_contained: bool = False

    def describe(self) -> str:
        """``pid 12 (python webui.py, owner mia)``: for messages to a person."""
        command = " ".join(self.command)
        printable = "".join(letter if letter.isprintable() else "?" for letter in command)
        shown = printable if len(printable) <= 120 else printable[:119] + "…"
        who = f"pid {self.pid}" if self.pid else "a process of unknown pid"
        return f"{who} ({shown or 'command unknown'}, owner {self.owner or 'unknown'})"


def same_time(first: float, second: float) -> bool:
    """Whether two creation times are the same but for rounding."""
    return abs(first - second) < CREATED_AT_TOLERANCE_S


def mark_prefix(instance: str, data_dir: str) -> str:
    """What every mark of ``instance`` in ``data_dir`` starts with: ``<instance>:<8 hex digits>.``."""
    return f"{instance}:{zlib.crc32(os.fsencode(Path(data_dir).resolve())):08x}."


def new_mark(instance: str, data_dir: str) -> str:
    """A fresh value for `MARK_VARIABLE`; no two runs share one, and two data folders never look alike."""
    return mark_prefix(instance, data_dir) + os.urandom(8).hex()


def observe(pid: int) -> ProcessFacts | None:
    """The facts of process ``pid``, or ``None`` when there is none."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            environment = _ask(process.environ, None)
            return ProcessFacts(
                pid=pid,
                created_at=process.create_time(),
                owner=_ask(process.username, ""),
                command=tuple(_ask(process.cmdline, [])),
                cwd=_ask(process.cwd, None) or None,
                mark=None if environment is None else environment.get(MARK_VARIABLE, ""),
                status=process.status(),
                parent_pid=process.ppid(),
                is_contained=_is_contained(pid),
            )
    except (psutil.Error, ValueError, OverflowError):
        # Gone meanwhile; or no pid at all: negative, or beyond the system's range.
        return None


def observe_all() -> Iterator[ProcessFacts]:
    """Every process that can be seen, those of this user first."""
    mine = current_owner()
    others: list[ProcessFacts] = []
    for pid in psutil.pids():
        facts = observe(pid)
        if facts is None:
            continue
        if facts.owner == mine:
            yield facts
        else:
            others.append(facts)
    yield from others


def still(facts: ProcessFacts) -> bool:
    """Whether this very process still runs: same pid and creation time, and no zombie that waits for its parent."""
    try:
        process = psutil.Process(facts.pid)
        return same_time(process.create_time(), facts.created_at) and process.status() not in (
            psutil.STATUS_ZOMBIE,
            psutil.STATUS_DEAD,
        )
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def _is_contained(pid: int) -> bool:
    """Whether the process lives in another space of process numbers; false where that is not to be seen."""
    try:
        return not Path(f"/proc/{pid}/ns/pid").samefile("/proc/self/ns/pid")
    except OSError:
        return False


def current_owner() -> str:
    """The name of the user that runs this process, as `ProcessFacts.owner` writes it."""
    return _ask(psutil.Process().username, "")


def own_pids() -> frozenset[int]:
    """This process and all its ancestors: what must never be signalled."""
    process = psutil.Process()
    nobody: list[psutil.Process] = []
    return frozenset([process.pid, *(parent.pid for parent in _ask(process.parents, nobody))])


def _ask(question: Callable[[], Answer], otherwise: Answer) -> Answer:
    """The answer, or ``otherwise`` when it is refused; a process that has gone raises `psutil.NoSuchProcess`."""
    try:
        return question()
    except (psutil.AccessDenied, psutil.ZombieProcess, OSError):
        return otherwise
