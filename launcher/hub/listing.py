"""A repository's files as the Hub and ModelScope list them, read with suspicion.

Invariants: a path that is accepted stays inside the folder that it is put into, on every system; a size is a number
that is not negative; a digest has the length that its name says. Anything else makes the whole listing worthless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from launcher.hub.remote_files import COMMIT, SHA256, RemoteFile, is_safe_path

_NEXT_LINK = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')


class BadListing(ValueError):  # noqa: N818 - it says what the listing is
    """A listing that cannot be used; its text says why, in a few words."""


def hub_files(entries: object) -> list[RemoteFile]:
    """The files of one page of the Hub's tree; folders are left out.

    Raises:
        BadListing: when it is no such page.
    """
    return [_hub_file(entry) for entry in _tables(entries) if entry.get("type") == "file"]


def _hub_file(entry: Mapping[str, Any]) -> RemoteFile:
    lfs = entry.get("lfs")
    sha256 = None
    if isinstance(lfs, Mapping):
        # Xet-backed repositories and old ones spell the digest differently.
        sha256 = _digest(lfs.get("oid") or lfs.get("sha256"), SHA256)
    size = lfs.get("size") if isinstance(lfs, Mapping) and "size" in lfs else entry.get("size")
    return RemoteFile(_path(entry.get("path")), _size(size), _digest(entry.get("oid"), COMMIT), sha256)


def modelscope_files(answer: object) -> list[RemoteFile]:
    """The files of ModelScope's listing; one without a digest is left out, because nothing could verify it.

    Raises:
        BadListing: when it is no such listing.
    """
    data = answer.get("Data") if isinstance(answer, Mapping) else None
    entries = data.get("Files") if isinstance(data, Mapping) else None
    return [
        RemoteFile(_path(entry.get("Path")), _size(entry.get("Size")), "", _digest(entry.get("Sha256"), SHA256))
        for entry in _tables(entries)
        if entry.get("Type") == "blob" and entry.get("Sha256")
    ]


def next_page(link: str) -> str:
    """The address of the following page from a ``Link`` header; empty when this is the last."""
    found = _NEXT_LINK.search(link)
    return found[1] if found else ""


def _path(value: object) -> str:
    if not isinstance(value, str) or not is_safe_path(value):
        raise BadListing(f"it names the path {value!r}, which no file may have")
    return value


def _tables(entries: object) -> Iterable[Mapping[str, Any]]:
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise BadListing("it is no list of files")
    return entries


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadListing(f"it names the size {value!r}")
    return value


def _digest(value: object, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value.lower()):
        raise BadListing(f"it names the digest {value!r}")
    return value.lower()
