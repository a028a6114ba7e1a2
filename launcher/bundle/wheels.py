"""Wheels of what is installed, made from the installed files themselves: no network, and exactly what runs here.

A wheel is a zip of the files that an installation put into site-packages plus what is in its ``.dist-info``
(PyPA's "Binary distribution format" and "Recording installed projects"), so it can be made backwards. Invariants: a
file that no longer has the digest that was recorded at its installation is packed as it is, and named; compiled
bytecode is left out.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from launcher.errors import EngineError

#: Made by whoever installs; never part of a wheel.
_NOT_PACKED = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "RECORD.jws", "uv_cache.json", "uv_build.json"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can say, so that the same files make the same wheel
_LEVEL = 1  # binaries shrink to 40 % in a second per 100 MB; more costs minutes for a few percent
_READ_BYTES = 1 << 20
#: Gets a sentence for the person.
Note = Callable[[str], None]
_OWN = "tts-launcher"
_OWN_SOURCES = ("launcher", "webui", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


def needed(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The installed packages that ``requirements`` lead to, themselves included, by name.

    Raises:
        EngineError: when one is not installed.
    """
    from packaging.requirements import Requirement

    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        one, wanted_by = waiting.pop()
        extras = [*sorted(one.extras), ""]
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        name = normal(one.name)
        if name not in found:
            found[name] = _distribution(one.name, wanted_by)
        for extra in extras:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in found[name].requires or []:
                further = Requirement(text)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    further.marker = None
                    waiting.append((further, name))
    return found


def _distribution(name: str, wanted_by: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        by = f", which {wanted_by} needs," if wanted_by else ""
        raise EngineError(
            f"The package {name}{by} is not installed.", fix="Run scripts/start, then make the bundle again."
        ) from None


def installed_in(python: Path) -> list[metadata.Distribution]:
    """Every package of another environment.

    Args:
        python: its interpreter.

    Raises:
        EngineError: when it does not run.
    """
    script = "import sysconfig; print(sysconfig.get_path('purelib')); print(sysconfig.get_path('platlib'))"
    try:
        done = subprocess.run([str(python), "-I", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"{python} does not run: {error}.", fix="Install the engine again.") from None
    folders = list(dict.fromkeys(done.stdout.split("\n")[:2]))
    found = {normal(one.metadata["Name"]): one for one in metadata.distributions(path=folders)}
    return [found[name] for name in sorted(found)]


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def make_wheel(distribution: metadata.Distribution, folder: Path, note: Note) -> Path:
    """Packs an installed package into ``folder``.

    Args:
        distribution: the package.
        folder: where the wheel goes.
        note: is told of each file that was changed after its installation, as some systems do with certificates.

    Raises:
        EngineError: when a file cannot be read, or the package points to a folder of sources.
    """
    name, version = distribution.metadata["Name"], distribution.version
    about = _about(distribution, name)
    escaped = re.sub(r"[-_.]+", "_", name)
    path = folder / f"{escaped}-{version}-{_tags(distribution, name)}.whl"
    records: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for inside, source, recorded in _packed(distribution, f"{escaped}-{version}", about):
            line, digest = _add(archive, inside, source, name)
            records.append(line)
            if recorded and digest != recorded.rstrip("="):
                note(f"{source} was changed after the installation of {name}; it is packed as it is now.")
        record = f"{about}/RECORD"
        text = "".join(f"{line}\n" for line in [*records, f"{record},,"])
        archive.writestr(zipfile.ZipInfo(record, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return path


def _about(distribution: metadata.Distribution, name: str) -> str:
    """The name of its ``.dist-info`` folder."""
    if distribution.read_text("direct_url.json") and '"editable": true' in (
        distribution.read_text("direct_url.json") or ""
    ):
        raise EngineError(f"{name} is installed as a link to its sources.", fix=f"Install {name} without -e.")
    for file in distribution.files or []:
        if file.name == "METADATA" and file.parent.name.endswith(".dist-info"):
            return file.parent.name
    raise EngineError(
        f"{name} was not installed from a wheel, so none can be made of it.", fix=f"Run: pip install --force {name}"
    )


def _tags(distribution: metadata.Distribution, name: str) -> str:
    """Python, ABI and platform, such as ``cp311-cp311-manylinux_2_17_x86_64``, of the wheel that was installed."""
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
    parts = [tag.split("-") for tag in tags if tag.count("-") == 2]
    if not parts:
        raise EngineError(f"{name} does not say for which Python it is.", fix=f"Run: pip install --force {name}")
    return "-".join(".".join(dict.fromkeys(part[place] for part in parts)) for place in range(3))


def _packed(distribution: metadata.Distribution, stem: str, about: str) -> Iterator[tuple[str, Path, str]]:
    """Each file of the package: its name in the wheel, where it is, and its recorded sha256 (or nothing)."""
    scripts = {entry.name for entry in distribution.entry_points if entry.group in ("console_scripts", "gui_scripts")}
    for file in distribution.files or []:
        inside = PurePosixPath(file.as_posix())
        if inside.suffix == ".pyc" or (inside.parent.name == about and inside.name in _NOT_PACKED):
            continue
        source = Path(str(file.locate()))
        recorded = file.hash.value if file.hash is not None and file.hash.mode == "sha256" else ""
        if ".." not in inside.parts:
            yield inside.as_posix(), source, recorded
            continue
        below = [part for part in inside.parts if part != ".."]
        if below[0] in ("bin", "Scripts"):
            # Those of entry points are made anew wherever the wheel is installed.
            if inside.stem.removesuffix("-script") not in scripts and inside.name not in scripts:
                yield f"{stem}.data/scripts/{'/'.join(below[1:])}", source, ""
        elif below[0] == "include":
            yield f"{stem}.data/headers/{below[-1]}", source, recorded
        else:
            yield f"{stem}.data/data/{'/'.join(below)}", source, recorded


def _add(archive: zipfile.ZipFile, inside: str, source: Path, name: str) -> tuple[str, str]:
    """Puts one file into the wheel; returns its line of RECORD and its digest as it is written there."""
    found, size = hashlib.sha256(), 0
    entry = zipfile.ZipInfo(inside, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    try:
        # Of a file's mode an installer takes over one thing; the rest says who had which umask.
        mode = 0o755 if source.stat().st_mode & 0o111 else 0o644
        entry.external_attr = (mode | 0o100000) << 16
        with source.open("rb") as stream, archive.open(entry, "w", force_zip64=True) as target:
            if ".data/scripts/" in inside:
                first = stream.readline()
                # An installer writes its own interpreter in place of this word, and of no other.
                line = b"#!python\n" if first.startswith(b"#!") and b"python" in first else first
                found.update(line)
                size += len(line)
                target.write(line)
            while data := stream.read(_READ_BYTES):
                found.update(data)
                size += len(data)
                target.write(data)
    except OSError as error:
        raise EngineError(f"{name}: {source} cannot be read: {error.strerror}.", fix=f"Reinstall {name}.") from None
    value = base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode()
    return f"{inside},sha256={value},{size}", value


def own_wheel(source: Path, folder: Path, note: Note) -> Path:
    """The launcher's own wheel: of the clone that it runs from, or of what is installed.

    Args:
        source: the folder that holds the packages `launcher` and `webui`.
        folder: where the wheel goes.
        note: as for `make_wheel`.

    Raises:
        EngineError: when it cannot be built.
    """
    if not (source / "pyproject.toml").is_file():
        return make_wheel(_distribution(_OWN, ""), folder, note)
    from shutil import copy2, copytree, ignore_patterns
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir=folder) as text:
        build = Path(text)
        for name in _OWN_SOURCES:
            if (source / name).is_dir():
                copytree(source / name, build / name, ignore=ignore_patterns("__pycache__"))
            elif (source / name).is_file():
                copy2(source / name, build / name)
        script = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
        command = [sys.executable, "-c", script, str(folder)]
        done = subprocess.run(command, cwd=build, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"The launcher's own wheel cannot be built: {last}.", fix="Run scripts/start first.")
    return folder / done.stdout.strip().splitlines()[-1]
