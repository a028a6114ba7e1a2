"""How an engine should use a GPU's memory: which numbers it computes with, and whether it takes the emotion model.

Invariants: what the user set is never overruled; the reason is one sentence for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.engines.gpu import Gpu

_GB = 10**9
#: Below this the full-size numbers and the emotion model do not fit beside what synthesis itself needs; upstream's
#: own limit.
SMALL_VRAM_BYTES = 10 * 1024**3
#: From here on everything fits at full size: 8.9 GB of weights (IndexTTS-2 with Qwen) and about 2 GB for computing.
ROOMY_VRAM_BYTES = 13 * _GB


@dataclass(frozen=True)
class MemoryPlan:
    """What the engine is told.

    Attributes:
        precision: ``fp32``, ``fp16`` or ``bf16``.
        qwen: whether it may load the model that reads emotions from text, ``yes`` or ``no``.
        reason: why, one sentence.
    """

    precision: str
    qwen: str
    reason: str

    def to_options(self) -> dict[str, str]:
        """As `webui.settings.WorkerSettings.options` has it."""
        return {"precision": self.precision, "qwen": self.qwen}


def memory_plan(gpu: Gpu | None, config: Config, half: str = "fp16", engines: int = 1) -> MemoryPlan:
    """The plan for an engine on a GPU.

    Args:
        gpu: ``None`` is a computer without one.
        config: the settings, which win.
        half: the half precision that the engine has, ``fp16`` or ``bf16``.
        engines: how many share the GPU's memory.
    """
    precision, qwen, reason = _by_hardware(gpu, half, engines)
    by_hand = [name for name, value in (("PRECISION", config.precision), ("QWEN", config.qwen)) if value != "auto"]
    if config.precision != "auto":
        precision = config.precision
    if config.qwen != "auto":
        qwen = config.qwen
    if by_hand:
        reason = f"{reason} Set by hand: {', '.join(f'LAUNCHER_{name}' for name in by_hand)}."
    return MemoryPlan(precision, qwen, reason)


def _by_hardware(gpu: Gpu | None, half: str, engines: int) -> tuple[str, str, str]:
    if gpu is None:
        return "fp32", "yes", "Without a GPU the engine computes as upstream does, in fp32."
    share_bytes = gpu.vram_total_bytes // engines
    size = f"{share_bytes / _GB:.1f} GB of GPU memory" + (f" for each of {engines} engines" if engines > 1 else "")
    if share_bytes >= ROOMY_VRAM_BYTES:
        return "fp32", "yes", f"With {size} everything fits as upstream computes it, in fp32."
    if share_bytes >= SMALL_VRAM_BYTES:
        return half, "yes", f"With {size} the emotion model fits beside the others in {half}."
    return half, "no", f"With {size} the engine computes in {half} and leaves the emotion model out."
