"""A store at an address (``s3://``, ``gs://``, ``sftp://``, ``file://``, ...), through fsspec.

Invariants: an object that has its size is whole, because such stores show an upload at its end or with a smaller size;
whoever wants to be sure reads it: ``cache backup --verify``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from launcher.cache import content
from launcher.cache.store import Count, Entry, Manifest
from launcher.errors import ConfigError, StorageError

_READ_BYTES = 1 << 20


class ObjectStore:
    """A store at ``url``.

    Raises:
        ConfigError: when nothing is installed that speaks its protocol, or it is no address.
    """

    def __init__(self, url: str) -> None:
        self.where = url.rstrip("/")
        protocol = url.partition("://")[0]
        try:
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(self.where)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{protocol}:// cannot be used: {str(error).rstrip('.')}.",
                fix="Install what speaks it, for example: pip install s3fs (s3), gcsfs (gs), paramiko (sftp).",
            ) from None
        self._sizes: dict[str, int] | None = None

    def _path(self, digest: str) -> str:
        return f"{self._root}/objects/{digest[:2]}/{digest}"

    def _call(self, what: str, *arguments: Any, **options: Any) -> Any:
        """One operation of the store; its failures, of whatever kind they are, become one sentence."""
        try:
            return getattr(self._files, what)(*arguments, **options)
        except FileNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - every driver has its own exceptions
            raise StorageError(
                f"{self.where} does not do {what} ({type(error).__name__}: {error}).",
                fix="Check its address, your credentials and the network.",
            ) from None

    def prepare(self) -> None:
        """Lists what is there, once."""
        self._sizes = dict(self.objects())

    def has(self, entry: Entry) -> bool:
        """Whether the content is there with its size."""
        if self._sizes is None:
            self.prepare()
        return (self._sizes or {}).get(entry.digest) == entry.size

    def put(self, entry: Entry, source: Path, count: Count) -> str:
        """Sends a content that is right; returns ``copy`` or ``damaged``."""
        if not content.holds(source, entry.digest):
            return "damaged"
        path = self._path(entry.digest)
        self._call("makedirs", path.rpartition("/")[0], exist_ok=True)
        self._call("put_file", str(source), path)
        if int(self._call("info", path)["size"]) != entry.size:
            raise StorageError(f"{self.where} did not keep {entry.digest} whole.", fix="Run the same command again.")
        if self._sizes is not None:
            self._sizes[entry.digest] = entry.size
        count(entry.size)
        return "copy"

    @contextlib.contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The content as it was."""
        with self._call("open", self._path(entry.digest), "rb", block_size=8 * _READ_BYTES) as stream:
            yield stream

    def set_aside(self, entry: Entry) -> None:
        """Moves a damaged object out of the way."""
        with contextlib.suppress(FileNotFoundError):
            self._call("makedirs", f"{self._root}/damaged", exist_ok=True)
            self._call("mv", self._path(entry.digest), f"{self._root}/damaged/{entry.digest}")
        if self._sizes is not None:
            self._sizes.pop(entry.digest, None)

    def manifests(self) -> list[str]:
        """Names of the manifests, sorted."""
        with contextlib.suppress(FileNotFoundError):
            paths = self._call("ls", f"{self._root}/manifests", detail=False)
            return sorted(str(path).rpartition("/")[2][:-5] for path in paths if str(path).endswith(".json"))
        return []

    def read(self, name: str) -> Manifest:
        """One manifest.

        Raises:
            StorageError: when it cannot be read.
        """
        path = f"{self._root}/manifests/{name}.json"
        try:
            return Manifest.from_json(json.loads(self._call("cat_file", path)), f"{self.where}/manifests/{name}.json")
        except (FileNotFoundError, ValueError) as error:
            raise StorageError(f"{path} cannot be read ({error}).", fix="Check the address.") from None

    def write(self, name: str, manifest: Manifest) -> None:
        """Keeps a manifest."""
        folder = f"{self._root}/manifests"
        self._call("makedirs", folder, exist_ok=True)
        self._call("pipe_file", f"{folder}/{name}.json", json.dumps(manifest.to_json()).encode())

    def objects(self) -> Iterator[tuple[str, int]]:
        """Digest and size of everything that is kept."""
        with contextlib.suppress(FileNotFoundError):
            found = self._call("find", f"{self._root}/objects", detail=True)
            for path, facts in sorted(found.items()):
                yield str(path).rpartition("/")[2], int(facts["size"])
