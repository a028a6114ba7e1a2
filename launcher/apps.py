"""What the supervisor starts: command line, environment and settings of the page and the engine, made from a Config.

Invariants: nothing of `webui` is imported, only found; the keys of the settings are those of `webui/settings.py`; a
secret stands in the settings only, which travel through a pipe.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from launcher import __version__
from launcher.cache.layout import cache_dir, child_environment, instance_paths
from launcher.config import Config
from launcher.errors import StartError
from launcher.process.child import ChildSpec
from launcher.process.facts import MARK_VARIABLE

#: The engine that needs nothing but what a plain installation brings.
EMBEDDED_ENGINE = "kokoro"


@dataclass(frozen=True)
class Addresses:
    """Where the processes of one run meet.

    Attributes:
        host, port: what visitors use.
        control, engine: as `launcher.channel` writes addresses.
        control_token, engine_token: their secrets; empty on Unix sockets.
        mark: `LAUNCHER_INSTANCE_MARK` of the run.
    """

    host: str
    port: int
    control: str
    engine: str
    mark: str
    control_token: str = ""
    engine_token: str = ""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine speaks, and why."""

    name: str
    reason: str


def choose_engine(config: Config) -> EngineChoice:
    """The engine that ``LAUNCHER_ENGINE`` names or, for ``auto``, the best one that is installed."""
    if config.engine != "auto":
        return EngineChoice(config.engine, "LAUNCHER_ENGINE names it.")
    return EngineChoice(EMBEDDED_ENGINE, "It is the voice that comes with the launcher and runs on any processor.")


def webui_folder() -> Path:
    """The folder of the package `webui`, found without importing it.

    Raises:
        StartError: when it is not installed.
    """
    spec = find_spec("webui")
    # A script webui.py in the current folder may hide the package, which then lies beside this one.
    found: list[str] = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in (*map(Path, found), Path(__file__).resolve().parent.parent / "webui"):
        if (folder / "webui.py").is_file():
            return folder.resolve()
    raise StartError("The package webui is not installed.", fix="Install tts-launcher again, or start from its clone.")


def project_dirs() -> tuple[str, ...]:
    """The folders whose ``webui.py`` is ours."""
    return (str(webui_folder()),)


def child_specs(config: Config, addresses: Addresses, base: Mapping[str, str]) -> dict[str, ChildSpec]:
    """How to start the children.

    Args:
        config: the settings.
        addresses: where the processes meet.
        base: the environment to start from, as `os.environ`.

    Raises:
        StartError: when the page's files are not there.
    """
    folder = webui_folder()
    environment = child_environment(config, base)
    environment[MARK_VARIABLE] = addresses.mark
    # Both packages lie side by side, in a clone as in an installation. The caller may stand anywhere, even beside a
    # webui.py of somebody else, so the children get that folder as theirs and first on their path.
    path = [str(folder.parent), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    return {
        "page": _page(config, addresses, folder, environment),
        "engine": _engine(config, addresses, folder, environment),
    }


def _page(config: Config, addresses: Addresses, folder: Path, environment: Mapping[str, str]) -> ChildSpec:
    settings = {
        "instance": config.instance,
        "version": __version__,
        "host": addresses.host,
        "port": addresses.port,
        "engine_address": addresses.engine,
        "engine_token": addresses.engine_token,
        "control_address": addresses.control,
        "control_token": addresses.control_token,
        "temp_dir": str(instance_paths(config).temp_dir),
        "token": config.token,
        "allowed_hosts": list(config.allowed_hosts),
        "root_path": config.root_path,
        "max_text_chars": config.max_text_chars,
        "max_body_bytes": config.max_body_bytes,
        "queue_size": config.queue_size,
    }
    argv = (sys.executable, "-u", str(folder / "webui.py"))
    return ChildSpec("page", argv, environment, settings, cwd=str(folder.parent), takes_listener=True)


def _engine(config: Config, addresses: Addresses, folder: Path, environment: Mapping[str, str]) -> ChildSpec:
    settings = {
        "instance": config.instance,
        "engine": choose_engine(config).name,
        "address": addresses.engine,
        "token": addresses.engine_token,
        "control_address": addresses.control,
        "control_token": addresses.control_token,
        "cache_dir": str(cache_dir(config)),
        "device": config.device,
        "threads": config.threads,
    }
    argv = (sys.executable, "-u", "-m", "webui.engine.worker")
    return ChildSpec("engine", argv, environment, settings, cwd=str(folder.parent))
