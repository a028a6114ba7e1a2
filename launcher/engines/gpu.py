"""The GPUs of this machine and who holds their memory: NVIDIA's library, or else its command line.

Invariants: asking never fails and never touches CUDA, so that nothing of a GPU is taken by looking; without a GPU the
answer is empty and comes at once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_MIB = 1024 * 1024
#: One of these is there on Linux where a driver is: on the machine, in a container, under WSL.
_DRIVER_SIGNS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvhost-ctrl")
#: A driver that has just been loaded may need seconds for its first answer; one that hangs must not hang us.
_SMI_TIMEOUT_S = 15.0
_SMI_FIELDS = "index,uuid,name,driver_version,memory.total,memory.free,compute_cap"
#: First driver of each CUDA line (release notes of CUDA 11.0, 12.0 and 13.0); within a line older drivers run newer
#: minor versions.
_CUDA_BY_DRIVER = ((580, (13, 0)), (525, (12, 0)), (450, (11, 0)))


class Holder(NamedTuple):
    """A process that holds memory of a GPU; 0 bytes when the driver does not say how much."""

    pid: int
    size_bytes: int


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: its number, in the order of the PCI bus.
        name: as its maker calls it.
        driver: version of the driver; empty when it is not known.
        vram_total_bytes, vram_free_bytes: its memory.
        holders: who has memory of it. In a container these may be numbers of the host.
        uuid: ``GPU-...``; empty when it is not known.
        cuda: newest CUDA that the driver runs, (major, minor); (0, 0) when it is not known.
        capability: compute capability, (major, minor); (0, 0) when it is not known.
    """

    index: int
    name: str
    driver: str
    vram_total_bytes: int
    vram_free_bytes: int
    holders: tuple[Holder, ...] = ()
    uuid: str = ""
    cuda: tuple[int, int] = (0, 0)
    capability: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object, each holder with its command where that can be seen."""
        return {
            "index": self.index,
            "name": self.name,
            "driver": self.driver,
            "cuda": ".".join(map(str, self.cuda)) if self.cuda != (0, 0) else "",
            "capability": ".".join(map(str, self.capability)) if self.capability != (0, 0) else "",
            "vram_total_bytes": self.vram_total_bytes,
            "vram_free_bytes": self.vram_free_bytes,
            "holders": [
                {"pid": one.pid, "size_bytes": one.size_bytes, "command": command_of(one.pid)} for one in self.holders
            ],
        }


#: Answers with the GPUs, or ``None`` when it cannot say.
Reader = Callable[[], "tuple[Gpu, ...] | None"]


def gpus(readers: Sequence[Reader] | None = None) -> tuple[Gpu, ...]:
    """Every GPU; empty without one.

    Args:
        readers: asked in turn until one can say; ``None`` takes NVIDIA's library, then nvidia-smi.
    """
    for reader in (read_nvml, read_smi) if readers is None else readers:
        found = reader()
        if found is not None:
            return found
    return ()


def visible(found: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, in the order in which CUDA then counts them.

    Args:
        found: from `gpus`.
        environ: holds the variable or does not.
    """
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return tuple(found)
    chosen: list[Gpu] = []
    for word in (part.strip() for part in listed.split(",")):
        match = next((gpu for gpu in found if _is_named(gpu, word)), None)
        if match is None or match in chosen:  # CUDA stops at the first one that is not there
            break
        chosen.append(match)
    return tuple(chosen)


def _is_named(gpu: Gpu, word: str) -> bool:
    return word == str(gpu.index) or (word.startswith("GPU-") and bool(gpu.uuid) and gpu.uuid.startswith(word))


def command_of(pid: int) -> str:
    """The command line of a process, shortened; empty when it is not to be seen."""
    import psutil

    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return ""
    text = " ".join(words)
    return text if len(text) <= 100 else f"{text[:97]}..."


def may_have_nvml() -> bool:
    """Whether a driver may be there: binding to its library takes 3 MB and 20 ms, which most machines can be spared."""
    return sys.platform != "linux" or any(Path(sign).exists() for sign in _DRIVER_SIGNS)


def read_nvml() -> tuple[Gpu, ...] | None:
    """What the driver's library says; ``None`` where there is none."""
    if not may_have_nvml():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        number = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        cuda = (number // 1000, number % 1000 // 10)
        return tuple(_nvml_gpu(pynvml, index, driver, cuda) for index in range(pynvml.nvmlDeviceGetCount()))
    except (pynvml.NVMLError, OSError, ValueError, AttributeError):  # an old driver lacks a function
        return None
    finally:
        pynvml.nvmlShutdown()


def _nvml_gpu(nvml: Any, index: int, driver: str, cuda: tuple[int, int]) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    held: dict[int, int] = {}
    for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        try:
            for process in ask(handle):
                held[process.pid] = max(held.get(process.pid, 0), process.usedGpuMemory or 0)
        except nvml.NVMLError:  # not for this kind of card, or not for us
            continue
    return Gpu(
        index,
        _text(nvml.nvmlDeviceGetName(handle)),
        driver,
        int(memory.total),
        int(memory.free),
        tuple(Holder(pid, size) for pid, size in sorted(held.items())),
        _text(nvml.nvmlDeviceGetUUID(handle)),
        cuda,
        tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle)),
    )


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def read_smi(program: str = "nvidia-smi") -> tuple[Gpu, ...] | None:
    """What nvidia-smi says; ``None`` where there is none or it fails.

    Args:
        program: its name or path.
    """
    rows = _smi_rows(program, f"--query-gpu={_SMI_FIELDS}")
    if rows is None:
        return None
    held = _smi_rows(program, "--query-compute-apps=gpu_uuid,pid,used_memory") or []
    return tuple(_smi_gpu(row, held) for row in rows if len(row) == len(_SMI_FIELDS.split(",")) and row[0].isdigit())


def _smi_rows(program: str, query: str) -> list[list[str]] | None:
    from shutil import which

    path = which(program)
    if path is None:
        return None
    command = [path, query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _smi_gpu(row: Sequence[str], held: Sequence[Sequence[str]]) -> Gpu:
    index, uuid, name, driver, total, free, capability = row
    major = _number(driver.partition(".")[0])
    return Gpu(
        int(index),
        name,
        driver,
        _number(total) * _MIB,
        _number(free) * _MIB,
        tuple(Holder(_number(pid), _number(used) * _MIB) for gpu, pid, used in held if gpu == uuid),
        uuid,
        next((cuda for first, cuda in _CUDA_BY_DRIVER if major >= first), (0, 0)),
        _pair(capability),
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0  # "[N/A]" where the card does not say


def _pair(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return _number(major), _number(minor)
