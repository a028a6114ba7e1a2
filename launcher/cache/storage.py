"""What kind of storage a path lies on: does it last, is it local, does it spin, how much room is left.

Invariants: never raises; a path that is not there yet is judged by the nearest folder above it that is; what cannot
be found out is ``unknown``, ``None`` or empty, never a guess.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.cache.mounts import MOUNTINFO, VOLATILE, Mount, mount_of

#: File systems that live on another machine; SoftFileLease instead of flock, and every look costs a round trip.
_NETWORK = frozenset(("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"))
_NETWORK_FUSE = frozenset(("sshfs", "s3fs", "rclone", "gcsfuse", "glusterfs", "juicefs", "geesefs"))
#: Folders of a host, seen from its virtual machine.
_SHARED = frozenset(("9p", "virtiofs", "vboxsf", "drvfs", "fuse.vmhgfs-fuse", "fakeowner", "fuse.grpcfuse"))
#: Images that nobody can write.
_IMAGES = frozenset(("squashfs", "erofs", "iso9660", "cramfs"))
_SYSFS = Path("/sys")
_MEANINGS = {
    "disk": "persistent disk",
    "tmpfs": "memory: gone after a restart of the machine",
    "overlay": "a container's own layer: gone with the container",
    "network": "network file system",
    "shared": "folder of the host",
    "image": "read-only image",
    "fuse": "file system in user space",
    "unknown": "not known",
}


@dataclass(frozen=True)
class Storage:
    """Where a path really is.

    Attributes:
        kind: ``disk``, ``tmpfs``, ``overlay``, ``network``, ``shared`` (a folder of the host), ``image`` (read-only),
            ``fuse`` or ``unknown``.
        filesystem: its type, such as ``ext4``; empty when not known.
        device: device or server; empty when not known.
        mount_point: where it is mounted; empty when not known.
        rotational: whether it is a spinning disk; ``None`` when nobody says so.
        total_bytes, free_bytes: its size and what is free for this user; 0 when not known.
        is_read_only: whether it takes no writes.
        notes_use: whether it notes when a file is read.
    """

    kind: str
    filesystem: str = ""
    device: str = ""
    mount_point: str = ""
    rotational: bool | None = None
    total_bytes: int = 0
    free_bytes: int = 0
    is_read_only: bool = False
    notes_use: bool = True

    @property
    def is_persistent(self) -> bool:
        """Whether what is written there is there after a restart, as far as anybody can tell."""
        return self.kind not in ("tmpfs", "overlay")

    @property
    def meaning(self) -> str:
        """The kind in words."""
        return _MEANINGS[self.kind]

    def to_json(self) -> dict[str, Any]:
        """The value as JSON."""
        return {**asdict(self), "persistent": self.is_persistent}


def storage_of(path: Path, *, mountinfo: str | None = None, sysfs: Path = _SYSFS) -> Storage:
    """What ``path`` lies on.

    Args:
        path: absolute or relative; need not exist.
        mountinfo: text of ``/proc/self/mountinfo``; ``None`` reads it.
        sysfs: where the kernel describes its devices.
    """
    there = nearest_folder(path)
    total = free = 0
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(there)
        total, free = usage.total, usage.free
    mount = _mount(there, mountinfo)
    if mount is None:
        return Storage("unknown", total_bytes=total, free_bytes=free)
    return Storage(
        _kind(mount.type),
        mount.type,
        mount.source,
        mount.point,
        _is_rotational(there, sysfs),
        total,
        free,
        mount.is_read_only,
        mount.notes_use,
    )


def nearest_folder(path: Path) -> Path:
    """``path`` with its links followed, or the nearest folder above it that is there."""
    try:
        current = path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        current = path.absolute().parent
    while not current.exists() and current != current.parent:
        current = current.parent
    return current


def _mount(path: Path, mountinfo: str | None) -> Mount | None:
    if mountinfo is None and MOUNTINFO.exists():
        with contextlib.suppress(OSError):
            mountinfo = MOUNTINFO.read_text(encoding="utf-8", errors="replace")
    if mountinfo is not None:
        return mount_of(str(path), mountinfo)
    import psutil  # 20 ms, which Linux does without

    best: Mount | None = None
    for part in psutil.disk_partitions(all=True):
        if path.is_relative_to(part.mountpoint) and (best is None or len(part.mountpoint) >= len(best.point)):
            kind = "nfs" if "remote" in part.opts.split(",") else part.fstype
            best = Mount(part.mountpoint, kind.lower(), part.device, "ro" in part.opts.split(","))
    return best


def _kind(filesystem: str) -> str:
    if filesystem in VOLATILE:
        return "overlay" if "layer" in VOLATILE[filesystem] else "tmpfs"
    if filesystem in _NETWORK or filesystem.removeprefix("fuse.") in _NETWORK_FUSE:
        return "network"
    if filesystem in _SHARED:
        return "shared"
    if filesystem in _IMAGES:
        return "image"
    if filesystem.startswith("fuse") and filesystem != "fuseblk":
        return "fuse"
    return "disk" if filesystem else "unknown"


def _is_rotational(path: Path, sysfs: Path) -> bool | None:
    """What the kernel says about the disk that holds ``path``; a partition's answer stands at its disk."""
    if not hasattr(os, "major"):
        return None
    try:
        number = path.stat().st_dev
        device = (sysfs / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    for folder in (device, device.parent):
        with contextlib.suppress(OSError):
            return (folder / "queue" / "rotational").read_text(encoding="ascii").strip() == "1"
    return None
