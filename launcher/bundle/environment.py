"""An engine's environment from a bundle's wheels, without any network.

Invariants: the engines' own record (its stamp) is written last, so that a half-made environment never counts; every
wheel was verified when the bundle was installed.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launcher.bundle.manifest import Environment
from launcher.config import Config
from launcher.engines.environments import STAMP, engine_dir, interpreter_in
from launcher.engines.uv import Uv, environment, find_uv
from launcher.errors import EngineError
from launcher.hub.placement import write_text
from launcher.progress import Progress


def fits(made_for: Environment) -> bool:
    """Whether wheels run on this system; which Python they need is seen when the environment is made."""
    return made_for.platform == sysconfig.get_platform()


def _start_from(version: str) -> str:
    """This interpreter if it is of that version, for ``PATH`` need not name it; else the version, for uv to find."""
    return sys.executable if version == ".".join(map(str, sys.version_info[:2])) else version


def make_environment(
    config: Config, made_for: Environment, wheels: Sequence[Path], report: Callable[[Progress], None]
) -> Path:
    """Makes an engine's environment and returns its interpreter.

    Args:
        config: the settings.
        made_for: what the bundle says of the wheels.
        wheels: all of them.
        report: gets how far it is.

    Raises:
        EngineError: when the system is another one, that Python is not there, or a wheel cannot be installed.
    """
    if not fits(made_for):
        raise EngineError(
            f"The wheels for {made_for.name} are for {made_for.platform}, this is {sysconfig.get_platform()}.",
            fix="Make the bundle on a machine like this one, or install its models alone with --no-environments.",
        )
    folder = engine_dir(config, made_for.name)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"env-bundle-{int(time.time())}"
    offline = {**environment(config, os.environ), "UV_OFFLINE": "1"}
    uv = Uv(find_uv(), offline, folder, report)
    commands = (
        ["venv", "--python", _start_from(made_for.python), "--no-python-downloads", str(target)],
        ["pip", "install", "--python", str(interpreter_in(target)), "--no-index", "--no-deps", *map(str, wheels)],
    )
    for command in commands:
        answer = uv.run(command, stage="install")
        if answer.code:
            raise EngineError(
                f"The environment of {made_for.name} cannot be made: {answer.reason()}.",
                fix=f"It needs Python {made_for.python} on this machine; the details are in {folder / 'install.log'}.",
            )
    stamp: dict[str, Any] = {**made_for.stamp, "folder": target.name, "installed_at": time.time()}
    write_text(folder / STAMP, json.dumps(stamp, indent=1))
    return interpreter_in(target)
