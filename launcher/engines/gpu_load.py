"""How busy the GPUs are and what of their memory is used: NVIDIA's library, opened once and asked again and again.

Invariants: asking never fails and never touches CUDA; where there is no driver the answer is empty, and nobody asks
again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from launcher.engines.gpu import may_have_nvml


@dataclass(frozen=True)
class GpuLoad:
    """One GPU at one moment.

    Attributes:
        index: its number, in the order of the PCI bus.
        name: as its maker calls it.
        used_bytes, total_bytes: its memory, by all.
        own_bytes: what the given processes hold of it; 0 when the driver does not say.
        load: busy part of the last moment, 0 to 1; ``None`` when the card does not say.
    """

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    own_bytes: int = 0
    load: float | None = None


class GpuWatch:
    """Asks the driver.

    Args:
        nvml: a module such as `pynvml`; ``None`` takes that one.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._is_open: bool | None = None

    def read(self, pids: Collection[int] = ()) -> tuple[GpuLoad, ...]:
        """Every GPU now; empty without one.

        Args:
            pids: the processes whose memory is ours.
        """
        if not self._opened():
            return ()
        nvml = self._nvml
        try:
            return tuple(_one(nvml, index, pids) for index in range(nvml.nvmlDeviceGetCount()))
        except (nvml.NVMLError, OSError, ValueError, AttributeError):  # lost, or an old driver that lacks a function
            return ()

    def close(self) -> None:
        """Lets the library go."""
        if self._is_open:
            self._is_open = False
            self._nvml.nvmlShutdown()

    def _opened(self) -> bool:
        if self._is_open is None:
            if self._nvml is None:
                if not may_have_nvml():
                    self._is_open = False
                    return False
                import pynvml

                self._nvml = pynvml
            try:
                self._nvml.nvmlInit()
                self._is_open = True
            except self._nvml.NVMLError:
                self._is_open = False
        return self._is_open


def _one(nvml: Any, index: int, pids: Collection[int]) -> GpuLoad:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    name = nvml.nvmlDeviceGetName(handle)
    try:
        load: float | None = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except nvml.NVMLError:  # not for this kind of card
        load = None
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        own = sum(one.usedGpuMemory or 0 for one in running if one.pid in pids)
    except nvml.NVMLError:
        own = 0
    shown = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return GpuLoad(index, shown, int(memory.used), int(memory.total), own, load)
