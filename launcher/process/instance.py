"""A running instance from outside: find it, ask it, stop it.

Invariants: an instance runs when its lock is held, whatever a file says; a stop is done when every process is gone
and the port is free; nothing is signalled that the run file or the lock does not name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.channel import Channel, ChannelError
from launcher.errors import NotRunningError, StartError, StopError
from launcher.process.runfile import RunFile, RunRecord

if TYPE_CHECKING:
    from launcher.process.facts import ProcessFacts
    from launcher.process.video_memory import Returned

#: A supervisor that lives answers within milliseconds; one that is swapped out may need longer.
ANSWER_TIMEOUT_S = 5.0
#: A supervisor writes its record a moment after it took the lock, later only when leftovers hold its port.
_RECORD_TIMEOUT_S = 20.0
#: What a supervisor needs besides its children's grace: it collects them and clears away.
_CLEARING_S = 3.0


@dataclass(frozen=True)
class Stopped:
    """What a stop did.

    Attributes:
        pids: the processes that are gone.
        forced: whether any had to be killed.
        elapsed_s: how long it took.
        gpus: what became of the GPUs' memory; empty without a GPU.
    """

    pids: tuple[int, ...]
    forced: bool
    elapsed_s: float
    gpus: tuple[Returned, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "pids": list(self.pids),
            "forced": self.forced,
            "elapsed_s": round(self.elapsed_s, 3),
            "gpus": [gpu.to_json() for gpu in self.gpus],
        }


def find_running(run_file: RunFile, *, timeout_s: float = _RECORD_TIMEOUT_S) -> RunRecord | None:
    """The record of the instance that runs; ``None`` when none does.

    Raises:
        StartError: when a process holds the instance's lock but says nothing about itself.
    """
    deadline = time.monotonic() + timeout_s
    while run_file.state() == "running":
        record = _read_current(run_file)
        if record is not None:
            return record
        if time.monotonic() >= deadline:
            pid = run_file.holder()[0]
            raise StartError(
                f"A launcher (pid {pid or 'unknown'}) holds the instance but has written no run file.",
                fix="Wait a moment and try again; when it stays so, run `tts-launcher stop`.",
            )
        time.sleep(0.02)
    return None


def _read_current(run_file: RunFile) -> RunRecord | None:
    """The record of whoever holds the lock; ``None`` before it has written one.

    A crashed run's lies there until then, and in a container the new supervisor often has the same pid.
    """
    record = run_file.read()
    if record is not None and (record.supervisor_pid, record.supervisor_created_at) == run_file.holder():
        return record
    return None


def require_running(run_file: RunFile, instance: str) -> RunRecord:
    """The record of the instance that runs.

    Raises:
        NotRunningError: when none does.
    """
    record = find_running(run_file)
    if record is None:
        raise NotRunningError(f"Instance {instance!r} is not running.", fix="Start it with `tts-launcher start`.")
    return record


def ask(record: RunRecord, command: str, **arguments: Any) -> dict[str, Any]:
    """Sends one command to a running instance and returns its result.

    Raises:
        NotRunningError: when it does not answer.
        StartError: when it answers that it will not.
    """
    try:
        channel = Channel.connect(record.control_address, token=record.control_token, timeout_s=ANSWER_TIMEOUT_S)
    except ChannelError as error:
        raise _silent(record, error) from None
    try:
        channel.send({"command": command, **arguments})
        answer = channel.receive()
    except ChannelError as error:
        raise _silent(record, error) from None
    finally:
        channel.close()
    if answer is None:
        raise _silent(record, ChannelError("it closed the connection"))
    if not answer.get("ok"):
        raise StartError(str(answer.get("error") or "The instance refused."))
    result = answer.get("result")
    return result if isinstance(result, dict) else {}


def stop_instance(run_file: RunFile, instance: str, grace_s: float) -> Stopped:
    """Stops a running instance: asks, terminates, kills; then makes sure that everything is gone.

    Args:
        run_file: the instance's.
        instance: its name, for messages.
        grace_s: seconds that its children get to end by themselves.

    Raises:
        NotRunningError: when it does not run.
        StopError: when a process or the port survives.
    """
    from launcher.process.facts import observe, same_time
    from launcher.process.ports import wait_port_free
    from launcher.process.terminate import terminate_tree
    from launcher.process.video_memory import MemoryBefore

    started = time.monotonic()
    pid, created_at = _holder(run_file, instance)
    facts = observe(pid)
    if facts is None or (created_at and not same_time(facts.created_at, created_at)):
        raise NotRunningError(f"Instance {instance!r} has just ended.", fix="Start it with `tts-launcher start`.")
    record = _read_current(run_file)
    memory = MemoryBefore()
    teardown = terminate_tree(facts, grace_s=grace_s + _CLEARING_S, ask=_asker(record, grace_s))
    if teardown.survivors:
        raise survivors_error("Not everything ended", teardown.survivors)
    if record is not None and record.port and not wait_port_free(record.host, record.port, _CLEARING_S):
        raise StopError(
            f"Port {record.port} is still in use after every process has ended.",
            fix="See who holds it, or start on another one with --port auto.",
        )
    clear_after_crash(run_file, pid)
    pids = tuple(each.pid for each in teardown.stopped)
    return Stopped(pids, teardown.forced, time.monotonic() - started, memory.compare(pids))


def survivors_error(what: str, survivors: Sequence[ProcessFacts]) -> StopError:
    """Who did not end, and what to do about each.

    Args:
        what: the sentence's beginning.
        survivors: at least one.
    """
    from launcher.process.facts import current_owner, observe

    # As they are now: what holds a process shows in its state.
    now = [observe(each.pid) or each for each in survivors]
    left = "; ".join(each.describe() for each in now)
    return StopError(f"{what}: {left}.", fix=" ".join(dict.fromkeys(way_out(each, current_owner()) for each in now)))


def way_out(facts: ProcessFacts, owner: str) -> str:
    """What a person can do about a process that did not end, one sentence; ``owner`` is who asks."""
    if facts.status == "disk-sleep":
        return (
            f"Process {facts.pid} waits in the kernel, often for a GPU's driver or a disk that does not answer: it "
            "ends when that answers; else only a restart of the machine ends it."
        )
    if facts.owner and facts.owner != owner:
        return f"End process {facts.pid} with the rights of {facts.owner}."
    if facts.status == "tracing-stop":
        return f"A debugger holds process {facts.pid}: end the debugger first."
    return f"End process {facts.pid} by hand (kill -9 {facts.pid}), and look at what starts it again if it comes back."


def clear_after_crash(run_file: RunFile, pid: int) -> None:
    """Removes the record of a supervisor that had no time to do it, when nobody has taken over meanwhile."""
    if run_file.state() == "crashed":
        record = run_file.read()
        if record is not None and record.supervisor_pid == pid:
            run_file.clear()


def _holder(run_file: RunFile, instance: str) -> tuple[int, float]:
    """Who holds the lock now."""
    if run_file.state() != "running":
        raise NotRunningError(f"Instance {instance!r} is not running.", fix="Start it with `tts-launcher start`.")
    pid, created_at = run_file.holder()
    if not pid or pid == os.getpid():
        raise StopError("The process that holds the instance's lock is unknown.", fix="End it by hand.")
    return pid, created_at


def _asker(record: RunRecord | None, grace_s: float) -> Callable[[], bool] | None:
    if record is None or not record.control_address:
        return None

    def asked() -> bool:
        try:
            ask(record, "stop", grace_s=grace_s)
        except (NotRunningError, StartError):
            return False
        return True

    return asked


def _silent(record: RunRecord, error: ChannelError) -> NotRunningError:
    return NotRunningError(
        f"Instance {record.instance!r} (pid {record.supervisor_pid}) does not answer: {error}.",
        fix="Look again in a moment; `tts-launcher start --replace` starts it anew.",
    )
