"""What a service runs, whatever the system: made once from the settings.

Invariants: every path is absolute; no secret is in it; the service finds the same settings and the same caches as the
command that installed it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher.config import Config
from launcher.errors import ConfigError
from launcher.profiles.store import BUILTIN, resolve

#: Where a machine's service keeps its files unless LAUNCHER_DATA_DIR says otherwise; systemd makes and owns it.
STATE_FOLDER = Path("/var/lib/tts-launcher")
#: Beyond the children's own grace: the supervisor collects them and clears away.
CLEARING_S = 20


@dataclass(frozen=True)
class ServiceSpec:
    """One instance as a service.

    Attributes:
        instance: its name.
        system: for the machine, else for the user's session.
        command: interpreter and arguments.
        folder: working folder.
        environment: on top of the service manager's own; no secrets.
        data_dir: where everything is kept; writable for the service.
        user: who runs a machine's service; empty for the user's own.
        listen: address of a socket that the service manager opens, ``host:port``; empty for none.
        stop_s: seconds that a stop may take.
        reads: what must be readable besides: the packages, and the interpreter behind the environment's links.
        writes: what must be writable besides the data folder: that of somebody else's app.
    """

    instance: str
    system: bool
    command: tuple[str, ...]
    folder: Path
    data_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    listen: str = ""
    stop_s: int = 30
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The service's name: one for each instance."""
        return "tts-launcher" if self.instance == "default" else f"tts-launcher-{self.instance}"


def make_spec(config: Config, *, system: bool, socket: bool, user: str, python: str = sys.executable) -> ServiceSpec:
    """The service of the settings' instance.

    Args:
        config: the settings; where a value came from the environment or a flag, the service gets it too.
        system: for the machine.
        socket: let the service manager open the port.
        user: who runs a machine's service.
        python: the interpreter.

    Raises:
        ConfigError: when the settings do not suit a service.
    """
    if socket and config.port == 0:
        raise ConfigError(
            "LAUNCHER_PORT=auto: a socket that the service manager opens needs a number.", fix="Use --port N."
        )
    if system and not user:
        raise ConfigError("A machine's service needs a user to run as.", fix="Name one with --run-as USER.")
    data_dir = _data_dir(config, system=system)
    root = Path(__file__).resolve().parent.parent.parent
    folder = config.dotenv_path.resolve().parent if config.dotenv_path is not None else data_dir
    arguments = ["-m", "launcher", "start", "--background", "--no-open"]
    if config.dotenv_path is not None:
        arguments += ["--env-file", str(config.dotenv_path.resolve())]
    host = f"[{config.host}]" if ":" in config.host else config.host
    app = None if config.app == BUILTIN else resolve(replace(config, data_dir=data_dir))
    return ServiceSpec(
        instance=config.instance,
        system=system,
        command=(python, *arguments),
        folder=folder,
        data_dir=data_dir,
        environment={
            "PYTHONPATH": str(root),
            "LAUNCHER_INSTANCE": config.instance,
            "LAUNCHER_DATA_DIR": str(data_dir),
            **_given(config),
        },
        user=user if system else "",
        listen=f"{host}:{config.port}" if socket else "",
        stop_s=int(config.stop_grace_s) + CLEARING_S,
        reads=(root, Path(python).resolve(), *((Path(app.python[0]).resolve(),) if app else ())),
        writes=(app.directory,) if app else (),
    )


def _data_dir(config: Config, *, system: bool) -> Path:
    source = next((value.source for value in config.values if value.name == "LAUNCHER_DATA_DIR"), "default")
    if not system:
        return config.data_dir
    if source == "default":
        return STATE_FOLDER
    if not config.data_dir.is_dir():
        raise ConfigError(
            f"LAUNCHER_DATA_DIR={str(config.data_dir)!r} is not there yet, and a machine's service may not make it.",
            fix=f"Make it, owned by the service's user, or leave the setting out: then it is {STATE_FOLDER}.",
        )
    return config.data_dir


def _given(config: Config) -> dict[str, str]:
    """What the person set for this very command, and what a service would otherwise not know."""
    found: dict[str, str] = {}
    for value in config.values:
        if value.source not in ("flag", "environment"):
            continue
        if "****" in value.shown:
            raise ConfigError(
                f"{value.name} is set in this terminal, and a unit that others can read must not hold it.",
                fix="Write it into the settings file (.env), which the service reads.",
            )
        if value.name not in ("LAUNCHER_INSTANCE", "LAUNCHER_DATA_DIR", "LAUNCHER_OPEN_BROWSER"):
            found[value.name] = value.shown
    return found


def default_user(environ: Mapping[str, str] = os.environ) -> str:
    """Who a machine's service runs as: whoever called sudo; empty when that is not known."""
    user = environ.get("SUDO_USER", "")
    return "" if user == "root" else user
