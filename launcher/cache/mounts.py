"""Which file system a path lies on, and whether what is stored there lasts.

Invariants: pure; the text of ``/proc/self/mountinfo`` is an argument; a line that cannot be read is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

#: What is lost, by file system type.
VOLATILE = {
    "tmpfs": "memory (tmpfs) and is gone after a restart of the machine",
    "ramfs": "memory (ramfs) and is gone after a restart of the machine",
    "overlay": "a container's own layer (overlay) and is gone with the container",
    "overlayfs": "a container's own layer (overlay) and is gone with the container",
    "aufs": "a container's own layer (aufs) and is gone with the container",
}
MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """One mounted file system.

    Attributes:
        point: where it is mounted.
        type: as the kernel names it, such as ``ext4`` or ``fuse.sshfs``.
        source: device or server.
        is_read_only: whether the mount or the file system takes no writes.
        notes_use: whether reading a file changes its time of last use.
    """

    point: str
    type: str
    source: str
    is_read_only: bool
    notes_use: bool = True


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount that holds the absolute ``path``; ``None`` when it is not known.

    ``mountinfo`` has the format of proc_pid_mountinfo(5): the fifth field is the mount point, with octal escapes;
    the type, the source and the file system's options follow the field ``-``. Later lines cover earlier ones.
    """
    best: Mount | None = None
    target = PurePosixPath(path)
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 6 or not after:
            continue
        point = _unescaped(fields[4])
        if target.is_relative_to(point) and (best is None or len(point) >= len(best.point)):
            kind, source, options, *_ = [*after.split(" "), "", ""]
            ours, theirs = fields[5].split(","), options.split(",")
            is_read_only = "ro" in ours or "ro" in theirs
            best = Mount(point, kind, _unescaped(source), is_read_only, "noatime" not in ours)
    return best


def file_system(path: str, mountinfo: str) -> tuple[str, str]:
    """The mount point and type of the file system that holds ``path``; two empty texts when unknown."""
    found = mount_of(path, mountinfo)
    return (found.point, found.type) if found else ("", "")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
