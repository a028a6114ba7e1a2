"""The engines' own environments on the disk: which are there, and which interpreter an engine runs in.

Invariants: an environment counts only when its stamp, which is written last, names it; what is looked at here is
never changed.

::

    <data_dir>/engines/
    ├── python/            interpreters that uv fetched
    └── NAME/
        ├── engine.json    the stamp: which folder holds, what is in it
        ├── env-<digest>/  a virtual environment, made where it stays; digest: what it was made from
        ├── install.log    what uv said last
        └── install.lock   held by whoever installs or removes
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.config import Config
from launcher.engines.recipes import RECIPES
from launcher.errors import EngineError

#: The voice that comes with the launcher and runs in its own environment.
EMBEDDED_ENGINE = "kokoro"
STAMP = "engine.json"


@dataclass(frozen=True)
class InstalledEngine:
    """An environment that was installed and checked.

    Attributes:
        engine: its name.
        python: its interpreter.
        python_version: such as ``3.11.9``.
        versions: of the packages that matter, by name.
        build: of PyTorch: ``cpu``, ``cu128``...
        lock_digest: SHA-256 of the lock that it was made from.
        checked: whether the engine's class could be imported there.
        installed_at: seconds since 1970.
        size_bytes: on the disk, when it was made.
    """

    engine: str
    python: Path
    python_version: str
    versions: Mapping[str, str]
    build: str
    lock_digest: str
    checked: bool
    installed_at: float
    size_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {**asdict(self), "python": str(self.python)}

    @property
    def current(self) -> bool:
        """Whether it was made from the lock that this version of the launcher has."""
        recipe = RECIPES.get(self.engine)
        return recipe is not None and lock_digest(recipe.lock()) == self.lock_digest


def lock_digest(lock: str) -> str:
    """SHA-256 of a lock's text, in hex."""
    import hashlib

    return hashlib.sha256(lock.encode()).hexdigest()


def engine_dir(config: Config, engine: str) -> Path:
    """The folder of an engine's environments, there or not."""
    return config.data_dir / "engines" / engine


def interpreter_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def interpreter(config: Config, engine: str) -> Path | None:
    """What to start the engine with: ``LAUNCHER_ENGINE_PYTHON``, the installed environment's, or ``None``.

    The embedded voice always runs in the launcher's own environment.

    Raises:
        EngineError: when ``LAUNCHER_ENGINE_PYTHON`` names no file.
    """
    if engine == EMBEDDED_ENGINE:
        return Path(sys.executable)
    if config.engine_python:
        chosen = Path(config.engine_python)
        if not chosen.is_file():
            raise EngineError(
                f"LAUNCHER_ENGINE_PYTHON={str(chosen)!r} is no file.",
                fix="Name the Python program of the environment that holds the engine, or remove the setting.",
            )
        return chosen
    found = installed(config, engine)
    return found.python if found is not None else None


def installed(config: Config, engine: str) -> InstalledEngine | None:
    """An engine's environment, when it was installed and its interpreter is still there; ``None`` otherwise."""
    return read_stamp(engine_dir(config, engine), engine)


def read_stamp(folder: Path, engine: str) -> InstalledEngine | None:
    """What the stamp in an engine's folder says; ``None`` without one, or when its interpreter has gone."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        python = interpreter_in(folder / str(stamp["folder"]))
        found = InstalledEngine(
            engine=engine,
            python=python,
            python_version=str(stamp["python_version"]),
            versions={str(name): str(version) for name, version in stamp["versions"].items()},
            build=str(stamp["build"]),
            lock_digest=str(stamp["lock_digest"]),
            checked=bool(stamp["checked"]),
            installed_at=float(stamp["installed_at"]),
            size_bytes=int(stamp.get("size_bytes", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not ours to read
        return None
    # A link to an interpreter that somebody has uninstalled is still a name.
    return found if python.is_file() else None


def processes_in(folder: Path) -> Iterator[tuple[int, str]]:
    """Every process that runs an interpreter below ``folder``: pid and command."""
    import psutil

    start = os.path.normcase(folder) + os.sep
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words and os.path.normcase(words[0]).startswith(start):
            yield process.pid, " ".join(words)[:100]


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder, links not followed; 0 when it is not there."""
    total = 0
    for parent, _folders, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(f"{parent}{os.sep}{name}").st_size
            except OSError:  # gone meanwhile
                continue
    return total


def remove_unused(folder: Path, *, keep: Path | None) -> tuple[Path, ...]:
    """Removes an engine's environments but ``keep``, except those that a process still runs in.

    Args:
        folder: the engine's.
        keep: the one that stays; ``None`` for none.

    Returns:
        What was removed.
    """
    from shutil import rmtree

    removed = []
    for environment in sorted(folder.glob("env-*")):
        if environment == keep or any(processes_in(environment)):
            continue
        rmtree(environment, ignore_errors=True)
        if not environment.exists():
            removed.append(environment)
    return tuple(removed)


def remove(config: Config, engine: str) -> int:
    """Removes an engine's environment and all that was kept for it.

    Returns:
        How many bytes of files are gone; 0 when there was nothing.

    Raises:
        EngineError: when a process runs in it.
    """
    from shutil import rmtree

    folder = engine_dir(config, engine)
    running = next(processes_in(folder), None)
    if running is not None:
        raise EngineError(
            f"{engine} runs at this moment (pid {running[0]}: {running[1]}).",
            fix="Stop it first: tts-launcher stop, or tts-launcher engine unload.",
        )
    size = folder_bytes(folder)
    if folder.exists():
        (folder / STAMP).unlink(missing_ok=True)  # first, so that half an environment is none
        rmtree(folder, ignore_errors=True)
    return size
