"""What a path lies on: the kind of storage, whether it lasts, whether it spins."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from launcher.cache.storage import storage_of

MOUNTS = """\
22 1 8:2 / / rw,relatime - {root} /dev/sda2 rw
"""


@pytest.mark.parametrize(
    ("filesystem", "kind", "lasts"),
    [
        ("ext4", "disk", True),
        ("xfs", "disk", True),
        ("fuseblk", "disk", True),
        ("tmpfs", "tmpfs", False),
        ("overlay", "overlay", False),
        ("nfs4", "network", True),
        ("fuse.sshfs", "network", True),
        ("virtiofs", "shared", True),
        ("squashfs", "image", True),
        ("fuse.something", "fuse", True),
    ],
)
def test_the_kind_follows_from_the_file_system(tmp_path: Path, filesystem: str, kind: str, lasts: bool) -> None:
    found = storage_of(tmp_path, mountinfo=MOUNTS.format(root=filesystem))
    assert (found.kind, found.is_persistent, found.device) == (kind, lasts, "/dev/sda2")
    assert found.total_bytes > found.free_bytes > 0
    assert found.to_json()["persistent"] is lasts


def test_options_of_the_mount(tmp_path: Path) -> None:
    found = storage_of(tmp_path, mountinfo="22 1 8:2 / / ro,noatime - ext4 /dev/sda2 rw")
    assert found.is_read_only and not found.notes_use
    assert storage_of(tmp_path, mountinfo="").kind == "unknown"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's description of its devices is Linux's")
@pytest.mark.parametrize(("text", "spins"), [("1\n", True), ("0\n", False), (None, None)])
@pytest.mark.parametrize("is_partition", [True, False])
def test_the_kernel_says_whether_a_disk_spins(
    tmp_path: Path, text: str | None, spins: bool | None, is_partition: bool
) -> None:
    disk = tmp_path / "sys" / "devices" / "sda"
    device = disk / "sda2" if is_partition else disk
    device.mkdir(parents=True)
    if text is not None:
        (disk / "queue").mkdir()
        (disk / "queue" / "rotational").write_text(text)
    number = tmp_path.stat().st_dev
    link = tmp_path / "sys" / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(device)
    assert storage_of(tmp_path, sysfs=tmp_path / "sys").rotational is spins


def test_what_is_not_there_is_judged_by_the_folder_above(tmp_path: Path) -> None:
    assert storage_of(tmp_path / "a" / "b").mount_point == storage_of(tmp_path).mount_point
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert storage_of(loop / "x").kind == storage_of(tmp_path).kind
