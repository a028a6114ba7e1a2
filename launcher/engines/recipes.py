"""What each engine's environment is made of: its lock, the Pythons it runs on, the builds of PyTorch there are for it.

Invariants: the embedded voice has no recipe, because it needs no environment of its own; the versions of PyTorch
here are those of the lock, which a test keeps.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import resources

_GB = 10**9


@dataclass(frozen=True)
class Recipe:
    """One engine's environment.

    Attributes:
        engine: its name.
        title: one line about it.
        package: the distribution that holds the engine.
        probe: ``module:Class`` that must import in the new environment.
        pythons: versions it runs on, the best one first.
        torch, torchaudio: versions in the lock.
        builds: of PyTorch that exist in those versions.
        half: the half precision that the package computes in.
        size_cpu_bytes, size_cuda_bytes: what the environment takes on the disk, as measured on Linux.
        vram_full_bytes, vram_half_bytes: GPU memory that it needs in fp32 with the emotion model, and in half
            precision without. Calculated from the weights' sizes and 2 GB (half: 1.2 GB) for computing.
    """

    engine: str
    title: str
    package: str
    probe: str
    pythons: tuple[str, ...]
    torch: str
    torchaudio: str
    builds: tuple[str, ...]
    half: str
    size_cpu_bytes: int
    size_cuda_bytes: int
    vram_full_bytes: int
    vram_half_bytes: int

    @property
    def speaks_on_trial(self) -> bool:
        """Whether a sound can be made without weights."""
        return self.engine in RECIPES

    def lock(self) -> str:
        """The text of its lock."""
        folder = resources.files("launcher.engines").joinpath("locks")
        return folder.joinpath(f"{self.engine}.txt").read_text(encoding="utf-8")


RECIPES: dict[str, Recipe] = {
    "indextts2.5": Recipe(
        engine="indextts2.5",
        title="IndexTTS-2.5: several languages, faster than 2",
        package="indextts25-inference",
        probe="indextts25.infer_v2_5:IndexTTS2",
        pythons=("3.11", "3.10"),
        torch="2.8.0",
        torchaudio="2.8.0",
        builds=("cpu", "cu126", "cu128", "cu129"),
        half="bf16",
        size_cpu_bytes=int(2.0 * _GB),
        size_cuda_bytes=int(8.1 * _GB),
        vram_full_bytes=int(9.5 * _GB),
        vram_half_bytes=int(6.0 * _GB),
    ),
    "indextts2": Recipe(
        engine="indextts2",
        title="IndexTTS-2: emotions by vector, recording or text",
        package="indextts2-inference",
        probe="indextts.infer_v2:IndexTTS2",
        pythons=("3.11", "3.12", "3.10", "3.13"),
        torch="2.10.0",
        torchaudio="2.10.0",
        builds=("cpu", "cu126", "cu128", "cu130"),
        half="fp16",
        size_cpu_bytes=int(2.1 * _GB),
        size_cuda_bytes=int(8.5 * _GB),
        vram_full_bytes=int(10.9 * _GB),
        vram_half_bytes=int(7.2 * _GB),
    ),
}


def index_build() -> str:
    """The build of PyTorch that the package index itself carries for this computer."""
    is_big_linux = sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")
    return "cu128" if is_big_linux else "cpu"
