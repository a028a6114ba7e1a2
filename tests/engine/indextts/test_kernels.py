"""The vocoder's kernel is compiled apart from the start, and taken only whole.

A package stands for upstream's: its loader calls PyTorch's extension loader the same way, for a source that any C++
compiler can make. No card is needed, so how fast the true kernel is does not show here.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.engine.indextts.kernels import Kernel

torch = pytest.importorskip("torch")

LOADER = """
import pathlib
from torch.utils import cpp_extension

def load():
    here = pathlib.Path(__file__).parent
    _create_build_dir(here / "build")
    return cpp_extension.load(name="anti_alias_activation_cuda", sources=[here / "kernel.cpp"],
                              build_directory=here / "build", extra_cflags=["-O1"], verbose=True)

def _create_build_dir(path):
    path.mkdir()
"""
SOURCE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "anti_alias_activation_cuda", "", -1, NULL};
PyMODINIT_FUNC PyInit_anti_alias_activation_cuda(void) {
    PyObject *made = PyModule_Create(&module);
    PyModule_AddIntConstant(made, "answer", 42);
    return made;
}
"""
TARGET = "torch2.8.0-sm90"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"upstream_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / "site" / name
    inner = folder / "s2mel/modules/bigvgan/alias_free_activation/cuda"
    inner.mkdir(parents=True)
    for place in (inner, *list(inner.parents)[:5]):
        if place.is_relative_to(folder):
            (place / "__init__.py").touch()
    (inner / "load.py").write_text(LOADER)
    (inner / "kernel.cpp").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{Path.cwd()}")
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def tools(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's compiler and ninja, and something by the name of the other one, which this source does not need."""
    folder.mkdir()
    (folder / "nvcc").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")


def test_it_is_compiled_by_another_process_and_taken_at_the_next_start(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools(tmp_path / "bin", monkeypatch)
    kernel = Kernel(package, tmp_path / "extensions", TARGET)
    if shutil.which("ninja") is None or shutil.which("c++") is None:
        assert "cannot be found" in kernel.why_not_compiled() and kernel.compile_later() is None
        return
    with kernel.in_place() as there:
        assert not there, "nobody waits for a compiler"
    process = kernel.compile_later()
    assert process is not None
    assert process.wait(timeout=200) == 0, (kernel.folder / "log.txt").read_text()
    assert kernel.is_ready and kernel.compile_later() is None
    loader = importlib.import_module(f"{package}.s2mel.modules.bigvgan.alias_free_activation.cuda.load")
    compiles = loader.load
    with kernel.in_place() as there:
        assert there and loader.load().answer == 42
    assert loader.load is compiles
    assert not (Path(loader.__file__).parent / "build").exists(), "the package stays as it was installed"


def test_a_damaged_one_is_left_out_and_made_anew(package: str, tmp_path: Path) -> None:
    kernel = Kernel(package, tmp_path / "extensions", TARGET)
    kernel.folder.mkdir(parents=True)
    (kernel.folder / "ready").touch()
    assert not kernel.is_ready
    (kernel.folder / "anti_alias_activation_cuda.so").write_bytes(b"\x7fELF cut off")
    assert kernel.is_ready
    with kernel.in_place() as there:
        assert not there
    assert not kernel.folder.exists()


def test_what_does_not_compile_is_tried_once(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path / "bin", monkeypatch)
    (tmp_path / "site" / package / "s2mel/modules/bigvgan/alias_free_activation/cuda/load.py").write_text(
        "from torch.utils import cpp_extension\ndef load():\n    raise RuntimeError('nvcc of another version')\n"
    )
    kernel = Kernel(package, tmp_path / "extensions", TARGET)
    for name in ("ninja", "c++"):
        if shutil.which(name) is None:
            (tmp_path / "bin" / name).symlink_to("/bin/true")
    process = kernel.compile_later()
    assert process is not None and process.wait(timeout=200) != 0
    assert "nvcc of another version" in (kernel.folder / "log.txt").read_text()
    assert "failed before" in kernel.why_not_compiled() and kernel.compile_later() is None


def test_without_tools_or_without_a_kernel_nothing_starts(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    kernel = Kernel(package, tmp_path / "extensions", TARGET)
    assert kernel.why_not_compiled() == "nvcc and ninja and c++ cannot be found"
    assert kernel.compile_later() is None
    assert Kernel("json", tmp_path, TARGET).compile_later() is None
