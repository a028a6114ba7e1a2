"""Which file system a path lies on, and whether what is stored there lasts.

Invariants: pure; the text of ``/proc/self/mountinfo`` is an argument; a line that cannot be read is skipped.
"""

from __future__ import annotations

import re
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


def file_system(path: str, mountinfo: str) -> tuple[str, str]:
    """The mount point and type of the file system that holds the absolute ``path``; two empty texts when unknown.

    ``mountinfo`` has the format of proc_pid_mountinfo(5): the fifth field is the mount point, with octal escapes;
    the type follows the field ``-``. Later lines cover earlier ones.
    """
    best = ("", "")
    target = PurePosixPath(path)
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 6 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if target.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, after.split(" ")[0])
    return best
