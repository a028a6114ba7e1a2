"""Whether the memory of the GPUs came back when an instance stopped, in numbers.

Invariants: without a GPU nothing is asked twice and nothing is said; what others hold is named and not held against
the instance that stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.engines.gpu import Gpu, command_of, gpus

#: A driver takes a moment to clear away after a process, with a large context a second or two.
COME_BACK_S = 5.0
_LOOK_EVERY_S = 0.25
#: Less than this is a driver's own rounding, or a desktop that draws something.
_SLACK_BYTES = 64 * 1024 * 1024

FindGpus = Callable[[], Sequence[Gpu]]


@dataclass(frozen=True)
class Returned:
    """What became of one GPU's memory.

    Attributes:
        index, name: the GPU.
        before_bytes, after_bytes: in use by everybody, before the stop and after it.
        held_bytes: what the stopped processes held before; 0 when the driver does not say, as in containers.
        holders: who holds memory now, as ``pid N (command), size``.
    """

    index: int
    name: str
    before_bytes: int
    after_bytes: int
    held_bytes: int
    holders: tuple[str, ...] = ()

    @property
    def missing_bytes(self) -> int:
        """What was held and has not come back."""
        missing = min(self.held_bytes, self.held_bytes - (self.before_bytes - self.after_bytes))
        return missing if missing > _SLACK_BYTES else 0

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "index": self.index,
            "name": self.name,
            "before_bytes": self.before_bytes,
            "after_bytes": self.after_bytes,
            "held_bytes": self.held_bytes,
            "missing_bytes": self.missing_bytes,
            "holders": list(self.holders),
        }

    def sentence(self) -> str:
        """The numbers in a sentence, with who is to be looked at when something is missing."""
        text = f"GPU {self.index}: {_gb(self.before_bytes)} in use before, {_gb(self.after_bytes)} after."
        if not self.missing_bytes:
            return text
        who = f" It is held by {'; '.join(self.holders)}." if self.holders else " The driver names nobody who holds it."
        return (
            f"{text} {_gb(self.missing_bytes)} that the instance held has not come back.{who} "
            "End that process; if there is none, `nvidia-smi` shows the card's state."
        )


class MemoryBefore:
    """The GPUs as they were before a stop.

    Args:
        find_gpus: where they come from.
    """

    def __init__(self, find_gpus: FindGpus = gpus) -> None:
        self._find_gpus = find_gpus
        self._gpus = tuple(find_gpus())

    def compare(
        self, pids: Sequence[int], *, wait_s: float = COME_BACK_S, sleep: Callable[[float], object] = time.sleep
    ) -> tuple[Returned, ...]:
        """What became of the memory, once it is back or ``wait_s`` seconds have passed.

        Args:
            pids: the processes that have been stopped.
            wait_s: longest wait.
            sleep: waits a number of seconds.
        """
        if not self._gpus:
            return ()
        stopped = frozenset(pids)
        waited_s = 0.0
        while True:
            now = {gpu.index: gpu for gpu in self._find_gpus()}
            found = tuple(_compare(gpu, now.get(gpu.index, gpu), stopped) for gpu in self._gpus)
            if waited_s >= wait_s or not any(each.missing_bytes for each in found):
                return found
            sleep(_LOOK_EVERY_S)
            waited_s += _LOOK_EVERY_S


def _compare(before: Gpu, after: Gpu, stopped: frozenset[int]) -> Returned:
    held = sum(one.size_bytes for one in before.holders if one.pid in stopped)
    holders = tuple(
        f"pid {one.pid} ({command_of(one.pid) or 'not to be seen from here'}), {_gb(one.size_bytes)}"
        for one in after.holders
    )
    return Returned(before.index, before.name, _used(before), _used(after), held, holders)


def _used(gpu: Gpu) -> int:
    return gpu.vram_total_bytes - gpu.vram_free_bytes


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
