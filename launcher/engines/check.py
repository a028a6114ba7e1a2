"""Whether an environment can do what it was made for: its own interpreter imports the engine's class, and speaks.

Invariant: the code that runs there needs the engine's package and the standard library only, and nothing of this
process reaches it but the names to look for.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.engines.recipes import Recipe
from launcher.errors import EngineError

#: The first import writes bytecode of four thousand modules, on a slow disk for minutes.
_TIMEOUT_S = 600.0
#: What the launcher's worker needs beside the engine.
WORKER_MODULES = ("starlette", "uvicorn", "h11", "numpy", "soundfile")
_MARK = "CHECKED "
#: What makes a sound without weights; it lies beside the engines that it tries, and is run by their interpreters.
TRIAL = Path(__file__).resolve().parents[2] / "webui" / "engine" / "indextts" / "trial.py"
_PROGRAM = r"""
import importlib, json, platform, runpy, sys
from importlib import metadata

asked = json.loads(sys.argv[1])
found = {"python": platform.python_version(), "versions": {}, "error": "", "step": "import", "cuda": ""}
found["sees_gpu"] = False
for name in asked["packages"]:
    try:
        found["versions"][name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
try:
    for name in asked["modules"]:
        importlib.import_module(name)
    module, _, attribute = asked["probe"].partition(":")
    getattr(importlib.import_module(module), attribute)
    if asked["trial"]:
        found["step"] = "speak"
        runpy.run_path(asked["trial"])["main"](asked["engine"])
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        found["cuda"] = torch.version.cuda or ""
        found["sees_gpu"] = bool(torch.cuda.is_available())
except BaseException as error:
    found["error"] = f"{type(error).__name__}: {error}"
print("CHECKED " + json.dumps(found), flush=True)
"""


@dataclass(frozen=True)
class Checked:
    """What an environment's interpreter said.

    Attributes:
        python: its version.
        versions: of the packages that were asked for, by name; those that are not there are left out.
        error: why the class could not be imported or did not speak; empty when it did.
        step: ``import`` or ``speak``, whichever was the last.
        cuda: version of CUDA that PyTorch was built for; empty for none.
        sees_gpu: whether PyTorch finds a GPU.
    """

    python: str
    versions: Mapping[str, str]
    error: str
    step: str
    cuda: str
    sees_gpu: bool


def check(
    python: Path, recipe: Recipe, packages: Sequence[str], environ: Mapping[str, str], *, trial: Path | None = None
) -> Checked:
    """Imports the engine's class in its environment, and lets it make a sound.

    Args:
        python: the environment's interpreter.
        recipe: the engine's.
        packages: whose versions to tell.
        environ: the interpreter's environment.
        trial: a file whose ``main(engine)`` makes a sound; ``None`` for none.

    Raises:
        EngineError: when the interpreter does not start or gives no answer.
    """
    asked = json.dumps(
        {
            "engine": recipe.engine,
            "packages": list(packages),
            "probe": recipe.probe,
            "modules": WORKER_MODULES,
            "trial": str(trial or ""),
        }
    )
    done = _ask(python, asked, environ)
    said = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not said:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EngineError(f"{python} ended while it imported the engine: {last}.", fix="Install it with --reinstall.")
    answer: dict[str, Any] = json.loads(said[-1].removeprefix(_MARK))
    return Checked(
        answer["python"], answer["versions"], answer["error"], answer["step"], answer["cuda"], answer["sees_gpu"]
    )


def _ask(python: Path, asked: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    quiet = {**environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with tempfile.TemporaryDirectory(prefix="tts-launcher-check-") as folder:  # some packages write where they stand
        try:
            # -I: neither this folder nor PYTHONPATH nor the user's own packages may help.
            return subprocess.run(
                [str(python), "-I", "-c", _PROGRAM, asked],
                cwd=folder,
                env=quiet,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(
                f"{python} does not answer: {error}.", fix="Install the engine with --reinstall."
            ) from None


def drop_cuda_parts(environment: Path) -> int:
    """Removes torchaudio's compiled parts, which want CUDA; what the engines use of it is Python alone.

    Args:
        environment: the virtual environment; its PyTorch is one for the processor.

    Returns:
        How many files were removed.
    """
    found = [
        path
        for pattern in ("lib/python*/site-packages/torchaudio", "Lib/site-packages/torchaudio")
        for folder in environment.glob(pattern)
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".so", ".pyd", ".dll")
    ]
    for path in found:
        os.unlink(path)
    return len(found)
