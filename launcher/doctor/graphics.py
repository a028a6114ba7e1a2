"""Checks of the GPU: is there one, does its driver fit, and who holds its memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed, size_text

if TYPE_CHECKING:
    from launcher.engines.gpu import Gpu

#: What CUDA 12 needs at least, on Linux and Windows (NVIDIA, CUDA Compatibility: minor version compatibility).
MIN_DRIVER = 525
#: IndexTTS-2 in 16-bit precision with its vocoder; measured by its users at 5 to 6 GB.
MIN_VRAM_BYTES = 6_000_000_000
_PCI = Path("/sys/bus/pci/devices")
_NVIDIA = "0x10de"
_DISPLAY_CLASSES = ("0x0300", "0x0302")


def _gpus(given: Sequence[Gpu] | None) -> Sequence[Gpu]:
    from launcher.engines.gpu import gpus

    return gpus() if given is None else given


def _wants_gpu(ground: Ground) -> bool:
    return ground.config.device.startswith("cuda")


def cards(folder: Path = _PCI) -> int:
    """How many NVIDIA cards are plugged in, whether or not a driver knows them; 0 where that cannot be seen."""
    count = 0
    for device in folder.iterdir() if sys.platform == "linux" and folder.is_dir() else ():
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue
        count += vendor == _NVIDIA and kind[:6] in _DISPLAY_CLASSES
    return count


def check_gpu(ground: Ground, given: Sequence[Gpu] | None = None, plugged: int | None = None) -> Finding:
    """The GPUs that an engine may use.

    Args:
        ground: the settings.
        given: the GPUs that a driver answers for; ``None`` asks.
        plugged: how many cards there are; ``None`` looks.
    """
    found = _gpus(given)
    if found:
        shown = listed([f"{one.index}: {one.name}, {size_text(one.vram_total_bytes)}" for one in found])
        number = ground.config.device.partition(":")[2]
        if _wants_gpu(ground) and number and int(number) not in {one.index for one in found}:
            fix = f"Set LAUNCHER_DEVICE to one of {', '.join(f'cuda:{one.index}' for one in found)}, or auto."
            return Finding("GPU", FAILED, f"LAUNCHER_DEVICE={ground.config.device} is not among {shown}", fix)
        return Finding("GPU", OK, shown)
    count = cards() if plugged is None else plugged
    if count:
        fix = "Install NVIDIA's driver; in a container also its container toolkit, and pass the GPU (--gpus all)."
        return Finding("GPU", WARNING, f"{count} NVIDIA card(s), but no driver answers", fix)
    if _wants_gpu(ground):
        fix = "Set LAUNCHER_DEVICE=auto, or install the card's driver."
        return Finding("GPU", FAILED, f"none, but LAUNCHER_DEVICE={ground.config.device}", fix)
    return Finding("GPU", OK, "none; the processor speaks")


def check_driver(ground: Ground, given: Sequence[Gpu] | None = None) -> Finding:
    """The driver is new enough for the engines' CUDA; arguments as for `check_gpu`."""
    versions = sorted({one.driver for one in _gpus(given) if one.driver})
    if not versions:
        return Finding("Driver", OK, "none needed without a GPU")
    shown = ", ".join(versions)
    major = versions[0].partition(".")[0]
    if major.isdigit() and int(major) < MIN_DRIVER:
        fix = f"Install NVIDIA's driver {MIN_DRIVER} or newer, then restart the machine."
        return Finding("Driver", FAILED if _wants_gpu(ground) else WARNING, f"{shown} is too old for CUDA 12", fix)
    return Finding("Driver", OK, shown)


def check_vram(ground: Ground, given: Sequence[Gpu] | None = None) -> Finding:
    """Free memory of the GPU, and who holds the rest; arguments as for `check_gpu`."""
    found = _gpus(given)
    if not found:
        return Finding("VRAM", OK, "no GPU, no VRAM")
    texts = []
    for one in found:
        holders = listed([f"pid {pid} {_program(pid)}{size_text(held)}" for pid, held in one.holders], 3)
        free = f"{one.index}: {size_text(one.vram_free_bytes)} of {size_text(one.vram_total_bytes)} free"
        texts.append(free + (f", held by {holders}" if holders else ""))
    if all(one.vram_free_bytes < MIN_VRAM_BYTES for one in found):
        fix = f"End what holds it, or use LAUNCHER_DEVICE=cpu: an IndexTTS engine needs {size_text(MIN_VRAM_BYTES)}."
        return Finding("VRAM", WARNING, "; ".join(texts), fix)
    return Finding("VRAM", OK, "; ".join(texts))


def _program(pid: int) -> str:
    from launcher.process.facts import observe

    facts = observe(pid)
    return f"({Path(facts.command[0]).name}) " if facts is not None and facts.command else ""
