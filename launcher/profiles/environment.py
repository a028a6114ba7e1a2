"""The environment and the command line that an app is started with.

Invariants: pins and switches are those of our own children; nothing of our own Python environment reaches the app's;
what the profile says wins over both, what it does not say stays as the user set it; a token goes to no mirror.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from launcher.cache.layout import cache_dir, child_environment, hub_cache
from launcher.config import Config
from launcher.profiles.placing import needs_of
from launcher.profiles.profile import Profile, fill
from launcher.profiles.store import App

#: What belongs to the interpreter that runs the launcher.
_OURS = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
#: The app listens here, and the launcher in front of it wherever it was told to.
HOST = "127.0.0.1"


def placeholders(config: Config, directory: Path) -> dict[str, str]:
    """What the braces of a profile stand for, but for the port, which is known at the start, and the interpreter."""
    return {
        "host": HOST,
        "directory": str(directory),
        "data_dir": str(config.data_dir),
        "cache_dir": str(cache_dir(config)),
        "hub_cache": str(hub_cache(config)),
    }


def app_command(app: App, values: Mapping[str, str]) -> tuple[str, ...]:
    """The command line; the port's placeholder stays when ``values`` has none."""
    words: list[str] = []
    for text in app.profile.command:
        words += app.python if text == "{python}" else [fill(text, values)]
    return tuple(words)


def app_environment(config: Config, app: App, base: Mapping[str, str]) -> dict[str, str]:
    """All of an app's environment; the port's placeholder stays in it.

    Args:
        config: the settings.
        app: which one.
        base: the environment to start from, as `os.environ`.
    """
    values = placeholders(config, app.directory)
    environment = child_environment(config, base)
    for name in _OURS:
        environment.pop(name, None)
    _hide_ours(environment)
    _activate(environment, Path(app.python[0]))
    environment.setdefault("TRANSFORMERS_CACHE", values["hub_cache"])
    if config.is_offline or app.profile.offline:
        chosen = {} if config.is_offline else config.standard
        environment.update({name: "1" for name in _OFFLINE if not chosen.get(name)})
    else:
        endpoint = best_endpoint(config, app.profile)
        if endpoint:
            environment.setdefault("HF_ENDPOINT", endpoint)
    environment.update(_device(config, environment))
    return {**environment, **{name: fill(text, values) for name, text in app.profile.environment.items()}}


def best_endpoint(config: Config, profile: Profile) -> str:
    """The mirror that was best so far, for libraries that know one address only; empty for the Hub itself.

    Only one that needs no token, and none while ``HF_TOKEN`` is set: libraries would send it there.
    """
    from launcher.hub.endpoints import OFFICIAL_URL, parse_endpoints
    from launcher.hub.ranking import Ranking

    if config.standard.get("HF_TOKEN"):
        return ""
    wanted = next((need.part.wanted for need in needs_of(profile)), None)
    repo, revision = (wanted.repo, wanted.revision) if wanted else ("", "main")
    usable = [one for one in parse_endpoints(config) if one.speaks_hub and not one.token]
    ordered = Ranking.load(config).order(usable, repo, revision)
    return "" if not ordered or ordered[0].url == OFFICIAL_URL else ordered[0].url


def _hide_ours(environment: dict[str, str]) -> None:
    """Takes our own folder out of the module path: beside it lie the packages of our interpreter."""
    here = Path(__file__).resolve().parent.parent.parent
    kept = [one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one and Path(one).resolve() != here]
    environment.pop("PYTHONPATH", None)
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)


def _activate(environment: dict[str, str], python: Path) -> None:
    """What activating the app's virtual environment would set; its programs are found first."""
    if (python.parent.parent / "pyvenv.cfg").is_file():
        environment["VIRTUAL_ENV"] = str(python.parent.parent)
        environment["PATH"] = os.pathsep.join(filter(None, [str(python.parent), environment.get("PATH", "")]))


def _device(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """``LAUNCHER_DEVICE`` for programs that know no such thing: which GPUs they see."""
    if config.device == "auto" or "CUDA_VISIBLE_DEVICES" in environment:
        return {}
    number = config.device.partition(":")[2]
    # CUDA would put the fastest GPU first; nvidia-smi and so cuda:N count along the bus.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": number}
