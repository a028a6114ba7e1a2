"""What a test hub serves: files that may be generated, and repositories whose names derive from their content.

Invariants: equal content gives equal digests and commits, in every process; a generated file needs no memory, whatever
its size; a repository never changes once it is made.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

#: Files from this size on are served as the Hub serves large ones: by a redirect to the origin.
LARGE_FROM_BYTES = 100_000
_BLOCK_BYTES = 1 << 20
#: Odd, so that no two blocks of the first TiB are turned alike.
_TURN_BYTES = 4099
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class GeneratedFile:
    """A file that exists only as a rule: the same ``seed`` and offset give the same bytes.

    Every block of 1 MiB is the seed's noise, turned a little further than the block before, so that a piece at the
    wrong place is noticed.
    """

    size: int
    seed: int = 0

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; fewer at the end."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            number, start = divmod(offset, _BLOCK_BYTES)
            taken = min(_BLOCK_BYTES - start, end - offset)
            parts.append(_block_part(self.seed, number, start, taken))
            offset += taken
        return b"".join(parts)


@lru_cache(maxsize=8)
def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(_BLOCK_BYTES)


def _block_part(seed: int, number: int, start: int, length: int) -> bytes:
    noise = _noise(seed)
    begin = (start + number * _TURN_BYTES) % _BLOCK_BYTES
    part = noise[begin : begin + length]
    return part if len(part) == length else part + noise[: length - len(part)]


Content = bytes | Path | GeneratedFile


def content_size(content: Content) -> int:
    """The size in bytes."""
    if isinstance(content, GeneratedFile):
        return content.size
    return content.stat().st_size if isinstance(content, Path) else len(content)


def read_chunks(content: Content, offset: int, length: int, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes from ``offset`` on, ``length`` in all, in parts of at most ``chunk_bytes``."""
    end = min(offset + length, content_size(content))
    if isinstance(content, Path):
        with content.open("rb") as file:
            file.seek(offset)
            while offset < end and (chunk := file.read(min(chunk_bytes, end - offset))):
                offset += len(chunk)
                yield chunk
        return
    while offset < end:
        taken = min(chunk_bytes, end - offset)
        yield content.read(offset, taken) if isinstance(content, GeneratedFile) else content[offset : offset + taken]
        offset += taken


@lru_cache(maxsize=64)
def _sha256(content: Content, size: int) -> str:
    digest = hashlib.sha256()
    for chunk in read_chunks(content, 0, size):
        digest.update(chunk)
    return digest.hexdigest()


def _blob_name(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class RepoFile:
    """One file as the Hub's tree lists it.

    Attributes:
        path: inside the repository, with ``/``.
        size: in bytes.
        sha256: of the content.
        oid: git's name of the blob: the content's, or the pointer's when the file is large.
        large: kept outside git (LFS).
    """

    path: str
    size: int
    sha256: str
    oid: str
    large: bool
    content: Content

    @property
    def etag(self) -> str:
        """What the Hub names the content with: sha256 of a large file, else git's name."""
        return self.sha256 if self.large else self.oid

    def other_digest(self) -> RepoFile:
        """The same listing with digests that are not the content's."""
        return replace(self, sha256=_turned(self.sha256), oid=_turned(self.oid))


def _turned(digest: str) -> str:
    return digest[::-1] if digest != digest[::-1] else digest[1:] + digest[0]


def repo_file(path: str, content: Content, large_from_bytes: int = LARGE_FROM_BYTES) -> RepoFile:
    """The listing of ``content`` under ``path``."""
    size = content_size(content)
    sha256 = _sha256(content, size)
    large = size >= large_from_bytes
    if large:
        in_git = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    else:
        in_git = b"".join(read_chunks(content, 0, size))
    return RepoFile(path, size, sha256, _blob_name(in_git), large, content)


class Repo:
    """A model repository at one commit, and perhaps the one before.

    Args:
        files: path inside the repository to content.
        previous: what ``main`` was before; a stale mirror still serves it. Made up when it is left out.
        large_from_bytes: size from which a file is kept outside git.

    Attributes:
        files: path to its listing.
        commit: 40 hex digits made from the content.
        revisions: names that lead to this commit, besides the commit itself.
    """

    def __init__(
        self,
        files: Mapping[str, Content],
        *,
        previous: Repo | None = None,
        large_from_bytes: int = LARGE_FROM_BYTES,
        revisions: tuple[str, ...] = ("main",),
    ) -> None:
        self._contents = dict(files)
        self._previous = previous
        self._has_previous = previous is not None
        self._large_from_bytes = large_from_bytes
        self.files = {path: repo_file(path, files[path], large_from_bytes) for path in sorted(files)}
        listing = "".join(f"{file.path}\0{file.size}\0{file.sha256}\n" for file in self.files.values())
        self.commit = hashlib.sha1(listing.encode()).hexdigest()
        self.revisions = revisions

    def sha256(self, path: str) -> str:
        """The sha256 of a file."""
        return self.files[path].sha256

    def oid(self, path: str) -> str:
        """Git's name of a file's blob."""
        return self.files[path].oid

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files.values())

    @property
    def given_previous(self) -> Repo | None:
        """The repository before, when it was given and not made up."""
        return self._previous if self._has_previous else None

    @property
    def previous(self) -> Repo:
        """The repository before its last commit: the given one, or the same files with other bytes."""
        if self._previous is None:
            older = {path: _older(content) for path, content in self._contents.items()}
            self._previous = Repo(older, large_from_bytes=self._large_from_bytes, revisions=self.revisions)
        return self._previous


def _older(content: Content) -> Content:
    if isinstance(content, GeneratedFile):
        return GeneratedFile(content.size, content.seed + 1_000_003)
    return (content.read_bytes() if isinstance(content, Path) else content)[::-1] + b"\n# older\n"


def folder_contents(folder: Path) -> dict[str, Content]:
    """Every file below ``folder``, hidden folders left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path for name, path in found.items() if not any(part.startswith(".") for part in name.split("/")[:-1])
    }
