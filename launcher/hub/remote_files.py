"""What a hub says about a repository: files with their sizes and digests, at one commit.

Invariants: values only, nothing is asked for here; a path is relative, uses ``/`` and never leaves its folder; a
file's ``etag`` names its content: sha256 of a large file, git's name of a small one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Protocol

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Hash(Protocol):
    """The part of `hashlib`'s objects that is used here."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Adds bytes."""

    def hexdigest(self) -> str:
        """The digest of the bytes so far."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository.

    Attributes:
        path: inside the repository, with ``/``.
        size: in bytes.
        git_sha1: git's name of the blob (of the pointer when the file is large); empty when nobody says it.
        sha256: of the content; ``None`` for a small file.
    """

    path: str
    size: int
    git_sha1: str
    sha256: str | None = None

    @property
    def etag(self) -> str:
        """The name of the content: of its blob in the cache and of its lock."""
        return self.sha256 or self.git_sha1

    def start_hash(self) -> Hash:
        """A hash that yields `etag` once it has seen the content."""
        if self.sha256 is not None:
            return hashlib.sha256()
        # git names a blob by "blob SIZE\0" and its bytes.
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


@dataclass(frozen=True)
class RepoTree:
    """A repository at one commit, as the mirrors agree on it.

    Attributes:
        repo: ``org/name``.
        revision: what was asked for.
        commit: 40 hex digits.
        files: sorted by path.
        vouchers: addresses of those that named this commit and these files.
        rejected: addresses of those that did not, each with the reason.
        holders: addresses whose listing agrees, which may serve bytes.
        whole: whether ``files`` is all that the repository holds.
    """

    repo: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]
    vouchers: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    holders: tuple[str, ...] = ()
    whole: bool = True

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)


def kind_of(repo: str) -> tuple[str, str]:
    """``models``, ``spaces`` or ``datasets``, and ``org/name``: what is no model has its kind before its name."""
    kind, _, name = repo.partition("/")
    return (kind, name) if kind in ("spaces", "datasets") else ("models", repo)


def folder_name(repo: str) -> str:
    """The name of a repository's folder in the cache."""
    kind, name = kind_of(repo)
    return f"{kind}--{name.replace('/', '--')}"


def is_safe_path(path: str) -> bool:
    """Whether a listed path stays inside its folder on every system; a hub's word alone must not write elsewhere."""
    parts = path.split("/")
    if not path or "\0" in path or "\\" in path or any(part in ("", ".", "..") for part in parts):
        return False
    return not (PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or PureWindowsPath(path).root)
