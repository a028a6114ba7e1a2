"""Which file system a path lies on, and the warning for one that forgets."""

import sys
from pathlib import Path

import pytest

from launcher.cache.layout import prepare
from launcher.cache.mounts import MOUNTINFO, file_system
from launcher.config import load

#: Shortened from real machines; the fields are those of proc_pid_mountinfo(5).
MOUNTS = """\
22 1 253:1 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
23 22 0:22 / /tmp rw,nosuid shared:2 master:1 - tmpfs tmpfs rw
24 22 8:1 / /data rw - ext4 /dev/sda1 rw
25 24 0:31 / /data/fast\\040cache rw - ramfs none rw
26 24 8:2 / /data rw - xfs /dev/sdb1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/srv/ada", ("/", "overlay")),
        ("/tmp/x/y", ("/tmp", "tmpfs")),
        ("/tmpfile", ("/", "overlay")),
        ("/data/models", ("/data", "xfs")),
        ("/data/fast cache/x", ("/data/fast cache", "ramfs")),
    ],
)
def test_the_longest_mount_point_counts_and_later_ones_cover(path: str, found: tuple[str, str]) -> None:
    assert file_system(path, MOUNTS) == found


def test_without_mounts_nothing_is_known() -> None:
    assert file_system("/x", "") == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_this_machines_own_mounts_can_be_read() -> None:
    assert file_system("/proc", MOUNTINFO.read_text()) == ("/proc", "proc")


def mount_line(point: Path, kind: str) -> str:
    escaped = str(point).replace(" ", "\\040")
    return f"30 1 0:30 / {escaped} rw - {kind} none rw\n"


@pytest.mark.parametrize(("kind", "words"), [("tmpfs", "memory"), ("ramfs", "memory"), ("overlay", "container")])
def test_a_data_folder_that_forgets_is_warned_about(tmp_path: Path, kind: str, words: str) -> None:
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path / "data")}, None, {})
    (warning,) = prepare(config, mountinfo=mount_line(tmp_path, kind))
    assert warning.message.startswith(f"LAUNCHER_DATA_DIR: {tmp_path / 'data'} lies in") and words in warning.message
    assert "Mount a disk" in warning.fix and warning.to_json() == {"message": warning.message, "fix": warning.fix}
    assert prepare(config, mountinfo=mount_line(tmp_path, "ext4")) == ()


def test_the_users_own_cache_is_warned_about_once_for_each_mount(tmp_path: Path) -> None:
    environ = {
        "LAUNCHER_DATA_DIR": str(tmp_path / "data"),
        "HF_HOME": str(tmp_path / "fast" / "hf"),
        "TORCH_HOME": str(tmp_path / "fast" / "torch"),
    }
    config = load(environ, None, {})
    text = mount_line(tmp_path, "ext4") + mount_line(tmp_path / "fast", "tmpfs")
    (warning,) = prepare(config, mountinfo=text)
    assert warning.message.startswith("HF_HOME: ")
    text = mount_line(tmp_path, "overlay") + mount_line(tmp_path / "fast", "tmpfs")
    assert [found.message.split(":")[0] for found in prepare(config, mountinfo=text)] == [
        "LAUNCHER_DATA_DIR",
        "HF_HOME",
    ]


def test_a_link_is_followed_to_where_the_files_are(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "memory")
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path / "data")}, None, {})
    assert len(prepare(config, mountinfo=mount_line(tmp_path / "memory", "tmpfs"))) == 1
