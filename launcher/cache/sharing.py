"""Several users, one cache: every folder belongs to a group, hands that on to what is made in it, and takes new files.

The group and the right to write pass on by the set-group-ID bit; where the file system knows them, default access
lists see to it that no user's umask takes the right away again, and elsewhere our own processes set theirs.

Invariants: only what belongs to the user who asks is changed, and it never gets fewer rights; tokens are never opened.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import ConfigError, StorageError

_FOLDER_BITS = stat.S_ISGID | stat.S_IRWXG
_READ = stat.S_IRGRP
#: Contents are named by their digest, nobody has to write into them; these are small and are rewritten.
_REWRITTEN = frozenset({"refs", "trees", ".receipts", ".locks", ".partial"})
#: acl(5) as the kernel keeps it: version 2, then tag, permission, id; user rwx, group rwx, others r-x.
_DEFAULT_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permission, 0xFFFFFFFF) for tag, permission in ((0x01, 7), (0x04, 7), (0x20, 5))
)
_ACL_NAME = "system.posix_acl_default"


@dataclass
class Shared:
    """What sharing did.

    Attributes:
        folders, files: how many belong to the group now.
        foreign: names that belong to other users, who have to share them themselves.
        has_acl: whether new files get the group's rights whatever the umask of their writer.
    """

    folders: int = 0
    files: int = 0
    foreign: int = 0
    has_acl: bool = True


def group_id(name: str) -> int:
    """The number of a group.

    Raises:
        ConfigError: when there is none of that name, or this system has no groups.
    """
    try:
        import grp
    except ImportError:
        raise ConfigError(
            "This system has no groups that files belong to.", fix="Give each user the right by hand."
        ) from None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdecimal():
            return int(name)
        raise ConfigError(
            f"There is no group {name!r} on this machine.", fix=f"Make it (groupadd {name}) and add its users."
        ) from None


def share(trees: Iterable[Path], above: Iterable[Path], group: int) -> Shared:
    """Opens folders to a group.

    Args:
        trees: folders that are shared with all that is in them.
        above: folders that lead there: the group may enter them, list them and add to them.
        group: its number.

    Raises:
        StorageError: when the group may not be given, because the user is not in it.
    """
    done = Shared()
    for folder in above:
        _share_folder(folder, group, done)
    for tree in trees:
        for parent, _folders, files in os.walk(tree):
            _share_folder(Path(parent), group, done)
            for name in files:
                _share_file(Path(parent) / name, group, done)
    return done


def _share_folder(folder: Path, group: int, done: Shared) -> None:
    facts = folder.stat()
    if facts.st_uid != os.geteuid() and os.geteuid() != 0:
        done.foreign += 1
        return
    _give(folder, group)
    folder.chmod(stat.S_IMODE(facts.st_mode) | _FOLDER_BITS)
    try:
        os.setxattr(folder, _ACL_NAME, _DEFAULT_ACL)
    except (OSError, AttributeError):  # not Linux, or a file system without access lists
        done.has_acl = False
    done.folders += 1


def _share_file(path: Path, group: int, done: Shared) -> None:
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        return
    if facts.st_uid != os.geteuid() and os.geteuid() != 0:
        done.foreign += 1
        return
    _give(path, group)
    bits = _READ | (stat.S_IWGRP if _REWRITTEN.intersection(path.parts) else 0)
    path.chmod(stat.S_IMODE(facts.st_mode) | bits)
    done.files += 1


def _give(path: Path, group: int) -> None:
    try:
        os.chown(path, -1, group)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be given to the group ({error.strerror}).",
            fix="Join the group (and log in again), or run this as an administrator.",
        ) from None


def is_shared(folder: Path) -> bool:
    """Whether a folder was opened to a group."""
    try:
        return stat.S_IMODE(folder.stat().st_mode) & _FOLDER_BITS == _FOLDER_BITS
    except OSError:
        return False


def adopt_umask(*folders: Path) -> None:
    """Lets this process and its children make files that the group may write, when one of the folders is shared."""
    if os.name == "posix" and any(is_shared(folder) for folder in folders):
        mask = os.umask(0o022)
        os.umask(mask & ~stat.S_IRWXG)
