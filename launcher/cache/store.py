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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from launcher.cache import content
from launcher.errors import StorageError

FORMAT = 1

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
