"""What an engine says when it cannot be loaded, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import HUB, OPTIONS, make

from launcher.errors import EngineError, LauncherError, StorageError
from webui.engine.indextts import upstream

REPOS = {"indextts2": "IndexTeam/IndexTTS-2", "indextts2.5": "IndexTeam/IndexTTS-2.5"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache of one's own: links to the tiny files, which may be replaced one by one."""
    copy = tmp_path / "hub"
    for source in HUB.rglob("*"):
        target = copy / source.relative_to(HUB)
        if source.is_dir() and not source.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        elif "snapshots" in source.parts:
            target.symlink_to(source.resolve())
        elif "refs" in source.parts:
            shutil.copy(source, target)
    monkeypatch.setenv("HF_HUB_CACHE", str(copy))
    return copy


def the_file(hub: Path, repo: str, name: str) -> Path:
    return next((hub / f"models--{repo.replace('/', '--')}" / "snapshots").glob(f"*/{name}"))


def refused(engine: Any) -> LauncherError:
    with pytest.raises(LauncherError) as caught:
        engine.load(lambda _progress: None)
    assert engine._speaker is None
    assert "\n" not in caught.value.message
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("name", ["indextts2", "indextts2.5"])
def test_missing_files_are_named_with_how_to_get_them(name: str, hub: Path) -> None:
    the_file(hub, REPOS[name], "gpt.pth").unlink()
    the_file(hub, "funasr/campplus", "campplus_cn_common.bin").unlink()
    error = refused(make(name))
    assert isinstance(error, EngineError)
    assert "gpt.pth and 1 more" in error.message
    assert f"launcher fetch indextts-{name.removeprefix('indextts')}" in error.fix


def _cut(path: Path) -> None:
    data = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("repo", "name"),
    [
        ("IndexTeam/IndexTTS-2", "gpt.pth"),
        ("IndexTeam/IndexTTS-2", "feat1.pt"),
        ("facebook/w2v-bert-2.0", "model.safetensors"),
        ("funasr/campplus", "campplus_cn_common.bin"),
    ],
)
def test_a_truncated_checkpoint_is_named_before_anything_is_built(repo: str, name: str, hub: Path) -> None:
    _cut(the_file(hub, repo, name))
    error = refused(make("indextts2"))
    assert isinstance(error, StorageError)
    assert name in error.message
    assert "cut short" in error.message


def _change(path: Path, change: Callable[[Any], None], **saving: Any) -> None:
    value = torch.load(path, weights_only=True)
    change(value)
    path.unlink()
    torch.save(value, path, **saving)


@pytest.mark.parametrize("name", ["indextts2", "indextts2.5"])
def test_a_tensor_of_another_shape_names_its_file(name: str, hub: Path) -> None:
    def widen(state: Any) -> None:
        state["final_norm.weight"] = torch.ones(7)

    _change(the_file(hub, REPOS[name], "gpt.pth"), widen)
    error = refused(make(name))
    assert "gpt.pth" in error.message
    assert "final_norm.weight" in error.message
    assert "launcher fetch" in error.fix


def test_a_mel_decoder_of_another_shape_is_no_noise(hub: Path) -> None:
    def widen(state: Any) -> None:
        state["net"]["cfm"]["estimator.conv1.weight"] = torch.ones(3, 3)

    _change(the_file(hub, REPOS["indextts2"], "s2mel.pth"), widen)
    error = refused(make("indextts2"))
    assert "s2mel.pth" in error.message
    assert "estimator.conv1.weight" in error.message


def test_a_checkpoint_in_the_format_of_old_torch_loads(hub: Path) -> None:
    _change(the_file(hub, REPOS["indextts2.5"], "feat1.pt"), lambda _: None, _use_new_zipfile_serialization=False)
    engine = make("indextts2.5")
    engine.load(lambda _progress: None)
    engine.unload()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("device", "said"), [("cuda:0", "built for the CPU"), ("cuda", "cuda"), ("tpu", "not known")])
def test_a_gpu_that_is_not_there(device: str, said: str) -> None:
    error = refused(make("indextts2", device=device))
    assert said in error.message


def test_a_half_precision_that_the_model_has_not() -> None:
    assert "bf16" in refused(make("indextts2", options={**OPTIONS, "precision": "bf16"})).message


def test_a_package_that_is_not_there_and_one_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = upstream.Upstream("indextts2", "no_such_package.infer", "no-such-package", "fp16", 1.0)
    monkeypatch.setattr(upstream, "PACKAGE_2", absent)
    error = refused(make("indextts2"))
    assert "no-such-package is not installed" in error.message
    assert "launcher engine install indextts2" in error.fix
    monkeypatch.undo()
    stale = upstream.Upstream("indextts2", "indextts.infer_v2", "indextts2-inference", "fp16", 1.0, "5.0")
    monkeypatch.setattr(upstream, "PACKAGE_2", stale)
    error = refused(make("indextts2"))
    assert "transformers" in error.message
    assert "--reinstall" in error.fix


def test_an_unknown_option_names_the_choices() -> None:
    with pytest.raises(EngineError, match="precision='fp8'") as caught:
        make("indextts2", options={"precision": "fp8"})
    assert "fp16" in caught.value.fix


def test_a_folder_in_upstreams_layout_needs_no_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webui.engine.indextts.files import INDEXTTS_2_5, find_files, lay_out

    folder = lay_out(find_files(INDEXTTS_2_5, HUB, None), tmp_path / "laid-out")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    engine = make("indextts2.5", options={**OPTIONS, "model_dir": str(folder)})
    engine.load(lambda _progress: None)
    assert Path(engine._speaker.instance.model_dir).is_relative_to(engine._cache_dir)
    engine.unload()


def test_a_checkout_that_moves_the_cache_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for upstream's checkout: the same file, argument names and line 4, over the package's class."""
    package = tmp_path / "checkout" / "indextts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "infer_v2_5.py").write_text(
        "import os\n\n\nos.environ['HF_HUB_CACHE'] = './checkpoints/hf_cache'\n"
        "from indextts25.infer_v2_5 import IndexTTS2 as Base, _audio_key\n\n\n"
        "class IndexTTS2(Base):\n"
        "    def __init__(self, cfg_path='checkpoints/config.yaml', model_dir='checkpoints', use_bf16=False,\n"
        "                 device=None, use_cuda_kernel=None, use_qwen_emo=False):\n"
        "        super().__init__(cfg_path, model_dir, use_bf16, device)\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "indextts"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("HF_HUB_CACHE", str(HUB))
    monkeypatch.chdir(tmp_path)
    engine = make("indextts2.5", options={**OPTIONS, "engine_dir": str(tmp_path / "checkout")})
    engine.load(lambda _progress: None)
    assert type(engine._speaker.instance).__module__ == "indextts.infer_v2_5"
    assert os.environ["HF_HUB_CACHE"] == str(HUB)
    assert not (tmp_path / "checkpoints").exists()
    engine.unload()
    for name in [name for name in sys.modules if name.partition(".")[0] == "indextts"]:
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    error = refused(make("indextts2", options={**OPTIONS, "engine_dir": str(tmp_path)}))
    assert "is no checkout of indextts2" in error.message
    assert "LAUNCHER_ENGINE_DIR" in error.fix
