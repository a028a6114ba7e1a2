"""What the supervisor starts: command line, environment and settings of the page and the engine, made from a Config.

Invariants: nothing of `webui` is imported, only found; the keys of the settings are those of `webui/settings.py`; a
secret stands in the settings only, which travel through a pipe.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.cache.layout import PROXY_NAMES, cache_dir, child_environment, hub_cache, instance_paths
from launcher.config import Config
from launcher.engines.choice import EngineChoice, choose
from launcher.engines.environments import EMBEDDED_ENGINE
from launcher.engines.threads import THREADS_VARIABLE, engine_threads
from launcher.errors import StartError
from launcher.process.child import ChildSpec
from launcher.process.facts import MARK_VARIABLE
from launcher.process.snapshot import APP, WEIGHTS, engine_names
from launcher.profiles.store import BUILTIN, App, find, find_directory, resolve

if TYPE_CHECKING:
    from launcher.hub.bringing import Missing
    from launcher.hub.catalog import Part
    from launcher.process.identity import StaleScripts

#: What keeps a child's libraries off the network.
_OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
#: Which GPUs CUDA shows to a process.
_VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Folders that hold other packages besides ours, which a foreign interpreter must not see.
_SHARED_FOLDERS = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Addresses:
    """Where the processes of one run meet.

    Attributes:
        host, port: what visitors use.
        control, engine: as `launcher.channel` writes addresses.
        control_token, engine_token: their secrets; empty on Unix sockets.
        mark: `LAUNCHER_INSTANCE_MARK` of the run.
        token: opens the port; of the settings, or made for this run when only users have theirs.
        further_engines: of the engines beside the first.
    """

    host: str
    port: int
    control: str
    engine: str
    mark: str
    token: str = ""
    control_token: str = ""
    engine_token: str = ""
    further_engines: tuple[str, ...] = ()

    @property
    def engines(self) -> tuple[str, ...]:
        """Every engine's address, the first one's first."""
        return (self.engine, *self.further_engines)


def settle(config: Config, choice: EngineChoice) -> Config:
    """The settings with what the choice of the engine decided about memory in place of ``auto``."""
    if choice.memory is None:
        return config
    return replace(config, precision=choice.memory.precision, qwen=choice.memory.qwen)


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


def child_specs(
    config: Config, addresses: Addresses, base: Mapping[str, str], choice: EngineChoice | None = None
) -> dict[str, ChildSpec]:
    """How to start the children: ``page``, an engine for each address, ``weights`` when they need files from a hub.

    Args:
        config: the settings.
        addresses: where the processes meet.
        base: the environment to start from, as `os.environ`.
        choice: the engine; ``None`` chooses.

    Raises:
        StartError: when the page's files are not there.
        EngineError: when the engine's environment is not there.
        ConfigError: when ``LAUNCHER_MODELS`` names what is no model.
    """
    folder = webui_folder()
    choice = choose(config) if choice is None else choice
    choice.require()
    config = settle(config, choice)
    environment = child_environment(config, base)
    environment[MARK_VARIABLE] = addresses.mark
    # Both packages lie side by side, in a clone as in an installation. The caller may stand anywhere, even beside a
    # webui.py of somebody else, so the children get that folder as theirs and first on their path.
    environment = _with_path(environment, folder.parent)
    needs_files = bool(_needs(config, choice.name))
    quiet = {**environment, **_offline_switches(config)}
    # An engine that the catalog does not know may fetch for itself; what the others need is there when they start.
    is_served = needs_files or choice.name == EMBEDDED_ENGINE or config.is_offline
    specs = {
        "page": _page(config, addresses, folder, quiet),
        **_engines(config, addresses, folder, quiet if is_served else environment, choice),
    }
    if needs_files:
        specs["weights"] = _weights(config, addresses, folder, environment, choice)
    return specs


def missing_weights(config: Config, choice: EngineChoice) -> list[Missing]:
    """What the engine needs from a hub and what is not on this disk; asks no network."""
    parts = _needs(settle(config, choice), choice.name)
    if not parts:
        return []
    from launcher.hub.bringing import missing

    return missing(hub_cache(config), parts)


def check_offline(config: Config) -> None:
    """Makes sure that a start can do without a network.

    Raises:
        FetchError: naming what is missing.
    """
    if config.app != BUILTIN:
        _check_app_offline(config)
        return
    choice = choose(config)
    lacking = missing_weights(config, choice)
    if lacking:
        from launcher.hub.bringing import offline_error

        raise offline_error(config, choice.name, lacking)


def stale_scripts(app: App) -> StaleScripts:
    """What is left over when it runs from the app's folder without a launcher."""
    from launcher.process.identity import StaleScripts

    return StaleScripts((str(app.directory),), app.profile.stale)


def lacks_models(config: Config) -> bool:
    """Whether something of the app's models is neither in its folder nor in the cache; asks no network."""
    from launcher.profiles.placing import lacking

    profile = find(config, config.app)
    found = lacking(config, profile, find_directory(config, profile))
    return any(not (need.model.optional and config.is_offline) for need, _ in found)


def _check_app_offline(config: Config) -> None:
    from launcher.hub.bringing import offline_error
    from launcher.profiles.placing import lacking

    profile = find(config, config.app)
    found = [one for need, one in lacking(config, profile, find_directory(config, profile)) if not need.model.optional]
    if found:
        raise offline_error(config, "", found, models=[model.name for model in profile.models])


def app_specs(config: Config, addresses: Addresses, base: Mapping[str, str]) -> dict[str, ChildSpec]:
    """How to start somebody else's app: ``app``, and ``weights`` when its profile names models.

    Args:
        config: the settings.
        addresses: where the processes meet.
        base: the environment to start from, as `os.environ`.

    Raises:
        ConfigError: when the profile cannot be used.
    """
    app = resolve(config)
    folder = str(Path(__file__).resolve().parent.parent)
    environment = child_environment(config, base)
    environment[MARK_VARIABLE] = addresses.mark
    environment = _with_path(environment, Path(folder))
    common = {
        "config": config.to_json(),
        "control_address": addresses.control,
        "control_token": addresses.control_token,
    }
    # The app's own environment is made from its own by the child, which reads the profile anew at every start.
    settings = {
        **common,
        "host": addresses.host,
        "port": addresses.port,
        "token": addresses.token,
    }
    argv = (sys.executable, "-u", "-m", "launcher.process.foreign")
    specs = {APP: ChildSpec(APP, argv, environment, settings, cwd=folder, takes_listener=True)}
    if app.profile.models:
        argv = (sys.executable, "-u", "-m", "launcher.process.weights")
        bringing = {**common, "engine": ""}
        specs[WEIGHTS] = ChildSpec(WEIGHTS, argv, environment, bringing, cwd=folder, is_task=True)
    return specs


def _needs(config: Config, engine: str) -> list[Part]:
    if engine == EMBEDDED_ENGINE and not config.models:
        return []  # without opening the catalog, on the way to the first byte
    from launcher.hub.bringing import needs

    return needs(config, engine)


def _offline_switches(config: Config) -> dict[str, str]:
    """What the user said otherwise is kept, unless nothing at all may use the network."""
    chosen = {} if config.is_offline else config.standard
    return {name: "1" for name in _OFFLINE_SWITCHES if not chosen.get(name)}


def _with_path(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    path = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(path)}


def _weights(
    config: Config, addresses: Addresses, folder: Path, environment: Mapping[str, str], choice: EngineChoice
) -> ChildSpec:
    settings = {
        "config": config.to_json(),
        "engine": choice.name,
        "control_address": addresses.control,
        "control_token": addresses.control_token,
    }
    argv = (sys.executable, "-u", "-m", "launcher.process.weights")
    return ChildSpec("weights", argv, environment, settings, cwd=str(folder.parent), is_task=True)


def errand_spec(config: Config, addresses: Addresses, base: Mapping[str, str]) -> ChildSpec:
    """How to start an errand: a command of ours with this instance's settings (`launcher/cli/errand.py`)."""
    folder = webui_folder()
    environment = {**child_environment(config, base), MARK_VARIABLE: addresses.mark}
    argv = (sys.executable, "-u", "-m", "launcher.cli.errand")
    settings = {"config": config.to_json()}
    return ChildSpec("errand", argv, _with_path(environment, folder.parent), settings, cwd=str(folder.parent))


def _page(config: Config, addresses: Addresses, folder: Path, environment: Mapping[str, str]) -> ChildSpec:
    # It asks this machine alone, and its HTTP library fails at its import when a proxy is of a kind that it lacks.
    environment = {name: value for name, value in environment.items() if name not in PROXY_NAMES}
    settings = {
        "instance": config.instance,
        "version": __version__,
        "host": addresses.host,
        "port": addresses.port,
        "engine_address": addresses.engine,
        "further_engine_addresses": list(addresses.further_engines),
        "engine_token": addresses.engine_token,
        "control_address": addresses.control,
        "control_token": addresses.control_token,
        "temp_dir": str(instance_paths(config).temp_dir),
        "token": addresses.token,
        "users": [list(user) for user in config.user_tokens],
        "allowed_hosts": list(config.allowed_hosts),
        "root_path": config.root_path,
        "trusted_proxies": list(config.trusted_proxies),
        "tls_cert": config.tls_cert,
        "tls_key": config.tls_key,
        "audit_dir": str(instance_paths(config).log_dir),
        "ended_sessions": str(instance_paths(config).ended_sessions),
        "rate_limit": config.rate_limit,
        "max_connections": config.max_connections,
        "temp_bytes": config.temp_bytes,
        "temp_hours": config.temp_hours,
        "max_text_chars": config.max_text_chars,
        "max_body_bytes": config.max_body_bytes,
        "queue_size": config.queue_size,
        "stop_grace_s": config.stop_grace_s,
        "log_dir": str(instance_paths(config).log_dir),
        "library_dir": str(instance_paths(config).library_dir),
        "history": config.history == "yes",
        "history_bytes": config.history_bytes,
        "jobs_dir": str(instance_paths(config).jobs_dir),
        "batch_bytes": config.batch_bytes,
    }
    argv = (sys.executable, "-u", str(folder / "webui.py"))
    return ChildSpec("page", argv, environment, settings, cwd=str(folder.parent), takes_listener=True)


def _engines(
    config: Config, addresses: Addresses, folder: Path, environment: Mapping[str, str], choice: EngineChoice
) -> dict[str, ChildSpec]:
    """The engines, alike but for name, address and device."""
    threads = engine_threads(config, choice.name, environment)
    settings = {
        "instance": config.instance,
        "engine": choice.name,
        "token": addresses.engine_token,
        "control_address": addresses.control,
        "control_token": addresses.control_token,
        "cache_dir": str(cache_dir(config)),
        "threads": threads,
        "options": engine_options(config),
    }
    # CUDA would put the fastest GPU first; nvidia-smi, `engine ls` and so cuda:N count along the bus.
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", THREADS_VARIABLE: str(threads), **environment}
    python = str(choice.interpreter)
    if python != sys.executable:
        environment = {**environment, "PYTHONPATH": str(own_folder(config, folder))}
    argv = (python, "-u", "-m", "webui.engine.worker")
    specs: dict[str, ChildSpec] = {}
    names = engine_names(len(addresses.engines))
    for name, address, device in zip(names, addresses.engines, config.devices, strict=False):
        seen, shown = _one_gpu(environment, device) if config.gpu else (environment, device)
        own = {**settings, "component": name, "address": address, "device": shown}
        specs[name] = ChildSpec(name, argv, seen, own, cwd=str(folder.parent))
    return specs


def _one_gpu(environment: Mapping[str, str], device: str) -> tuple[Mapping[str, str], str]:
    """An environment in which CUDA shows one GPU alone, so that no library touches another's, and its name there."""
    number = int(device.partition(":")[2])
    listed = environment.get(_VISIBLE)
    words = None if listed is None else [word.strip() for word in listed.split(",")]
    # Numbers count what CUDA would show; one that is not there shows nothing, which the engine names.
    seen = str(number) if words is None else words[number] if number < len(words) else ""
    return {**environment, _VISIBLE: seen}, "cuda:0"


def engine_options(config: Config) -> dict[str, str]:
    """What an engine may want to know beyond device and threads; each takes what it understands."""
    paths = instance_paths(config)
    return {
        "precision": config.precision,
        "qwen": config.qwen,
        "cuda_kernel": config.cuda_kernel,
        "model_dir": config.model_dir,
        "engine_dir": config.engine_dir,
        "idle_unload_s": f"{config.idle_unload:g}",
        "voices_dir": str(Path(config.data_dir) / "voices"),
        # Where the page keeps what people upload, and the recordings of the library's voices.
        "reference_dirs": os.pathsep.join((str(paths.temp_dir), str(paths.library_dir / "voices"))),
        "quality": config.quality,
        # Speech is read back in a process of this environment, where the extra's packages are; the engine's lacks them.
        "listening_python": sys.executable if find_spec("ctranslate2") and find_spec("tokenizers") else "",
    }


def own_folder(config: Config, webui: Path) -> Path:
    """A folder that holds our packages and nothing else, for an interpreter with packages of its own."""
    if webui.parent.name not in _SHARED_FOLDERS:
        return webui.parent
    folder = cache_dir(config) / "engine-path"
    folder.mkdir(parents=True, exist_ok=True)
    for source in (webui, Path(__file__).resolve().parent):
        target = folder / source.name
        if target.is_symlink() and target.resolve() == source:
            continue
        if target.is_symlink():
            target.unlink()
        try:
            target.symlink_to(source, target_is_directory=True)
        except OSError:  # no rights or no links here: a copy, renewed at every start
            shutil.copytree(source, target, dirs_exist_ok=True)
    return folder
