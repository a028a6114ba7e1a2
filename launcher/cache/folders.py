"""Making folders that must be there, be writable and, some of them, be private.

Invariants: whatever is wrong with a folder is one `StorageError` that names the setting, the path and the way out;
nothing but a probe file is ever written, and it is gone afterwards; nobody else's folder is changed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from launcher.errors import StorageError

#: Below this a run file or a log line may already fail; what a model needs is checked where it is fetched.
MIN_FREE_BYTES = 1_000_000
_PROBE_BYTES = 4096

_REASONS: dict[int, tuple[str, str]] = {
    errno.EEXIST: ("is not a folder", "Move that file away"),
    errno.ENOTDIR: ("lies below a file, not a folder", "Move that file away"),
    errno.EACCES: ("is not writable", "Make it writable for you"),
    errno.EPERM: ("is not writable", "Make it writable for you"),
    errno.EROFS: ("lies on a read-only file system", "Mount it writable"),
    errno.ENOSPC: ("lies on a full disk", "Free some space"),
    getattr(errno, "EDQUOT", -1): ("is over your disk quota", "Free some space"),
    errno.ELOOP: ("goes through symbolic links in a circle", "Remove one of the links"),
    errno.ENAMETOOLONG: ("is too long", "Shorten it"),
    errno.ENOENT: ("leads to a folder that is not there", "Create that folder or mount its disk"),
}


def storage_error(error: OSError, setting: str, path: Path) -> StorageError:
    """``error`` as a sentence for people.

    Args:
        error: what the system said about ``path``.
        setting: the setting that decides about the path.
        path: the folder.
    """
    reason, fix = _REASONS.get(error.errno or 0, (f"cannot be used ({error.strerror or error})", "Check that disk"))
    return StorageError(f"{setting}: {path} {reason}.", fix=f"{fix}, or set {setting} to another folder.")


def make_folder(path: Path, setting: str) -> None:
    """Makes ``path`` and its parents.

    Raises:
        StorageError: when that is not possible, or it is there and no folder.
    """
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            path.stat()  # a link in a circle or to nowhere fails here, with the better reason
            raise
    except OSError as error:
        raise storage_error(error, setting, path) from None


def make_private_folder(path: Path, setting: str) -> bool:
    """Makes ``path`` with mode 0700; returns whether it really is closed to others.

    False comes from file systems without modes (FAT, some network and container mounts).

    Raises:
        StorageError: when it cannot be made, or is a symbolic link.
    """
    make_folder(path.parent, setting)
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if path.is_symlink():
            raise StorageError(
                f"{setting}: {path} is a symbolic link, which could lead a private folder elsewhere.",
                fix=f"Remove the link, or set {setting} to another folder.",
            )
        if not path.is_dir():
            raise OSError(errno.EEXIST, "")
        if os.name == "posix":
            with contextlib.suppress(PermissionError):
                path.chmod(0o700)
            return not path.stat().st_mode & 0o077
    except OSError as error:
        raise storage_error(error, setting, path) from None
    return True


def make_owned_folder(path: Path, setting: str) -> None:
    """Makes ``path``, mode 0700, in a folder where everybody may write, such as ``/tmp``.

    Raises:
        StorageError: when somebody else made it first, or it is a link: then what we put there could be read.
    """
    with contextlib.suppress(FileExistsError):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            raise
        except OSError as error:
            raise storage_error(error, setting, path) from None
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StorageError(
            f"{path} belongs to somebody else or is no folder.",
            fix=f"Remove it, or set {setting} to a shorter path, so that it is not needed.",
        )
    if found.st_mode & 0o077:
        path.chmod(0o700)


def private_opener(path: str, flags: int) -> int:
    """`open`'s ``opener`` for a file that nobody but its owner may read."""
    return os.open(path, flags, 0o600)


def write_probe(folder: Path) -> None:
    """Writes one block into ``folder``, in a file without a name: who is killed meanwhile leaves nothing there.

    Raises:
        OSError: what the system said.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * _PROBE_BYTES)


def check_writable(
    path: Path,
    setting: str,
    *,
    probe: Callable[[Path], None] = write_probe,
    free_bytes: Callable[[Path], int] | None = None,
) -> None:
    """Makes sure that ``path``, which is there, takes new files.

    Args:
        path: the folder.
        setting: the setting that decides about it.
        probe: writes something into it.
        free_bytes: how much room its disk has; ``None`` asks the system.

    Raises:
        StorageError: when nothing can be written or less than `MIN_FREE_BYTES` is free.
    """
    try:
        probe(path)
        free = _free_bytes(path) if free_bytes is None else free_bytes(path)
    except OSError as error:
        raise storage_error(error, setting, path) from None
    if free < MIN_FREE_BYTES:
        raise storage_error(OSError(errno.ENOSPC, "full"), setting, path)


def _free_bytes(path: Path) -> int:
    from shutil import disk_usage

    return disk_usage(path).free
