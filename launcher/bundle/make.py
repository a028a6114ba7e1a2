"""Making a bundle: everything that a machine without a network needs, in one file.

Invariants: what is packed is verified while it is packed; the file has its name only when it is whole; a secret and a
path of this machine never get into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

from launcher import __version__
from launcher.bundle import wheels
from launcher.bundle.manifest import MANIFEST_NAME, Environment, File, Manifest, Model, digest
from launcher.bundle.tar import BLOCK_BYTES, Member, header, padding
from launcher.config import Config
from launcher.config.keys import KEYS_BY_NAME
from launcher.errors import FetchError, StorageError
from launcher.hub.catalog import CatalogEntry
from launcher.hub.partial import storage_failure
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import read_receipt, sha256_of
from launcher.hub.wanted import look

INSTALLER_NAME = "install.py"
SETTINGS_NAME = "settings.env"
_COPY_BYTES = 1 << 20
#: Of this machine alone, or of no use elsewhere.
_NOT_CARRIED = {
    "LAUNCHER_MIRRORS",
    "LAUNCHER_HOST",
    "LAUNCHER_ALLOWED_HOSTS",
    "LAUNCHER_OFFLINE",
    "LAUNCHER_PACKAGE_INDEX",
}
#: Bytes so far and in all.
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Made:
    """A bundle that was made.

    Attributes:
        path, size_bytes: of the file.
        digest: the sha256 of its manifest, which stands for all of it.
        manifest: what it holds.
    """

    path: Path
    size_bytes: int
    digest: str
    manifest: Manifest


@dataclass(frozen=True)
class Piece:
    """One file to pack: a path, or bytes; its sha256 when it is known already."""

    content: Path | bytes
    sha256: str = ""

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def open(self) -> IO[bytes]:
        """The content."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def model_of(cache: Path, entry: CatalogEntry) -> list[tuple[Model, dict[str, Piece]]]:
    """What a model of the catalog has in the cache.

    Raises:
        FetchError: when a part of it is missing that the model cannot do without.
    """
    found = []
    for part in entry.parts:
        state = look(cache, part.wanted)
        if state is None or state.missing:
            if part.optional:
                continue
            lacks = part.repo if state is None else f"{part.repo}/{state.missing[0].path}"
            raise FetchError(f"{lacks} is not in {cache}.", fix=f"Run: tts-launcher fetch {entry.name}")
        receipt = read_receipt(RepoFolder(cache, part.repo), state.tree.commit)
        received = receipt.files if receipt is not None else {}
        paths = tuple(file.path for file in state.selected.files)
        model = Model(
            part.repo,
            part.revision,
            state.tree.commit,
            paths,
            state.tree.files,
            {path: received[path].hosts for path in paths if path in received},
            state.tree.vouchers,
        )
        pieces = {
            model.member(file.path): Piece((state.snapshot / file.path).resolve(), file.sha256 or "")
            for file in state.selected.files
        }
        found.append((model, pieces))
    return found


def settings_text(config: Config) -> bytes:
    """What the user set, without secrets, paths and this machine's network; offline is on."""
    lines = ["# Settings of a bundle; use them with --env-file, or copy them to .env.", "LAUNCHER_OFFLINE=yes"]
    for value in config.values:
        key = KEYS_BY_NAME[value.name]
        if value.source == "default" or key.secret or key.is_path or not key.is_ours or key.name in _NOT_CARRIED:
            continue
        lines.append(f"{value.name}={value.shown}")
    return "\n".join([*lines, ""]).encode()


def voices_of(data_dir: Path) -> dict[str, Piece]:
    """The user's own voices: every file below ``voices`` in the data folder."""
    folder = data_dir / "voices"
    return {
        f"voices/{path.relative_to(folder).as_posix()}": Piece(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def pack_wheels(
    config: Config,
    engines: Sequence[str],
    source: Path,
    folder: Path,
    *,
    requirements: Sequence[str],
    note: wheels.Note,
) -> tuple[list[Environment], dict[str, Piece]]:
    """The launcher's own packages and those of each installed engine, as wheels in ``folder``.

    Args:
        config: the settings.
        engines: that the model is for.
        source: the folder that holds the packages `launcher` and `webui`.
        folder: where the wheels are made; they stay there until the bundle is written.
        requirements: of the launcher.
        note: gets what a person should know.

    Raises:
        EngineError: when an installed package cannot be packed.
    """
    from launcher.engines.environments import EMBEDDED_ENGINE, STAMP, engine_dir, installed

    here = Environment("launcher", f"3.{sys.version_info[1]}", sysconfig.get_platform())
    target = _folder(folder / here.name)
    made = [wheels.own_wheel(source, target, note)]
    made += [wheels.make_wheel(one, target, note) for one in wheels.needed(requirements).values()]
    environments = [here]
    for engine in engines:
        there = installed(config, engine) if engine != EMBEDDED_ENGINE else None
        if there is not None:
            stamp = json.loads((engine_dir(config, engine) / STAMP).read_text(encoding="utf-8"))
            python = ".".join(there.python_version.split(".")[:2])
            environments.append(Environment(engine, python, sysconfig.get_platform(), stamp))
            target = _folder(folder / engine)
            made += [wheels.make_wheel(one, target, note) for one in wheels.installed_in(there.python)]
    return environments, {f"wheels/{path.parent.name}/{path.name}": Piece(path) for path in made}


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def installer() -> Piece:
    """The script that installs the launcher itself from the bundle, with nothing but Python."""
    return Piece(resources.files("launcher.bundle").joinpath("first_step.py").read_bytes())


def write(
    path: Path,
    name: str,
    *,
    models: Sequence[Model],
    environments: Sequence[Environment],
    pieces: Mapping[str, Piece],
    watch: Watch,
) -> Made:
    """Writes the bundle.

    Args:
        path: of the file; one that is there is replaced when the new one is whole.
        name: of the bundle.
        models, environments: what it says of itself.
        pieces: name in the bundle to content, in the order of the archive.
        watch: is told how far it is.

    Raises:
        StorageError: when the disk is full, or a file is not what its digest says.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files = {key: File(one.size, one.sha256 or _digest_of(one)) for key, one in pieces.items()}
        manifest = Manifest(name, round(time.time(), 3), __version__, tuple(models), tuple(environments), files)
        _check_space(path, manifest.size_bytes + len(manifest.encode()))
        size = _fill(partial, manifest, pieces, watch)
        partial.replace(path)
    except OSError as error:
        raise storage_failure(error, path.parent, path.name) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return Made(path, size, digest(manifest.encode()), manifest)


def _fill(path: Path, manifest: Manifest, pieces: Mapping[str, Piece], watch: Watch) -> int:
    """Writes the whole archive into ``path`` and returns its size."""
    encoded, done = manifest.encode(), 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        watch(done, manifest.size_bytes)

    with path.open("wb") as target:
        _write_piece(target, MANIFEST_NAME, Piece(encoded), digest(encoded), lambda size: None)
        for key, piece in pieces.items():
            _write_piece(target, key, piece, manifest.files[key].sha256, count)
        target.write(bytes(2 * BLOCK_BYTES))
        target.flush()
        os.fsync(target.fileno())
        return target.tell()


def _digest_of(piece: Piece) -> str:
    return digest(piece.content) if isinstance(piece.content, bytes) else sha256_of(piece.content)


def _check_space(path: Path, needed: int) -> None:
    from shutil import disk_usage

    free = disk_usage(path.parent).free
    if needed > free:
        raise StorageError(
            f"The bundle needs {needed / 1e6:,.0f} MB and {path.parent} has {free / 1e6:,.0f} MB free.",
            fix="Free some space, or write it to another disk with -o.",
        )


def _write_piece(target: IO[bytes], name: str, piece: Piece, sha256: str, count: Callable[[int], None]) -> None:
    size, found = piece.size, hashlib.sha256()
    try:
        target.write(header(Member(name, size)))
    except ValueError as error:
        raise StorageError(f"A file cannot be packed: {error}.", fix="Rename it.") from None
    left = size
    with piece.open() as source:
        while left and (data := source.read(min(_COPY_BYTES, left))):
            found.update(data)
            target.write(data)
            left -= len(data)
            count(len(data))
    if left or found.hexdigest() != sha256:
        raise StorageError(
            f"{piece.content if isinstance(piece.content, Path) else name} is not what it was when it was fetched.",
            fix="Run: tts-launcher cache verify, then tts-launcher cache repair.",
        )
    target.write(bytes(padding(size)))
