"""What pickles would import: found in every kind of file, however it is hidden, and never run."""

from __future__ import annotations

import collections
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from launcher.audit.pickles import Imports, scan_file


class Trap:
    """Makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def scan(tmp_path: Path, name: str, data: bytes) -> Imports:
    path = tmp_path / name
    path.write_bytes(data)
    found = scan_file(path)
    assert not (tmp_path / "sprung").exists(), "nothing may be run"
    return found


def trap(tmp_path: Path, protocol: int = 4) -> bytes:
    return pickle.dumps(Trap(tmp_path / "sprung"), protocol)


def zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    found = scan(tmp_path, "weights.pth", trap(tmp_path, protocol))
    assert {name.partition(".")[2] for name in found.dangerous} == {"mkdir"} and found.programs == 1
    data = {"a": collections.OrderedDict(x=1), "b": [1, 2.5, 3 + 4j, {"c"}], "n": np.zeros(3)}
    clean = scan(tmp_path, "clean.pkl", pickle.dumps(data, protocol))
    assert not clean.dangerous and not clean.unknown and clean.harmless and not clean.unreadable


@pytest.mark.parametrize(
    "program",
    [
        # Harmless names laid on top and taken away again before the import.
        b"\x80\x04\x8c\x02os\x8c\x06system(\x8c\x0bcollections\x8c\x0bOrderedDictK\x011\x93\x8c\x02id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x0bOrderedDict0\x93\x8c\x02id\x85R.",
        # Through the memo.
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
        # By an instruction of old pickles.
        b"(S'id'\nios\nsystem\n.",
        # The damage comes after the deed.
        b"\x80\x04cos\nsystem\n\x8c\x02id\x85R\xff\xff",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R",
    ],
)
def test_tricks(tmp_path: Path, program: bytes) -> None:
    assert scan(tmp_path, "trick.pkl", program).dangerous == {"os.system"}


def test_a_name_that_the_program_makes_itself_is_dangerous(tmp_path: Path) -> None:
    # The module's name is whatever OrderedDict() returns; reading cannot follow it.
    program = b"\x80\x04ccollections\nOrderedDict\n)R\x8c\x06system\x93."
    assert scan(tmp_path, "hidden.pkl", program).dangerous == {"builtins.<a hidden name>"}
    assert scan(tmp_path, "extension.pkl", b"\x80\x02\x82\x01.").dangerous


def test_a_second_program_behind_a_harmless_one(tmp_path: Path) -> None:
    assert scan(tmp_path, "two.pkl", pickle.dumps({"a": 1}) + trap(tmp_path)).dangerous


def test_archives(tmp_path: Path) -> None:
    torch_like = {"archive/data.pkl": pickle.dumps({"w": 1}), "archive/data/0": trap(tmp_path), "archive/version": b"3"}
    assert not scan(tmp_path, "weights.pt", zipped(torch_like)).dangerous, "a tensor's bytes are never unpickled"
    assert scan(tmp_path, "bad.pt", zipped({"archive/data.pkl": trap(tmp_path)})).dangerous
    assert scan(tmp_path, "other.bin", zipped({"anything": trap(tmp_path)})).dangerous
    assert scan(tmp_path, "cut.pt", zipped(torch_like)[:-30]).unreadable
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = len(trap(tmp_path))
        archive.addfile(info, io.BytesIO(trap(tmp_path)))
    assert scan(tmp_path, "old.tar", stream.getvalue()).dangerous


def test_arrays_of_objects(tmp_path: Path) -> None:
    for name, values in (("bad", [Trap(tmp_path / "sprung")]), ("good", [{"x": 1}])):
        stream, many = io.BytesIO(), io.BytesIO()
        np.save(stream, np.array(values, dtype=object), allow_pickle=True)
        np.savez(many, first=np.zeros(2), second=np.array(values, dtype=object))
        for suffix, data in ((".npy", stream.getvalue()), (".npz", many.getvalue())):
            found = scan(tmp_path, name + suffix, data)
            assert bool(found.dangerous) == (name == "bad") and found.programs == 1
    plain = io.BytesIO()
    np.save(plain, np.zeros(4))
    assert scan(tmp_path, "plain.npy", plain.getvalue()).programs == 0


def test_what_is_no_pickle_is_left_alone(tmp_path: Path) -> None:
    for name, data in (("a.safetensors", b"\x80\x02" + bytes(30)), ("b.txt", b"cos\nsystem\n"), ("c.bin", bytes(64))):
        assert scan(tmp_path, name, data) == Imports()


def test_a_claim_of_endless_data_costs_nothing(tmp_path: Path) -> None:
    found = scan(tmp_path, "huge.pkl", b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little"))
    assert found.unreadable and not found.programs


def test_what_torch_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"w": torch.zeros(3, dtype=torch.bfloat16), "p": torch.nn.Parameter(torch.ones(2)), "d": torch.float16}
    optimizer = torch.optim.Adam([state["p"]])
    state["p"].sum().backward()
    optimizer.step()
    for zip_format in (True, False):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=zip_format)
        found = scan(tmp_path, "weights.pth", stream.getvalue())
        assert not found.dangerous and not found.unknown and not found.unreadable
        assert "torch._utils._rebuild_tensor_v2" in found.harmless
        stream = io.BytesIO()
        torch.save({"model": state, "opt": optimizer.state_dict()}, stream, _use_new_zipfile_serialization=zip_format)
        assert "exp_avg" in scan(tmp_path, "training.pth", stream.getvalue()).strings
    stream = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), stream)
    whole = scan(tmp_path, "module.pth", stream.getvalue())
    assert whole.unknown == {"torch.nn.modules.linear.Linear"} and not whole.dangerous
