"""``audit`` as people run it: a verdict for each package, its reasons, where it came from, the exit code."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.audit.contents import safetensors_problem
from launcher.audit.package import merged
from launcher.hub.catalog import Part, catalog
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

ROOT = Path(__file__).parents[2]
NAME = "org/model"


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def tensors(size: int = 16) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    base |= {"PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(cwd / "data"), "PYTHONUTF8": "1", **environ}
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *arguments],
        cwd=cwd,
        env=base,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def audit(target: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    done = run("audit", target, "--json", cwd=cwd)
    (package,) = json.loads(done.stdout)["packages"]
    return done.returncode, package


def kinds(package: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["path"], one["verdict"], one["kind"]) for one in package["remarks"]}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_a_clean_folder(tmp_path: Path) -> None:
    clean = folder(tmp_path / "clean", {"config.json": b"{}", "model.safetensors": tensors(), "README.md": b"hello"})
    code, package = audit(str(clean), tmp_path)
    assert code == 0 and package["verdict"] == "clean" and not package["remarks"]
    assert "no receipt" in run("audit", str(clean), cwd=tmp_path).stdout


def test_what_does_not_belong_is_named(tmp_path: Path) -> None:
    files = {
        "model.safetensors": tensors()[:-4],
        "runs/events.out.tfevents.123": b"x",
        "optimizer.pt": b"x" * 8,
        "data/train.parquet": b"PAR1" * 4,
        "modeling.py": b"import os\n",
        "logo.png": b"\x7fELF" + bytes(60),
        "libx.so": b"\x7fELF" + bytes(60),
        "empty.bin": b"",
        "more.zip": b"PK\x05\x06" + bytes(18),
        **{f"clips/{number}.wav": b"RIFF" for number in range(25)},
    }
    path = folder(tmp_path / "messy", files)
    (path / "out.json").symlink_to("/etc/hostname")
    (path / "round").symlink_to("round")
    code, package = audit(str(path), tmp_path)
    assert code == 2 and package["verdict"] == "dangerous"
    assert kinds(package) == {
        ("model.safetensors", "suspicious", "damaged"),
        ("runs/events.out.tfevents.123", "surplus", "training"),
        ("optimizer.pt", "surplus", "training"),
        ("optimizer.pt", "suspicious", "damaged"),
        ("data/train.parquet", "surplus", "dataset"),
        ("modeling.py", "suspicious", "script"),
        ("logo.png", "dangerous", "program"),
        ("libx.so", "suspicious", "program"),
        ("empty.bin", "suspicious", "damaged"),
        ("more.zip", "surplus", "archive"),
        ("clips", "surplus", "dataset"),
        ("out.json", "suspicious", "link"),
        ("round", "suspicious", "unreadable"),
    }
    verdicts = [one["verdict"] for one in package["remarks"]]
    assert verdicts[0] == "dangerous" and verdicts[-1] == "surplus", "the worst comes first"


def test_surplus_alone_is_one(tmp_path: Path) -> None:
    path = folder(tmp_path / "logs", {"train.log": b"epoch 1", "model.safetensors": tensors()})
    code, package = audit(str(path), tmp_path)
    assert code == 1 and package["verdict"] == "surplus"


def test_a_trap_is_found_and_not_sprung(tmp_path: Path) -> None:
    path = folder(tmp_path / "trap", {"weights.pth": pickle.dumps(Trap()), "evil\x1b[2J.log": b"x"})
    done = run("audit", str(path), cwd=tmp_path)
    assert done.returncode == 2 and "would run posix.mkdir" in done.stdout.replace("nt.mkdir", "posix.mkdir")
    assert not list(tmp_path.rglob("sprung"))
    assert "\x1b" not in done.stdout, "a file's name must not command the terminal"


def test_a_fetched_model_and_its_origin(tmp_path: Path) -> None:
    files: dict[str, Content] = {"config.json": b"{}", "model.bin": GeneratedFile(300_000, seed=4)}
    repo = Repo(files)
    with HubServer({NAME: repo}) as hub:
        assert run("fetch", NAME, cwd=tmp_path, HF_ENDPOINT=hub.url).returncode == 0
        url = hub.url
    code, package = audit(NAME, tmp_path)
    assert code == 0 and package["commit"] == repo.commit and not package["unvouched"]
    assert package["hosts"] == {url: 300_002} and package["vouchers"] == [url]

    snapshot = Path(package["folder"])
    (snapshot / "added.json").write_text("{}")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").write_text('{"longer": 1}')
    code, by_path = audit(str(snapshot), tmp_path)
    assert code == 1 and by_path["name"] == NAME and by_path["unvouched"] == ["added.json"]
    assert kinds(by_path) == {("added.json", "suspicious", "foreign"), ("config.json", "suspicious", "size")}
    text = run("audit", NAME, cwd=tmp_path).stdout
    assert url in text and repo.commit[:12] in text


def test_what_the_catalog_says_of_sizes_and_files(tmp_path: Path) -> None:
    commit = "a" * 40
    root = tmp_path / "data/cache/huggingface/hub/models--funasr--campplus"
    folder(root / "snapshots" / commit, {"campplus_cn_common.bin": b"short", "else.json": b"{}", "README.md": b"hi"})
    code, package = audit("campplus", tmp_path)
    assert code == 1 and package["commit"] == commit
    assert kinds(package) == {
        ("campplus_cn_common.bin", "suspicious", "size"),
        ("else.json", "surplus", "unexpected"),
    }


def test_what_is_not_here(tmp_path: Path) -> None:
    done = run("audit", "bigvgan", cwd=tmp_path)
    assert done.returncode == 10 and "fetch bigvgan" in done.stderr
    assert run("audit", "./absent", cwd=tmp_path).returncode == 2
    everything = run("audit", cwd=tmp_path)
    assert everything.returncode == 0 and "No model" in everything.stdout


@pytest.mark.parametrize(
    "data",
    [
        tensors() + b"more",
        tensors()[:-1],
        b"\xff" * 40,
        (5).to_bytes(8, "little") + b"[1,2]",
        (2).to_bytes(8, "little") + b"{}x",
    ],
)
def test_broken_safetensors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    assert safetensors_problem(path, len(data))
    path.write_bytes(tensors())
    assert not safetensors_problem(path, len(tensors()))


def test_what_two_models_need_of_one_repository_is_needed() -> None:
    one, two = Part("org/a", include=("a",), sizes={"a": 1}), Part("org/a", include=("b",), sizes={"b": 2})
    assert merged([one, two, Part("org/c")]) == [
        Part("org/a", include=("a", "b"), sizes={"a": 1, "b": 2}),
        Part("org/c"),
    ]
    assert merged([one, Part("org/a")])[0].include == ()
    for entry in catalog():
        assert len({part.repo for part in merged(entry.parts)}) == len(merged(entry.parts))
