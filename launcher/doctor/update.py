"""What an update left behind: packages and engines made for the version before, settings that came or went, weights
that the catalog has in a newer version, an instance that still runs the old code.

Invariants: nothing asks the network; what was there before is known from a small file in the data folder, written by
the first start and renewed when a person has been told.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import __version__
from launcher.cache.layout import hub_cache, instance_paths
from launcher.config import Config
from launcher.config.keys import KEYS_BY_NAME
from launcher.doctor.finding import OK, WARNING, Check, Finding, Ground, listed

_MEMORY = "seen.json"
#: What `scripts/start` writes into the environment that it has made: its lock and pyproject.toml (environment.sh).
_INSTALLED = "installed.txt"


@dataclass(frozen=True)
class Seen:
    """What the launcher was when a person last looked.

    Attributes:
        version: its version.
        keys: names of the settings that there were.
    """

    version: str
    keys: frozenset[str]


def read_seen(data_dir: Path) -> Seen | None:
    """What was noted; ``None`` before the first start, or when the note cannot be read."""
    try:
        data = json.loads((data_dir / _MEMORY).read_text(encoding="utf-8"))
        return Seen(str(data["version"]), frozenset(map(str, data["keys"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_seen(data_dir: Path) -> None:
    """Notes what the launcher is now; a disk that refuses costs the next comparison and nothing else."""
    text = json.dumps({"version": __version__, "keys": sorted(KEYS_BY_NAME)}, indent=1)
    part = data_dir / f"{_MEMORY}.{os.getpid()}.part"
    with contextlib.suppress(OSError):
        data_dir.mkdir(parents=True, exist_ok=True)
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(data_dir / _MEMORY)


def check_version(ground: Ground) -> Finding:
    """The running instance, if there is one, runs this code."""
    from launcher.process.runfile import RunFile

    paths = instance_paths(ground.config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    record = run_file.read() if run_file.state() == "running" else None
    seen = read_seen(ground.config.data_dir)
    before = f", {seen.version} when you last looked" if seen is not None and seen.version != __version__ else ""
    if record is not None and record.version != __version__:
        detail = f"{__version__}{before}; instance {ground.config.instance!r} still runs {record.version}"
        return Finding("Version", WARNING, detail, "Run: tts-launcher start --replace")
    return Finding("Version", OK, f"{__version__}{before}")


def check_packages(ground: Ground) -> Finding:
    """See `launcher.doctor.software.check_packages`."""
    from launcher.doctor import software  # reads the packages' metadata with modules that a start can be spared

    return software.check_packages(ground)


def check_new_settings(ground: Ground) -> Finding:
    """Settings that came since a person last looked, and those that went; what `.env` names of them is no error yet."""
    seen = read_seen(ground.config.data_dir)
    if seen is None:
        return Finding("New settings", OK, "nothing to compare with yet")
    new = [name for name in KEYS_BY_NAME if name not in seen.keys]
    gone = sorted(seen.keys - set(KEYS_BY_NAME))
    if not new and not gone:
        return Finding("New settings", OK, "none since you last looked")
    parts = [f"new: {listed(new, 6)}"] * bool(new) + [f"gone: {listed(gone, 6)}"] * bool(gone)
    return Finding("New settings", OK, "; ".join(parts))


def check_engines(ground: Ground) -> Finding:
    """Every engine's environment was made from the lock that this version has."""
    old = stale_engines(ground.config)
    if old:
        fix = f"Run: {'; '.join(f'tts-launcher engine install {name}' for name in old)}"
        return Finding("Engines", WARNING, f"made from an older lock: {listed(old)}", fix)
    return Finding("Engines", OK, "as their locks say" if _installed_engines(ground.config) else "none installed")


def check_catalog(ground: Ground) -> Finding:
    """No model of the catalog is here in another version only."""
    newer = newer_models(ground.config)
    if newer:
        fix = f"Run: tts-launcher fetch {' '.join(newer)}"
        return Finding("Catalog", WARNING, f"has another version than what is here: {listed(newer)}", fix)
    return Finding("Catalog", OK, "every model that is here is in its version")


CHECKS: dict[str, Check] = {
    "Version": check_version,
    "Packages": check_packages,
    "Engines": check_engines,
    "New settings": check_new_settings,
    "Catalog": check_catalog,
}


def out_of_date(config: Config, source: Path) -> list[str]:
    """What a start should mention, each as the beginning of a sentence; only what can be seen at once.

    Args:
        config: the settings.
        source: the folder that holds the packages `launcher` and `webui`.
    """
    found = ["the packages"] if _packages_are_old(source) else []
    found += [f"the environment of {name}" for name in stale_engines(config)]
    return found


def stale_engines(config: Config) -> list[str]:
    """Installed engines whose environment was made from another lock than this version's."""
    from launcher.engines.environments import installed

    return [name for name in _installed_engines(config) if (one := installed(config, name)) and not one.current]


def newer_models(config: Config) -> list[str]:
    """Models that are here, and not in the version that the catalog names."""
    from launcher.hub.catalog import catalog
    from launcher.hub.remote_files import folder_name

    cache, found = hub_cache(config), []
    for entry in catalog():
        for part in entry.needed_parts:
            commits = _commits(cache / folder_name(part.repo))
            if commits and len(part.revision) == 40 and part.revision not in commits:
                found.append(entry.name)
                break
    return found


def _commits(root: Path) -> Sequence[str]:
    try:
        return [path.name for path in (root / "snapshots").iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _installed_engines(config: Config) -> list[str]:
    from launcher.engines.environments import STAMP, engine_dir
    from launcher.engines.recipes import RECIPES

    return [name for name in RECIPES if (engine_dir(config, name) / STAMP).is_file()]


def _packages_are_old(source: Path) -> bool:
    """Whether the environment that `scripts/start` made was made from another lock; false for any other one."""
    try:
        made_from = (Path(sys.prefix) / _INSTALLED).read_text(encoding="utf-8")
        now = (source / "locks" / "start.txt").read_text(encoding="utf-8")
        now += (source / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    # The first line names the clone's folder; a test environment has a lock of its own.
    return Path(sys.prefix).name == ".venv" and made_from.partition("\n")[2] != now
