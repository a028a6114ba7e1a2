"""Files read ahead, and imports without searches for garbage."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.processes import ROOT
from webui.engine.preload import importing, warm_files
from webui.engine.preload.pagecache import PIECE_BYTES, WarmUp


def files(folder: Path, *sizes: int) -> list[Path]:
    paths = []
    for index, size in enumerate(sizes):
        path = folder / f"{index}.bin"
        path.write_bytes(os.urandom(1024) * (size // 1024) + bytes(size % 1024))
        paths.append(path)
    return paths


def test_all_bytes_are_accounted_for(tmp_path: Path) -> None:
    paths = files(tmp_path, PIECE_BYTES + 5, 0, 10)
    warm_up = warm_files([*paths, paths[0], tmp_path / "missing"], threads=3)
    assert warm_up.wait(60)
    assert warm_up.total_bytes == PIECE_BYTES + 15
    assert warm_up.done_bytes == warm_up.total_bytes
    assert warm_up.read_bytes <= warm_up.total_bytes


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what is in memory")
def test_what_is_in_memory_is_not_read(tmp_path: Path) -> None:
    (path,) = files(tmp_path, 2 * PIECE_BYTES)
    path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip("this file system does not tell what is in memory")
    finally:
        os.close(descriptor)
    warm_up = warm_files([path])
    assert warm_up.wait(60)
    assert (warm_up.done_bytes, warm_up.read_bytes) == (2 * PIECE_BYTES, 0)


def test_no_more_than_the_memory_holds(tmp_path: Path) -> None:
    paths = files(tmp_path, *[PIECE_BYTES] * 4)
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    warm_up = WarmUp(paths, 1, limit_bytes=PIECE_BYTES)
    assert warm_up.wait(60)
    assert warm_up.read_bytes <= PIECE_BYTES


def test_it_can_be_stopped(tmp_path: Path) -> None:
    warm_up = warm_files(files(tmp_path, PIECE_BYTES))
    warm_up.stop()
    assert warm_up.wait(60)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with importing():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        with pytest.raises(ImportError), importing():
            raise ImportError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
        gc.unfreeze()


def test_the_package_is_light() -> None:
    code = "import sys, webui.engine.preload; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
