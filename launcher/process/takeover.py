"""Before a start: what an earlier run left, who sits on the port, and how to get past both.

Invariants: called with the instance's lock held, so no supervisor of it lives; only what `launcher.process.identity`
calls ours is ended, each by pid and creation time; somebody else's process is named and never touched.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import PortError
from launcher.process.bind import PortInUseError, bind_port
from launcher.process.runfile import RunRecord

if TYPE_CHECKING:
    from launcher.process.facts import ProcessFacts
    from launcher.process.identity import StaleScripts

Tell = Callable[[str], None]
#: Seconds that a leftover gets to end: nobody uses it any more, and somebody waits for the port.
LEFTOVER_GRACE_S = 2.0


@dataclass(frozen=True)
class Claim:
    """Who starts.

    Attributes:
        instance, data_dir: whose leftovers are ours.
        project_dirs: folders whose ``webui.py`` is ours.
        record: what the last run left, if it crashed.
        stale: what the profile of the app that starts calls left over.
    """

    instance: str
    data_dir: str
    project_dirs: tuple[str, ...]
    record: RunRecord | None
    stale: StaleScripts | None = None


def take_port(host: str, port: int, claim: Claim, tell: Tell) -> socket.socket:
    """A listening socket on the port; ends a leftover of ours that holds it.

    Raises:
        PortError: when somebody else holds it, naming them.
        ConfigError: when the host is no address of this machine.
    """
    with contextlib.suppress(PortInUseError):
        return bind_port(host, port)
    from launcher.process.identity import port_holder
    from launcher.process.ports import wait_port_free

    # Only now, because it takes time: it may have been a leftover of ours, or somebody who has gone since.
    end_leftovers(claim, tell)
    holder = port_holder(host, port)
    if holder is None or wait_port_free(host, port, 0.5):
        return bind_port(host, port)
    raise PortError(
        f"Port {port} on {host} belongs to {holder.describe()}.",
        fix="It is not ours and stays untouched: choose another port with --port N, or --port auto for a free one.",
    )


def end_leftovers(claim: Claim, tell: Tell) -> int:
    """Ends every process that an earlier run of the instance left; returns how many there were.

    Raises:
        StopError: when one survives.
    """
    from launcher.process.identity import find_leftovers, still
    from launcher.process.instance import survivors_error
    from launcher.process.terminate import terminate_tree

    ended = 0
    survivors: list[ProcessFacts] = []
    found = find_leftovers(
        instance=claim.instance,
        data_dir=claim.data_dir,
        project_dirs=claim.project_dirs,
        record=claim.record,
        stale=claim.stale,
    )
    for facts, verdict in found.ours:
        if not still(facts):  # it ended with its parent
            continue
        tell(f"Ending a leftover, {facts.describe()}: {verdict.reason}")
        teardown = terminate_tree(facts, grace_s=LEFTOVER_GRACE_S)
        ended += len(teardown.stopped)
        survivors += teardown.survivors
    if survivors:
        raise survivors_error("A leftover cannot be ended", survivors)
    for facts, verdict in found.alike:
        tell(f"Left alone, {facts.describe()}: {verdict.reason}")
    return ended


def remove_dead_sockets(runtime_dir: Path, keep: str = "") -> None:
    """Removes the sockets that processes left which have ended; ``keep`` names one that is in use."""
    for path in runtime_dir.glob("*.sock"):
        if path.name != keep:
            with contextlib.suppress(OSError):
                path.unlink()
