"""BigVGAN's fused CUDA kernel: compiled once, in the background, into the pinned folder of PyTorch's extensions.

Upstream compiles it inside the constructor and into its own package. Here a start takes the kernel that a process in
the background has compiled before, and never waits for a compiler.

Invariants: a kernel is taken only when it was compiled whole, by the same PyTorch, for the same card; without one, or
when it does not load, upstream computes the same in PyTorch's own operations.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

#: Upstream's module that compiles, and the one that asks for the result at its import.
_LOADER = "s2mel.modules.bigvgan.alias_free_activation.cuda.load"
_NAME = "anti_alias_activation_cuda"
_READY, _FAILED = "ready", "failed"
#: Compilers work when nothing else wants the processor (nice(1)).
_NICENESS = 19


class Kernel:
    """The kernel of one package for one card.

    Args:
        package: that holds upstream's sources, such as ``indextts``.
        folder: of PyTorch's extensions; the kernel gets a folder of its own there.
        target: what it is compiled for, such as ``torch2.8.0+cu128-sm90``.
    """

    def __init__(self, package: str, folder: Path, target: str) -> None:
        self.package = package
        self.folder = folder / f"{_NAME}-{target}"

    @property
    def exists(self) -> bool:
        """Whether the package has such a kernel at all."""
        with contextlib.suppress(ImportError):
            return importlib.util.find_spec(f"{self.package}.{_LOADER}") is not None
        return False

    @property
    def is_ready(self) -> bool:
        """Whether it was compiled."""
        return (self.folder / _READY).is_file() and self._library.is_file()

    @property
    def _library(self) -> Path:
        return self.folder / f"{_NAME}.so"

    def why_not_compiled(self) -> str:
        """Why it cannot be compiled here, as a clause; empty when it can."""
        if (self.folder / _FAILED).is_file():
            return f"compiling it failed before (see {self.folder / 'log.txt'}; remove that folder to try again)"
        missing = [name for name in ("nvcc", "ninja", "c++") if shutil.which(name) is None]
        return f"{' and '.join(missing)} cannot be found" if missing else ""

    def compile_later(self) -> subprocess.Popen[bytes] | None:
        """Starts a process that compiles it, for the next start; ``None`` when it is there or cannot be made."""
        if not self.exists or self.is_ready:
            return None
        if why := self.why_not_compiled():
            _log.info("BigVGAN's CUDA kernel is not compiled: %s", why)
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", __name__, self.package, str(self.folder)]
        with (self.folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _log.info("BigVGAN's CUDA kernel is being compiled for the next start (process %d)", process.pid)
        return process

    @contextlib.contextmanager
    def in_place(self) -> Iterator[bool]:
        """While this lasts upstream gets the compiled kernel when it asks for one; yields whether there is one."""
        if not self.is_ready:
            yield False
            return
        try:
            loader: Any = importlib.import_module(f"{self.package}.{_LOADER}")
            compiled = _import_library(self._library)
        except (ImportError, OSError) as error:
            _log.warning("BigVGAN's CUDA kernel does not load: %s", str(error).partition("\n")[0])
            shutil.rmtree(self.folder, ignore_errors=True)  # compiled anew
            yield False
            return
        compiles, loader.load = loader.load, lambda: compiled
        try:
            yield True
        finally:
            loader.load = compiles


def kernel_for(torch: Any, package: str, device: str, cache_dir: Path) -> Kernel:
    """The kernel for a card.

    Args:
        torch: the module.
        package: that holds upstream's sources.
        device: ``cuda:N``.
        cache_dir: of the launcher, for when ``TORCH_EXTENSIONS_DIR`` says nothing.
    """
    major, minor = torch.cuda.get_device_capability(device)
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cache_dir / "torch-extensions")
    return Kernel(package, folder, f"torch{torch.__version__}-sm{major}{minor}")


def _import_library(path: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(path))
    spec = importlib.util.spec_from_file_location(_NAME, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def compile_into(package: str, folder: Path) -> None:
    """Runs upstream's own compilation with another folder in place of the package's.

    Raises:
        Exception: whatever the compiler's wrapper raises.
    """
    import torch.utils.cpp_extension as extension

    loader: Any = importlib.import_module(f"{package}.{_LOADER}")
    compiles = extension.load

    def load_here(*arguments: Any, **options: Any) -> Any:
        return compiles(*arguments, **{**options, "build_directory": str(folder)})

    loader.cpp_extension.load = load_here
    loader._create_build_dir = lambda _path: None
    loader.load()


def main(arguments: list[str]) -> int:
    """Compiles the kernel of a package into a folder, and says there whether that went well."""
    package, folder = arguments[0], Path(arguments[1])
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    try:
        compile_into(package, folder)
    except Exception as error:  # a compiler's wrapper raises anything, and the log is where it is read
        (folder / _FAILED).write_text(f"{error}\n", encoding="utf-8")
        raise
    (folder / _READY).touch()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
