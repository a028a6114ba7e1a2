"""How many threads an engine gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config import load
from launcher.engines.threads import engine_threads, usable_cores


@pytest.mark.parametrize(
    ("engine", "settings", "cores", "expected"),
    [
        ("indextts2", {}, 2, 2),
        ("indextts2.5", {}, 128, 16),
        ("kokoro", {}, 128, 4),
        ("indextts2", {"LAUNCHER_ENGINES": "2"}, 8, 4),
        ("kokoro", {"LAUNCHER_ENGINES": "4"}, 8, 2),
        ("indextts2", {"LAUNCHER_GPU": "0,1,2"}, 8, 2),
        ("indextts2", {"LAUNCHER_ENGINES": "8"}, 2, 1),
        ("indextts2", {"LAUNCHER_ENGINES": "2", "LAUNCHER_THREADS": "12"}, 2, 12),
        ("indextts2", {"OMP_NUM_THREADS": "3"}, 8, 3),
        ("indextts2", {"OMP_NUM_THREADS": "32"}, 8, 8),
        ("indextts2", {"OMP_NUM_THREADS": "4,2"}, 8, 4),
        ("indextts2", {"OMP_NUM_THREADS": "all"}, 8, 8),
    ],
)
def test_the_cores_are_shared(engine: str, settings: dict[str, str], cores: int, expected: int) -> None:
    assert engine_threads(load(settings, None, {}), engine, settings, cores=cores) == expected


@pytest.mark.parametrize(
    ("files", "membership", "quota"),
    [
        ({}, "0::/\n", None),
        ({"cpu.max": "100000 100000\n"}, "0::/\n", 1),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({"system.slice/tts.service/cpu.max": "150000 100000\n"}, "0::/system.slice/tts.service\n", 1),
        ({"cpu.max": "50000 100000\n", "a/cpu.max": "max 100000\n"}, "1:cpu:/\n0::/a\n", 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu:/\n", 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu:/\n", None),
        ({"cpu.max": "nonsense"}, "0::/\n", None),
    ],
)
def test_a_quota_counts_like_cores(tmp_path: Path, files: dict[str, str], membership: str, quota: int | None) -> None:
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(membership)
    without = usable_cores(tmp_path / "none", tmp_path / "none")
    assert without >= 1
    assert usable_cores(tmp_path / "groups", tmp_path / "membership") == (without if quota is None else quota)
