"""Installing a bundle: verified first, visible afterwards, without any network.

Every file is copied beside its place under its sha256, compared, and kept; only when all of them are there does
anything get its name. Invariants: what was verified is not copied again by a later run, however this one ended; what
is there already is kept; nobody is asked for anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.bundle.make import Watch
from launcher.bundle.manifest import MANIFEST_NAME, MAX_BYTES, File, Manifest, Model, decode, digest
from launcher.bundle.tar import BadBundle, padding, read_member
from launcher.cache.folders import storage_error
from launcher.errors import StorageError
from launcher.hub.locks import lock_path, try_lock
from launcher.hub.partial import storage_failure
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, Received, write_receipt
from launcher.hub.remote_files import RemoteFile, RepoTree

_COPY_BYTES = 1 << 20
#: Already installed by whoever runs this: `first_step` takes them from the bundle itself.
_PASSED_OVER = "wheels/launcher/"
#: Room that a disk needs besides the files themselves.
_SPARE_BYTES = 50_000_000


@dataclass(frozen=True)
class Opened:
    """A bundle whose manifest was read: ``begin`` is where its first other file's header stands."""

    path: Path
    manifest: Manifest
    digest: str
    begin: int


@dataclass(frozen=True)
class Placed:
    """What an installation did.

    Attributes:
        manifest: of the bundle.
        snapshots: repository to the folder of its files.
        folder: of the bundle's own files: settings, wheels.
        voices: those that are new; one of the same name that was there is kept.
        copied_bytes: that this run copied; what an earlier one had copied is not among them.
    """

    manifest: Manifest
    snapshots: dict[str, Path]
    folder: Path
    voices: tuple[Path, ...]
    copied_bytes: int


def open_bundle(path: Path, expected: str = "") -> Opened:
    """Reads a bundle's manifest.

    Args:
        path: of the bundle.
        expected: the digest that ``bundle make`` showed; empty when it is not known.

    Raises:
        BadBundle: when it is none, or not the expected one.
    """
    try:
        with path.open("rb") as stream:
            member = read_member(stream)
            if member is None or member.name != MANIFEST_NAME or member.size > MAX_BYTES:
                raise BadBundle(f"{path} is no bundle.", fix="Name a file that bundle make made.")
            data = stream.read(member.size)
            begin = stream.tell() + padding(member.size)
    except OSError as error:
        raise BadBundle(f"{path} cannot be read: {error.strerror}.", fix="Name a file that bundle make made.") from None
    if len(data) < member.size:
        raise BadBundle(f"{path} is cut.", fix="Copy it again and compare its size.")
    found = digest(data)
    if expected and found != expected.lower():
        raise BadBundle(f"{path} has the digest {found}, not {expected}.", fix="Copy it again from its source.")
    return Opened(path, decode(data), found, begin)


class Installer:
    """Installs one bundle.

    Args:
        bundle: that was opened.
        cache: the Hub cache.
        data_dir: the persistent folder.
        watch: is told how far it is.
    """

    def __init__(self, bundle: Opened, cache: Path, data_dir: Path, watch: Watch) -> None:
        self._bundle = bundle
        self._cache = cache
        self._data_dir = data_dir
        self._watch = watch
        self._copied = 0
        self.folder = data_dir / "bundles" / bundle.digest[:16]
        self._staging = data_dir / "bundles" / f".{bundle.digest[:16]}.partial"
        self._files = {name: file for name, file in bundle.manifest.files.items() if not name.startswith(_PASSED_OVER)}
        self._owners = {model.member(path): (model, path) for model in bundle.manifest.models for path in model.paths}
        self._trees = {model.repo: {file.path: file for file in model.tree} for model in bundle.manifest.models}

    def install(self) -> Placed:
        """Does it; may be called again after any interruption.

        Raises:
            BadBundle: when the bundle is damaged or was changed; nothing of it is visible then.
            StorageError: when the disk is full, or somebody else installs the same.
        """
        with self._alone():
            self._check_space()
            self._stage_all()
            try:
                snapshots = {model.repo: self._place_model(model) for model in self._bundle.manifest.models}
                voices = self._place_voices()
                self._place_own()
            except OSError as error:
                raise storage_failure(error, self._data_dir, self._bundle.path.name) from None
        return Placed(self._bundle.manifest, snapshots, self.folder, tuple(voices), self._copied)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        path = lock_path(self._cache, "bundle/install", self._bundle.digest[:16])
        with contextlib.ExitStack() as locks:
            try:
                is_first = locks.enter_context(try_lock(path))
            except OSError as error:
                raise storage_error(error, "HF_HUB_CACHE", path) from None
            if not is_first:
                raise StorageError("Another process installs this bundle.", fix="Wait for it to end.")
            yield

    def _is_there(self, name: str, file: File) -> bool:
        """Whether a file has its final name already."""
        if name in self._owners:
            model, path = self._owners[name]
            return RepoFolder(self._cache, model.repo).holds(model.commit, path, file.size)
        place = self._data_dir / name if name.startswith("voices/") else self.folder / name
        return place.is_file() and place.stat().st_size == file.size

    def _staged(self, name: str, file: File) -> Path:
        """Where a verified file waits: on the disk that it stays on, where no library looks."""
        if name in self._owners:
            return RepoFolder(self._cache, self._owners[name][0].repo).partial / f"bundle-{file.sha256}"
        return self._staging / file.sha256

    def _check_space(self) -> None:
        from shutil import disk_usage

        missing = {
            one.sha256: one.size
            for name, one in self._files.items()
            if not self._is_there(name, one) and not self._staged(name, one).exists()
        }
        folders = [self._cache, self._data_dir]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        free = min(disk_usage(folder).free for folder in folders)
        needed = sum(missing.values()) + _SPARE_BYTES
        if needed > free:
            raise StorageError(
                f"The bundle needs {needed / 1e6:,.0f} MB of free space and there are {free / 1e6:,.0f} MB.",
                fix="Free some space, or set LAUNCHER_DATA_DIR or HF_HUB_CACHE to a larger disk.",
            )

    def _stage_all(self) -> None:
        """Copies and verifies everything that is not there, in the order of the archive."""
        total, done = self._bundle.manifest.size_bytes, 0
        try:
            with self._bundle.path.open("rb") as stream:
                stream.seek(self._bundle.begin)
                for name, file in self._bundle.manifest.files.items():
                    member = read_member(stream)
                    if member is None or member.name != name or member.size != file.size:
                        raise BadBundle("The bundle does not hold what its manifest lists.", fix="Make it again.")
                    following = stream.tell() + file.size + padding(file.size)
                    staged = self._staged(name, file)
                    if name in self._files and not self._is_there(name, file) and not _is_whole(staged, file):
                        self._stage(stream, name, file, staged)
                    stream.seek(following)
                    done += file.size
                    self._watch(done, total)
                if read_member(stream) is not None:
                    raise BadBundle("The bundle holds more than its manifest lists.", fix="Make it again.")
        except OSError as error:
            raise storage_failure(error, self._data_dir, self._bundle.path.name) from None

    def _stage(self, stream: IO[bytes], name: str, file: File, staged: Path) -> None:
        staged.parent.mkdir(parents=True, exist_ok=True)
        growing = staged.with_name(f"{staged.name}.part")
        begin = stream.tell()
        found, size = _resume(growing, file.size)
        resumed = size > 0
        stream.seek(begin + size)
        with growing.open("r+b" if size else "wb") as target:
            target.seek(size)
            while size < file.size and (data := stream.read(min(_COPY_BYTES, file.size - size))):
                found.update(data)
                target.write(data)
                size += len(data)
                self._copied += len(data)
            target.truncate()
            target.flush()
            os.fsync(target.fileno())
        if size < file.size or found.hexdigest() != file.sha256 or not self._is_right(name, growing):
            growing.unlink()
            if resumed:  # what an earlier run left may be at fault, not the bundle
                stream.seek(begin)
                return self._stage(stream, name, file, staged)
            raise BadBundle(f"{name} in the bundle is cut or damaged.", fix="Copy the bundle again.")
        growing.replace(staged)
        return None

    def _is_right(self, name: str, path: Path) -> bool:
        """Whether a small file has the name that git gives it; a large one is named by its sha256 alone."""
        if name not in self._owners:
            return True
        model, inside = self._owners[name]
        listed = self._trees[model.repo][inside]
        if listed.sha256 is not None:
            return listed.sha256 == self._bundle.manifest.files[name].sha256
        named = listed.start_hash()
        named.update(path.read_bytes())
        return named.hexdigest() == listed.git_sha1

    def _place_model(self, model: Model) -> Path:
        folder, trees = RepoFolder(self._cache, model.repo), self._trees[model.repo]
        received, groups = {}, dict[str, list[RemoteFile]]()
        for path in model.paths:
            file = self._bundle.manifest.files[model.member(path)]
            received[path] = Received(file.sha256, file.size, dict(model.hosts.get(path, {})))
            listed = trees[path]
            if not folder.holds(model.commit, path, file.size) and not folder.adopt(model.commit, listed):
                groups.setdefault(listed.etag, []).append(listed)
        for files in groups.values():
            name = model.member(files[0].path)
            staged = self._staged(name, self._bundle.manifest.files[name])
            if not staged.exists():
                raise BadBundle(f"{name} went away while it was installed.", fix="Run the same command again.")
            folder.place(model.commit, files, staged)
        for path in model.paths:  # two paths may have shared one content
            with contextlib.suppress(FileNotFoundError):
                self._staged(model.member(path), self._bundle.manifest.files[model.member(path)]).unlink()
        tree = RepoTree(model.repo, model.revision, model.commit, model.tree, model.vouchers)
        if all(folder.holds(model.commit, file.path, file.size) for file in model.tree):
            folder.write_tree(tree)
        write_receipt(folder, Receipt(model.repo, model.revision, model.commit, received, model.tree, model.vouchers))
        folder.write_ref(model.revision, model.commit)
        with contextlib.suppress(OSError):
            folder.partial.rmdir()
        return folder.snapshot(model.commit)

    def _place_voices(self) -> list[Path]:
        new = []
        for name, file in self._files.items():
            place = self._data_dir / name
            staged = self._staged(name, file)
            if name.startswith("voices/") and not place.exists() and staged.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                _link_or_move(staged, place)
                new.append(place)
        return new

    def _place_own(self) -> None:
        """The bundle's own files: settings, installer and wheels, in one folder that appears at once."""
        own = [
            (name, file)
            for name, file in self._files.items()
            if name not in self._owners and not name.startswith("voices/")
        ]
        if not all(self._is_there(name, file) for name, file in own):
            for name, file in own:
                place = self._staging / "own" / name
                if not _is_whole(place, file):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_move(self._staged(name, file), place)
            from shutil import rmtree

            rmtree(self.folder, ignore_errors=True)
            (self._staging / "own").replace(self.folder)
        from shutil import rmtree

        rmtree(self._staging, ignore_errors=True)


def _is_whole(path: Path, file: File) -> bool:
    """Whether a file was verified before: it has this name only then."""
    try:
        return path.stat().st_size == file.size
    except OSError:
        return False


def _resume(path: Path, size: int) -> tuple[hashlib._Hash, int]:
    """The hash and length of what an earlier run copied; what is longer than the file is nothing."""
    found, done = hashlib.sha256(), 0
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size <= size:
            with path.open("rb") as stream:
                while data := stream.read(_COPY_BYTES):
                    found.update(data)
                    done += len(data)
    return found, done


def _link_or_move(source: Path, target: Path) -> None:
    """A second name where the disk has such, else the only one; two names may share one content."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        from shutil import copyfile

        fresh = target.with_name(f".{target.name}.tmp")
        copyfile(source, fresh)
        fresh.replace(target)
