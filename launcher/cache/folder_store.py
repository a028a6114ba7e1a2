"""A store in a folder: plain objects (hard links where that is safe) or compressed ones, each read back first.

Invariants: an object appears under its name by one rename, when it is whole and right; what is half done lies in
``unfinished``, which the next run empties.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from launcher.cache import content
from launcher.cache.folders import check_writable, make_folder
from launcher.cache.object_store import ObjectStore
from launcher.cache.store import Count, Entry, Manifest, Store
from launcher.config.home import whole_path
from launcher.errors import StorageError

_READ_BYTES = 1 << 20
#: zstd's own default; higher levels gain little on weights.
_LEVEL = 3


def open_store(text: str) -> Store:
    """The store at a folder or address (``s3://bucket/path``); makes nothing.

    Raises:
        StorageError: when the address cannot be used.
    """
    if "://" in text:
        return ObjectStore(text)
    return FolderStore(whole_path(text))


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
        make_folder(self.root, "DIR")
        check_writable(self.root, "DIR")
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
