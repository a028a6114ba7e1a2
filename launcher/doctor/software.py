"""Checks of the software: settings, Python, packages, the engine that would speak and its weights."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from launcher.config.toml_file import parse_toml
from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed
from launcher.errors import ConfigError

#: What CI runs on; the newest one that every package of the lock has wheels for is the last.
OLDEST, NEWEST = (3, 10), (3, 13)
_LOCKED = re.compile(r"^(?P<line>[A-Za-z0-9][^\\]*?)\s*\\?$")
_DISTRIBUTION = "tts-launcher"


def check_python(ground: Ground) -> Finding:
    """Version, word size, and whether the environment is one of its own."""
    version, bits = sys.version_info, struct.calcsize("P") * 8
    what = f"{version[0]}.{version[1]}.{version[2]}, {bits} bit, {sys.executable}"
    wanted = f"Python {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    if version[:2] < OLDEST or bits < 64:
        return Finding("Python", FAILED, what, f"Install a 64-bit {wanted} and run scripts/start again.")
    if version[:2] > NEWEST:
        return Finding("Python", WARNING, what, f"Use {wanted}: newer ones are not tested.")
    if sys.prefix == sys.base_prefix and not _in_container():
        fix = "Use scripts/start, which makes an environment, so that other programs' packages cannot break this one."
        return Finding("Python", WARNING, f"{what}, not in an environment of its own", fix)
    return Finding("Python", OK, what)


def _in_container() -> bool:
    return any(Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv"))


def check_packages(ground: Ground) -> Finding:
    """Every package that is needed is there in a version that fits; how far that is from the lock."""
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in requirements(ground.source)]
    if not needed:
        return Finding("Packages", FAILED, "the installation does not say what it needs", "Install tts-launcher again.")
    versions = {one.name: installed_version(one.name) for one in needed if one.marker is None or one.marker.evaluate()}
    missing = [name for name, version in versions.items() if not version]
    unfit = [
        f"{one.name} {versions[one.name]} (needs {one.specifier})"
        for one in needed
        if versions.get(one.name) and not one.specifier.contains(versions[one.name], prereleases=True)
    ]
    fix = "Run scripts/start, or, in the environment where it is installed: pip install --upgrade CLONE"
    if missing:
        return Finding("Packages", FAILED, f"missing: {listed(missing)}", fix)
    if unfit:
        return Finding("Packages", FAILED, f"wrong version: {listed(unfit)}", fix)
    lock = ground.source / "locks" / "start.txt"
    if not lock.is_file():
        return Finding("Packages", OK, f"all {len(versions)} that are needed")
    other = [
        f"{name} {found} (lock: {locked})"
        for name, locked in locked_versions(lock)
        if (found := installed_version(name)) and found != locked
    ]
    if other:
        detail = f"all {len(versions)} that are needed, {len(other)} not as locked: {listed(other, 3)}"
        return Finding("Packages", WARNING, detail, "Run scripts/start, which installs the tested versions.")
    return Finding("Packages", OK, f"all {len(versions)} that are needed, as locked")


def requirements(source: Path) -> list[str]:
    """What this installation needs to run: of the clone's pyproject.toml, else of the installed package."""
    try:
        file = source / "pyproject.toml"
        project = parse_toml(file, file.read_text(encoding="utf-8"), fix="")["project"]
        if project["name"] == _DISTRIBUTION:
            return list(project["dependencies"])
    except (OSError, ValueError, KeyError, ConfigError):
        pass  # no clone: it was installed
    try:
        return [text for text in metadata.requires(_DISTRIBUTION) or [] if "extra ==" not in text]
    except metadata.PackageNotFoundError:
        return []


def locked_versions(lock: Path) -> Iterator[tuple[str, str]]:
    """Name and version of what a lock names for this Python and system."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in lock.read_text(encoding="utf-8").splitlines():
        found = _LOCKED.match(text)
        if found is None:
            continue
        try:
            one = Requirement(found["line"])
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate():
            yield one.name, str(one.specifier).removeprefix("==")


def installed_version(name: str) -> str:
    """The version of an installed package; empty when it is not there."""
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return ""
