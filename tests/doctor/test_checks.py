"""Single checks on machines that are not at hand: GPUs, disks, locks."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from launcher.cache.storage import Storage
from launcher.config import load
from launcher.doctor import Ground, exit_code
from launcher.doctor.disks import check_disk_kind, check_free_space
from launcher.doctor.examination import examine
from launcher.doctor.finding import Finding
from launcher.doctor.graphics import cards, check_driver, check_gpu, check_vram
from launcher.doctor.software import check_packages, check_python, locked_versions, requirements
from launcher.engines.gpu import Gpu, Holder
from launcher.errors import StorageError

ROOT = Path(__file__).parents[2]
CARD = Gpu(0, "Test 24 GB", "550.54", 24 * 10**9, 20 * 10**9, (Holder(1, 4 * 10**9),))


def ground(tmp_path: Path, source: Path = ROOT, **settings: str) -> Ground:
    environ = {"LAUNCHER_DATA_DIR": str(tmp_path / "data"), **settings}
    empty = tmp_path / "empty.env"
    empty.touch()
    return Ground(load(environ, empty, {}), network=False, project_dirs=(), source=source)


def test_no_gpu_is_no_fault_unless_one_is_asked_for(tmp_path: Path) -> None:
    assert check_gpu(ground(tmp_path), (), 0).state == "ok"
    assert check_gpu(ground(tmp_path, LAUNCHER_DEVICE="cuda:0"), (), 0).state == "failed"
    plugged = check_gpu(ground(tmp_path), (), 1)
    assert plugged.state == "warning" and "driver" in plugged.fix


def test_gpus_drivers_and_who_holds_the_memory(tmp_path: Path) -> None:
    here = ground(tmp_path)
    assert "Test 24 GB" in check_gpu(here, (CARD,)).detail
    assert check_gpu(ground(tmp_path, LAUNCHER_DEVICE="cuda:3"), (CARD,)).state == "failed"
    assert check_driver(here, (CARD,)).state == "ok"
    old = Gpu(0, "Old", "470.10", 8 * 10**9, 10**9)
    assert check_driver(here, (old,)).state == "warning"
    assert check_driver(ground(tmp_path, LAUNCHER_DEVICE="cuda:0"), (old,)).state == "failed"
    assert check_vram(here, (old,)).state == "warning"
    memory = check_vram(here, (CARD,))
    assert memory.state == "ok" and "held by pid 1" in memory.detail and "4.0 GB" in memory.detail
    assert check_driver(here, ()).state == check_vram(here, ()).state == "ok"


def test_cards_are_counted_without_a_driver(tmp_path: Path) -> None:
    for name, vendor, kind in (("a", "0x10de", "0x030000"), ("b", "0x8086", "0x030000"), ("c", "0x10de", "0x040300")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert cards(tmp_path) == (1 if sys.platform == "linux" else 0)
    assert cards(tmp_path / "absent") == 0


@pytest.mark.parametrize(("free", "state"), [(50e9, "ok"), (9e9, "warning"), (1e8, "failed")])
def test_room_for_models(tmp_path: Path, free: float, state: str) -> None:
    storage = Storage("disk", "ext4", total_bytes=10**11, free_bytes=int(free))
    assert check_free_space(ground(tmp_path), storage).state == state


@pytest.mark.parametrize(
    ("storage", "state"),
    [
        (Storage("disk", "ext4", "/dev/nvme0n1", rotational=False), "ok"),
        (Storage("disk", "ext4", "/dev/sda", rotational=True), "warning"),
        (Storage("disk", "ext4", "/dev/vda", rotational=True), "ok"),
        (Storage("network", "nfs4", "server:/models"), "warning"),
        (Storage("unknown"), "ok"),
    ],
)
def test_kinds_of_disks(tmp_path: Path, storage: Storage, state: str) -> None:
    found = check_disk_kind(ground(tmp_path), storage)
    assert found.state == state and bool(found.fix) == (state != "ok")


def project(folder: Path, *needs: str) -> Path:
    lines = ",".join(f'"{need}"' for need in needs)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "tts-launcher"\ndependencies = [{lines}]\n')
    return folder


def test_packages_are_compared_with_what_is_needed_and_locked(tmp_path: Path) -> None:
    click = metadata.version("click")
    source = project(tmp_path, "click>=8", "never-there==1; python_version < '3'")
    assert check_packages(ground(tmp_path, source)).state == "ok"
    (tmp_path / "locks").mkdir()
    lock = tmp_path / "locks" / "start.txt"
    lock.write_text(f"# a lock\nclick=={click} ; python_version > '3' \\\n    --hash=sha256:00\nabsent==1 \\\n")
    assert dict(locked_versions(lock)) == {"click": click, "absent": "1"}
    assert "as locked" in check_packages(ground(tmp_path, source)).detail
    lock.write_text("click==0.0.1\n")
    other = check_packages(ground(tmp_path, source))
    assert other.state == "warning" and f"click {click} (lock: 0.0.1)" in other.detail
    assert check_packages(ground(tmp_path, project(tmp_path, "click<1"))).state == "failed"
    missing = check_packages(ground(tmp_path, project(tmp_path, "never-there")))
    assert missing.state == "failed" and "never-there" in missing.detail
    assert any(text.startswith("click") for text in requirements(ROOT))


def test_this_python_is_looked_at(tmp_path: Path) -> None:
    found = check_python(ground(tmp_path))
    assert sys.executable in found.detail and found.state in ("ok", "warning")


def test_a_check_that_breaks_is_one_line(tmp_path: Path) -> None:
    def breaks(ground: Ground) -> Finding:
        raise ZeroDivisionError("odd machine")

    def fails(ground: Ground) -> Finding:
        raise StorageError("The disk is gone.", fix="Mount it.")

    found = examine(ground(tmp_path), {"Odd": breaks, "Disk": fails})
    assert [(one.check, one.state) for one in found[:2]] == [("Odd", "warning"), ("Disk", "failed")]
    assert "odd machine" in found[0].detail and found[1].fix == "Mount it."
    assert exit_code(found) == 2 and exit_code([]) == 0
