"""Which build of PyTorch a computer needs: by its GPU and the GPU's driver.

Source of the limits: NVIDIA's CUDA compatibility (every driver from 525 on runs CUDA 12.x by minor version
compatibility, every driver from 580 on CUDA 13) and PyTorch's release notes (builds for CUDA 12.8 and later leave out
GPUs before compute capability 7.5; those for CUDA 12.6 have them).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.engines.recipes import Recipe, index_build
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from launcher.engines.gpu import Gpu

_OLD_GPU_BUILD, _GPU_BUILD = "cu126", "cu128"
_FIRST_CAPABILITY = (7, 5)
_MIN_CUDA = (12, 0)


@dataclass(frozen=True)
class Build:
    """A build of PyTorch and why it was taken.

    Attributes:
        name: ``cpu``, ``cu126``, ``cu128``...
        reason: one sentence.
    """

    name: str
    reason: str

    @property
    def in_index(self) -> bool:
        """Whether the package index itself has it, with the lock's hashes."""
        return self.name == index_build()


def choose_build(recipe: Recipe, wanted: str, gpu: Gpu | None) -> Build:
    """The build to install.

    Args:
        recipe: the engine's.
        wanted: ``auto`` or a build's name.
        gpu: the one that the engine would use; ``None`` without one.

    Raises:
        ConfigError: when there is no such build.
    """
    if wanted != "auto":
        if wanted not in recipe.builds:
            raise ConfigError(
                f"--cuda {wanted} is no build of PyTorch {recipe.torch}, which {recipe.engine} needs.",
                fix=f"Use auto, {', '.join(recipe.builds[:-1])} or {recipe.builds[-1]}.",
            )
        return Build(wanted, "It was asked for.")
    if sys.platform == "darwin":
        return Build("cpu", "It is the one for macOS.")
    if gpu is None:
        return Build("cpu", "No GPU was found.")
    if (0, 0) < gpu.cuda < _MIN_CUDA:
        return Build(
            "cpu", f"The driver {gpu.driver} is too old for CUDA 12; 525 or newer is needed to use {gpu.name}."
        )
    if (0, 0) < gpu.capability < _FIRST_CAPABILITY:
        capability = ".".join(map(str, gpu.capability))
        return Build(_OLD_GPU_BUILD, f"{gpu.name} (compute capability {capability}) needs this older CUDA.")
    return Build(_GPU_BUILD, f"It suits {gpu.name} and its driver {gpu.driver}.")
