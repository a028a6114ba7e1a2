"""Where everything that lasts is kept, and the environment that tells the children so.

Invariants: paths are computed from the Config alone, so that every process finds the same ones; nothing is created
but by `prepare`; what the user set is kept; secrets of the launcher never enter a child's environment.

::

    <data_dir>/
    ├── cache/            shared by every instance: huggingface/ torch/ ... kokoro/ jieba/ text-normalizer/
    └── instances/NAME/   run.json run.lock logs/ tmp/ (0700) run/ (0700, sockets) library/ jobs/ (0700)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.folders import check_writable, make_folder, make_owned_folder, make_private_folder
from launcher.cache.mounts import MOUNTINFO, VOLATILE, file_system
from launcher.config import Config
from launcher.config.home import home_folder
from launcher.config.keys import INTERNAL_NAMES, KEYS_BY_NAME, PREFIX

#: sun_path holds 104 bytes on macOS and 108 on Linux; a socket's own name needs up to 20.
MAX_RUNTIME_DIR_BYTES = 80

_PINNED_FOLDERS = {
    "HF_HOME": "huggingface",
    "TORCH_HOME": "torch",
    "TORCH_EXTENSIONS_DIR": "torch-extensions",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "torch-inductor",
    "CUDA_CACHE_PATH": "cuda",
    "MODELSCOPE_CACHE": "modelscope",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "NLTK_DATA": "nltk",
}
#: Folders that no variable names; the engines get the cache's root and use these.
OWN_FOLDERS = ("jieba", "text-normalizer", "kokoro")
#: For the children unless the user says otherwise. A Hub mirror carries no Xet data, and a blocked Xet host hangs a
#: download for good, therefore it is off. Unbuffered, so that a log line is there when it was written. onnxruntime
#: sends events to its maker since 1.29, and keeps an identifier in the home folder, unless it is told not to.
_SWITCHES = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_UNPROXIED = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pin:
    """One variable that tells a library where to keep its files.

    Attributes:
        name: the variable.
        path: its value.
        source: ``user`` when the user set it, else ``pinned``.
    """

    name: str
    path: str
    source: str


@dataclass(frozen=True)
class StorageWarning:
    """Something that works but will surprise; ``message`` and ``fix`` are one sentence each."""

    message: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """The value as the snapshot shows it."""
        return {"message": self.message, "fix": self.fix}


@dataclass(frozen=True)
class InstancePaths:
    """An instance's own files.

    Attributes:
        root: its folder.
        run_file, lock_file: who runs, and the lock that only the living hold.
        log_dir: rotating logs.
        ended_sessions: logins that somebody has ended before their time.
        temp_dir: uploads and generated sound; private (0700), emptied by whoever starts.
        runtime_dir: sockets; private (0700), short enough for a Unix socket's name.
        library_dir: voices, presets, glossary and history; private (0700), made by the page's process.
        jobs_dir: jobs and their results; the same.
    """

    root: Path
    run_file: Path
    lock_file: Path
    log_dir: Path
    ended_sessions: Path
    temp_dir: Path
    runtime_dir: Path
    library_dir: Path
    jobs_dir: Path


def cache_dir(config: Config) -> Path:
    """The root of the pinned cache."""
    return config.data_dir / "cache"


def journal_dir(config: Config) -> Path:
    """Where commands that move weights keep what they have done so far, and the lock that lets in one at a time."""
    return cache_dir(config) / "journals"


def archived_dir(config: Config) -> Path:
    """Where pointers to archived repositories are kept."""
    return cache_dir(config) / "archived"


def instance_paths(config: Config | tuple[Path, str]) -> InstancePaths:
    """The files of the Config's instance, or of a (data_dir, instance) pair. Creates nothing."""
    data_dir, instance = config if isinstance(config, tuple) else (config.data_dir, config.instance)
    root = data_dir / "instances" / instance
    return InstancePaths(
        root=root,
        run_file=root / "run.json",
        lock_file=root / "run.lock",
        log_dir=root / "logs",
        ended_sessions=root / "ended_sessions",
        temp_dir=root / "tmp",
        runtime_dir=_runtime_dir(root),
        library_dir=root / "library",
        jobs_dir=root / "jobs",
    )


def _runtime_dir(root: Path) -> Path:
    """``root/run``, or a folder in /tmp when that is too long.

    /tmp and neither TMPDIR nor XDG_RUNTIME_DIR: every shell of a user finds the same one, and it outlives the login
    that started a detached instance.
    """
    direct = root / "run"
    if os.name != "posix" or len(os.fsencode(direct)) <= MAX_RUNTIME_DIR_BYTES:
        return direct
    import hashlib  # brings OpenSSL, 4 MB, which a supervisor with a short path does without

    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return Path("/tmp") / f"tts-launcher-{os.getuid()}-{digest}"


def pins(config: Config) -> tuple[Pin, ...]:
    """Every variable that names a cache folder, with its value and who decided it."""
    cache = cache_dir(config)
    hf_home = config.standard.get("HF_HOME") or str(cache / _PINNED_FOLDERS["HF_HOME"])
    chosen = {name: str(cache / folder) for name, folder in _PINNED_FOLDERS.items()}
    chosen["HF_HUB_CACHE"] = str(Path(hf_home) / "hub")
    chosen["HF_XET_CACHE"] = str(Path(hf_home) / "xet")
    chosen["GRADIO_TEMP_DIR"] = str(instance_paths(config).temp_dir / "gradio")
    return tuple(
        Pin(name, config.standard.get(name) or path, "user" if config.standard.get(name) else "pinned")
        for name, path in chosen.items()
    )


def hub_cache(config: Config) -> Path:
    """Where models lie: the folder that holds the repositories."""
    return next(Path(pin.path) for pin in pins(config) if pin.name == "HF_HUB_CACHE")


def child_environment(config: Config, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ``base`` without our own settings, plus what ``.env`` says, plus the pins.

    The temporary folder is always the instance's private one, because uploads hold people's voices. Who has no home
    gets the cache in its place, because packages ask for one when they are imported. With a proxy, this machine is
    always reached directly. Creates nothing.

    Args:
        config: the settings.
        base: the environment to start from, as `os.environ`.
    """
    environment = {name: value for name, value in base.items() if _is_inherited(name, value)}
    environment.update(config.standard)
    environment.update({pin.name: pin.path for pin in pins(config)})
    temp_dir = str(instance_paths(config).temp_dir)
    environment.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP") if os.name == "nt" else ("TMPDIR",), temp_dir))
    if os.name == "posix" and not environment.get("HOME") and home_folder() is None:
        environment["HOME"] = str(cache_dir(config))
    for name, value in _SWITCHES.items():
        if not environment.get(name):
            environment[name] = value
    if any(environment.get(name) for name in PROXY_NAMES):
        listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        direct = ",".join(dict.fromkeys([*filter(None, (part.strip() for part in listed.split(","))), *_UNPROXIED]))
        environment["no_proxy"] = environment["NO_PROXY"] = direct
    return environment


def _is_inherited(name: str, value: str) -> bool:
    if name.startswith(PREFIX):
        return name in INTERNAL_NAMES
    key = KEYS_BY_NAME.get(name)
    # An empty standard name means "not set", but libraries take HF_ENDPOINT="" for an address.
    return bool(value) or key is None or key.empty_counts


def prepare(config: Config, *, mountinfo: str | None = None) -> tuple[StorageWarning, ...]:
    """Makes every folder and checks that it can be written to.

    Args:
        config: the settings.
        mountinfo: text of ``/proc/self/mountinfo``; ``None`` reads it.

    Returns:
        What works but will surprise: caches in memory or in a container's layer, a private folder that is not.

    Raises:
        StorageError: naming the setting, the path and the way out.
    """
    paths = instance_paths(config)
    ours = "LAUNCHER_DATA_DIR"
    make_folder(config.data_dir, ours)
    check_writable(config.data_dir, ours)
    for folder in (paths.root, paths.log_dir, *(cache_dir(config) / name for name in OWN_FOLDERS)):
        make_folder(folder, ours)
    for folder in (paths.root, paths.log_dir, cache_dir(config)):
        check_writable(folder, ours)
    lasting = {ours: config.data_dir}
    private = {paths.temp_dir: ours}
    for pin in pins(config):
        setting = pin.name if pin.source == "user" else ours
        if pin.name == "GRADIO_TEMP_DIR":
            private[Path(pin.path)] = setting
        elif not (pin.name == "NLTK_DATA" and pin.source == "user"):  # several folders, which NLTK only reads
            make_folder(Path(pin.path), setting)
            check_writable(Path(pin.path), setting)
            if pin.source == "user":
                lasting[pin.name] = Path(pin.path)
    open_folders = [path for path, setting in private.items() if not make_private_folder(path, setting)]
    for path, setting in private.items():
        check_writable(path, setting)
    if paths.runtime_dir.parent == paths.root:
        make_private_folder(paths.runtime_dir, ours)
    else:
        make_owned_folder(paths.runtime_dir, ours)
    return (*_volatile(lasting, mountinfo), *(_open_warning(path) for path in open_folders))


def _open_warning(path: Path) -> StorageWarning:
    return StorageWarning(
        f"{path} holds uploads, and others on this machine can read it.",
        "Set LAUNCHER_DATA_DIR to a file system that keeps permissions.",
    )


def _volatile(folders: Mapping[str, Path], mountinfo: str | None) -> list[StorageWarning]:
    """A warning for each mount that forgets; ``folders`` maps a setting to its path."""
    if mountinfo is None:
        try:
            mountinfo = MOUNTINFO.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []  # not Linux
    warned: dict[str, StorageWarning] = {}
    for setting, path in folders.items():
        point, kind = file_system(os.path.realpath(path), mountinfo)
        if kind in VOLATILE and point not in warned:
            warned[point] = StorageWarning(
                f"{setting}: {path} lies in {VOLATILE[kind]}; models would be fetched and prepared again.",
                f"Mount a disk or volume there, or set {setting} to a folder on one.",
            )
    return list(warned.values())
