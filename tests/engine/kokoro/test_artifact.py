"""Files appear whole or not at all, and a failure says how much was needed and how much is free."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from launcher.errors import StorageError
from webui.engine.kokoro.artifact import LEFTOVER_AGE_S, Digest, digest_of, is_intact, publish


def test_a_published_file_is_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    seen: list[int] = []
    digest = publish(path, [b"ab", b"", b"cde"], size_bytes=5, on_bytes=seen.append)
    assert path.read_bytes() == b"abcde"
    assert digest == digest_of(path)
    assert seen == [2, 5]
    assert list(path.parent.iterdir()) == [path]


def test_a_wrong_content_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(StorageError, match="would be damaged") as caught:
        publish(path, [b"new"], size_bytes=3, expected=Digest(3, "0" * 64), mend="Reinstall it.")
    assert caught.value.fix == "Reinstall it."
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"old"]


def test_size_or_content_tell_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    digest = publish(path, [b"abcde"], size_bytes=5)
    assert is_intact(path, digest)
    path.write_bytes(b"abcdf")
    assert not is_intact(path, digest)
    path.write_bytes(b"abcd")
    assert not is_intact(path, digest)
    path.unlink()
    assert not is_intact(path, digest)


def test_more_than_the_disk_holds_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write \d+ MB to .*disk is full \(\d+ MB are free\)") as caught:
        publish(tmp_path / "file", [b"never"], size_bytes=1 << 60)
    assert "LAUNCHER_DATA_DIR" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot write 0 MB to .*file"):
        publish(tmp_path / "file" / "below", [b"x"], size_bytes=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit on file sizes")
def test_a_disk_that_fills_up_while_writing_leaves_nothing(tmp_path: Path) -> None:
    program = """
        import resource, signal, sys
        from pathlib import Path
        from launcher.errors import StorageError
        from webui.engine.kokoro.artifact import publish
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            publish(Path(sys.argv[1]) / "file", [bytes(60_000)] * 3, size_bytes=180_000)
        except StorageError as error:
            print(error.message)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=120)
    assert "cannot write" in result.stdout
    assert "MB are free" in result.stdout
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / "a.1-x.partial", tmp_path / "b.2-y.partial"
    for path in (old, young):
        path.write_bytes(b"half")
    before = time.time() - LEFTOVER_AGE_S - 60
    os.utime(old, (before, before))
    publish(tmp_path / "file", [b"x"], size_bytes=1)
    assert not old.exists()
    assert young.exists()
