"""What a file holds: the digests by which a Hub cache names contents, and copies that are read again before they count.

Invariants: nothing appears under its final name but whole and verified, by one rename on one disk; what stood there
before is replaced only by what is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_READ_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")

Count = Callable[[int], None]


def _no_count(_size: int) -> None:
    return None


def is_digest(name: str) -> bool:
    """Whether a blob's name says what it holds: sha256 of a large file, git's name of a small one."""
    return bool(_SHA256.fullmatch(name) or _GIT_SHA1.fullmatch(name))


def digest_of(path: Path, name: str = "", count: Count = _no_count) -> str:
    """The digest of a file, of the kind that ``name`` is; sha256 without a name.

    Args:
        path: the file.
        name: a digest to compare with, which decides its kind.
        count: gets the bytes read, part by part.
    """
    with path.open("rb") as stream:
        return digest_of_stream(stream, name, path.stat().st_size, count)[0]


def digest_of_stream(stream: BinaryIO, name: str, size: int, count: Count = _no_count) -> tuple[str, int]:
    """The digest of what a stream yields, and how many bytes that were.

    Args:
        stream: read to its end.
        name: a digest to compare with, which decides its kind.
        size: how many bytes there should be; git's digests begin with it.
        count: gets the bytes read, part by part.
    """
    found = hashlib.sha256()
    if _GIT_SHA1.fullmatch(name):
        # git names a blob by "blob SIZE\0" and its bytes.
        found = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    total = 0
    while data := stream.read(_READ_BYTES):
        found.update(data)
        total += len(data)
        count(len(data))
    return found.hexdigest(), total


def holds(path: Path, name: str) -> bool:
    """Whether the file holds what its name says; False when it cannot be read."""
    try:
        return digest_of(path, name) == name
    except OSError:
        return False


def equal(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while data := first.read(_READ_BYTES):
            if data != second.read(_READ_BYTES):
                return False
    return True


def may_link(source: Path) -> bool:
    """Whether a second name is as good as a copy: the owner, who may change it, is this user, or we are root."""
    if os.name != "posix":
        return True
    return os.geteuid() in (0, source.stat().st_uid)


def bring(
    source: Path, target: Path, staging: Path, name: str = "", count: Count = _no_count, *, link: bool = True
) -> str:
    """Gives the content of ``source`` the name ``target``: a hard link where possible, else a verified copy.

    Args:
        source: a file.
        target: its new name; replaced when it is there.
        staging: a folder on the target's disk, where copies grow.
        name: the digest that the content must have when it is copied; empty when it is not known.
        count: gets the bytes copied.
        link: whether a second name will do; not for files that people edit.

    Returns:
        ``link`` or ``copy``; ``damaged`` when the source does not hold what its name says, and nothing was changed.

    Raises:
        OSError: what the system said.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging.mkdir(parents=True, exist_ok=True)
    fresh = staging / f"{uuid.uuid4().hex}.tmp"
    try:
        if link and may_link(source):
            with contextlib.suppress(OSError):
                os.link(source, fresh)
                fresh.replace(target)
                fresh.unlink(missing_ok=True)  # rename(2) leaves both names of one file as they are
                count(source.stat().st_size)
                return "link"
        if not copy_verified(source, fresh, name, count):
            return "damaged"
        fresh.replace(target)
        return "copy"
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def copy_verified(source: Path, target: Path, name: str = "", count: Count = _no_count) -> bool:
    """Copies a file, reads the copy again and compares its digest.

    Args:
        source: a file.
        target: a new one.
        name: the digest that the content must have; empty compares with the source alone.
        count: gets the bytes copied.

    Returns:
        False when the source does not hold what ``name`` says; the copy is worthless then.

    Raises:
        OSError: when it cannot be written, or is not what was written.
    """
    with source.open("rb") as reader, target.open("wb") as writer:
        while data := reader.read(_READ_BYTES):
            writer.write(data)
            count(len(data))
        writer.flush()
        os.fsync(writer.fileno())
    expected = name or digest_of(source)
    if digest_of(target, expected) != expected:
        if name and not holds(source, name):
            return False
        raise OSError(5, f"{target.name} reads back otherwise than it was written")  # EIO
    times = source.stat()
    with contextlib.suppress(OSError):  # a network file system may refuse
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return True


def point(target: Path, text: str, staging: Path, fallback: Path) -> None:
    """Makes ``target`` a symbolic link with that text; another name of ``fallback`` where links are not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging.mkdir(parents=True, exist_ok=True)
    fresh = staging / f"{uuid.uuid4().hex}.tmp"
    try:
        try:
            fresh.symlink_to(text)
        except OSError:  # FAT, some network and container mounts, Windows without the right
            try:
                os.link(fallback, fresh)
            except OSError:
                shutil.copyfile(fallback, fresh)
        fresh.replace(target)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def remove_tree(folder: Path) -> None:
    """Removes a folder with all that is in it; what cannot go stays."""
    shutil.rmtree(folder, ignore_errors=True)


def staging_folder(root: Path) -> Path:
    """A folder on ``root``'s own disk for what is on its way; a Hub cache's tools do not look there.

    It lies in ``.locks``, the only place in a Hub cache that every version of its tools skips.
    """
    return root / ".locks" / "tts-launcher"


def make_repo(hub: Path, name: str) -> None:
    """Makes a repository's folder in a Hub cache together with its ``snapshots``: tools take one without for damage."""
    if (hub / name).exists():
        (hub / name / "snapshots").mkdir(exist_ok=True)
        return
    fresh = staging_folder(hub) / f"{uuid.uuid4().hex}.tmp"
    (fresh / "snapshots").mkdir(parents=True)
    try:
        fresh.rename(hub / name)
    except OSError:
        if not (hub / name / "snapshots").is_dir():  # else somebody was quicker
            raise
        remove_tree(fresh)


def clear_staging(root: Path) -> None:
    """Removes what an interrupted command left there."""
    remove_tree(staging_folder(root))
    with contextlib.suppress(OSError):
        staging_folder(root).parent.rmdir()  # of a Hub cache it holds locks and stays
