"""A place outside the cache that keeps contents by their digest: a folder, or an object store by its address.

::

    objects/ab/<digest>        a content as it is
    objects/ab/<digest>.zst    the same, compressed
    manifests/<name>.json      what a cache held: paths, digests, links

Invariants: in a folder an object appears under its name only when it was read back and is right; a manifest appears
after all that it names; nothing is ever overwritten by other content.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from launcher.cache import content
from launcher.cache.folders import check_writable, make_folder
from launcher.errors import StorageError

FORMAT = 1
_READ_BYTES = 1 << 20
#: zstd's own default: about 500 MB/s on one core; higher levels gain a percent on weights.
_LEVEL = 3

Count = Callable[[int], None]


@dataclass(frozen=True)
class Entry:
    """One name in a manifest.

    Attributes:
        path: below its root, with ``/``.
        size: in bytes; 0 for a link.
        digest: of the content; empty for a link.
        link: text of a symbolic link; empty for a file.
        mtime_ns: of the file when its digest was taken; 0 when the name says the digest.
    """

    path: str
    size: int = 0
    digest: str = ""
    link: str = ""
    mtime_ns: int = 0


@dataclass(frozen=True)
class Manifest:
    """What a cache held.

    Attributes:
        kind: ``archive`` or ``backup``.
        made_at: seconds since 1970.
        roots: ``hub`` or ``torch`` to entries, in the order in which they have to come back.
    """

    kind: str
    made_at: float
    roots: dict[str, tuple[Entry, ...]]

    def to_json(self) -> dict[str, Any]:
        """The manifest as it is written."""
        roots = {
            root: [{name: value for name, value in vars(entry).items() if value} for entry in entries]
            for root, entries in self.roots.items()
        }
        return {"format": FORMAT, "kind": self.kind, "made_at": self.made_at, "roots": roots}

    @classmethod
    def from_json(cls, data: Any, where: str) -> Manifest:
        """The manifest from `to_json`'s object.

        Raises:
            StorageError: when it is none; ``where`` names it.
        """
        try:
            if data["format"] != FORMAT:
                raise ValueError(data["format"])
            roots = {root: tuple(Entry(**one) for one in entries) for root, entries in data["roots"].items()}
            entries = [entry for one in roots.values() for entry in one]
            if not all(_is_sound(entry) for entry in entries):
                raise ValueError("path")
            return cls(str(data["kind"]), float(data["made_at"]), roots)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StorageError(f"{where} is damaged or of another version.", fix="Use another copy of it.") from None


def _is_sound(entry: Entry) -> bool:
    """Whether an entry stays below its root: a manifest comes from elsewhere."""
    parts = entry.path.split("/")
    is_inside = bool(entry.path) and not any(part in ("", ".", "..") for part in parts) and "\\" not in entry.path
    return is_inside and (bool(entry.link) or content.is_digest(entry.digest)) and entry.size >= 0


class Store(Protocol):
    """Where objects and manifests are kept."""

    where: str

    def prepare(self) -> None:
        """Gets ready for `put`."""

    def has(self, entry: Entry) -> bool:
        """Whether the content is there, as far as its size tells."""

    def put(self, entry: Entry, source: Path, count: Count) -> str:
        """Keeps a content; returns ``link``, ``copy`` or ``damaged``."""

    def open(self, entry: Entry) -> contextlib.AbstractContextManager[BinaryIO]:
        """The content as it was; ``FileNotFoundError`` when it is not there."""

    def set_aside(self, entry: Entry) -> None:
        """Takes a damaged object out of the way."""

    def manifests(self) -> list[str]:
        """Names of the manifests, sorted."""

    def read(self, name: str) -> Manifest:
        """One manifest."""

    def write(self, name: str, manifest: Manifest) -> None:
        """Keeps a manifest."""

    def objects(self) -> Iterable[tuple[str, int]]:
        """Digest and stored size of everything that is kept."""


def is_right(store: Store, entry: Entry, count: Count = lambda _size: None) -> bool:
    """Whether a store has the content, whole and unharmed; reads all of it."""
    try:
        with store.open(entry) as stream:
            return content.digest_of_stream(stream, entry.digest, entry.size, count) == (entry.digest, entry.size)
    except OSError:
        return False


def open_store(text: str) -> Store:
    """The store at a folder or address (``s3://bucket/path``); makes nothing.

    Raises:
        StorageError: when the address cannot be used.
    """
    if "://" in text:
        from launcher.cache.object_store import ObjectStore

        return ObjectStore(text)
    return FolderStore(Path(text).expanduser().absolute())


class FolderStore:
    """A store in a folder.

    Args:
        root: the folder.
        compress: whether new objects are compressed.
    """

    def __init__(self, root: Path, *, compress: bool = False) -> None:
        self.root, self.where = root, str(root)
        self._compress = compress
        self._staging = root / "unfinished"

    def prepare(self) -> None:
        """Makes the folder and checks it; removes what was left half done.

        Raises:
            StorageError: when it cannot be written.
        """
        make_folder(self.root, "The folder")
        check_writable(self.root, "The folder")
        content.remove_tree(self._staging)

    def path(self, digest: str, suffix: str = "") -> Path:
        """Where an object is kept."""
        return self.root / "objects" / digest[:2] / f"{digest}{suffix}"

    def has(self, entry: Entry) -> bool:
        """Whether the content is there; an object has its name only when it is whole."""
        with contextlib.suppress(OSError):
            return self.path(entry.digest).stat().st_size == entry.size
        return self.path(entry.digest, ".zst").is_file()

    def put(self, entry: Entry, source: Path, count: Count) -> str:
        """Keeps a content: compressed, as a hard link where its name is its digest, or as a verified copy."""
        if self._compress:
            return self._put_compressed(entry, source, count)
        # Only what nobody rewrites in place may share its bytes with the cache.
        linkable = source.name == entry.digest
        if linkable and not content.holds(source, entry.digest):
            return "damaged"
        return content.bring(source, self.path(entry.digest), self._staging, entry.digest, count, link=linkable)

    def _put_compressed(self, entry: Entry, source: Path, count: Count) -> str:
        import zstandard

        target = self.path(entry.digest, ".zst")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(parents=True, exist_ok=True)
        fresh = self._staging / f"{uuid.uuid4().hex}.tmp"
        try:
            squeezer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=-1)
            with source.open("rb") as reader, fresh.open("wb") as writer:
                with squeezer.stream_writer(writer, closefd=False) as squeezed:
                    while data := reader.read(_READ_BYTES):
                        squeezed.write(data)
                        count(len(data))
                writer.flush()
                os.fsync(writer.fileno())
            with fresh.open("rb") as packed, _unpacked(packed) as stream:
                digest, size = content.digest_of_stream(stream, entry.digest, entry.size)
            if (digest, size) != (entry.digest, entry.size):
                if not content.holds(source, entry.digest):
                    return "damaged"
                raise OSError(5, f"{target.name} reads back otherwise than it was written")  # EIO
            fresh.replace(target)
            return "copy"
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink()

    @contextlib.contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The content as it was."""
        plain = self.path(entry.digest)
        if plain.is_file():
            with plain.open("rb") as stream:
                yield stream
        else:
            with self.path(entry.digest, ".zst").open("rb") as packed, _unpacked(packed) as stream:
                yield stream

    def set_aside(self, entry: Entry) -> None:
        """Takes a damaged object out of the way, so that the next `put` keeps a right one."""
        for suffix in ("", ".zst"):
            path = self.path(entry.digest, suffix)
            if path.exists():
                (self.root / "damaged").mkdir(exist_ok=True)
                path.replace(self.root / "damaged" / path.name)

    def manifests(self) -> list[str]:
        """Names of the manifests, sorted."""
        return sorted(path.stem for path in (self.root / "manifests").glob("*.json"))

    def read(self, name: str) -> Manifest:
        """One manifest.

        Raises:
            StorageError: when it cannot be read.
        """
        path = self.root / "manifests" / f"{name}.json"
        try:
            return Manifest.from_json(json.loads(path.read_bytes()), str(path))
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} cannot be read ({error}).", fix="Is its disk there?") from None

    def write(self, name: str, manifest: Manifest) -> None:
        """Keeps a manifest, in one step."""
        path = self.root / "manifests" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(parents=True, exist_ok=True)
        fresh = self._staging / f"{uuid.uuid4().hex}.json"
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(manifest.to_json(), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
        content.remove_tree(self._staging)

    def objects(self) -> Iterator[tuple[str, int]]:
        """Digest and stored size of everything that is kept."""
        for path in sorted((self.root / "objects").glob("*/*")):
            yield path.name.removesuffix(".zst"), path.stat().st_size


@contextlib.contextmanager
def _unpacked(packed: BinaryIO) -> Iterator[BinaryIO]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(packed, closefd=False) as stream:
            yield stream
    except zstandard.ZstdError as error:
        raise OSError(5, f"a compressed object is damaged ({error})") from None  # EIO
