"""The old script's flags."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from launcher.cli.app import Context
from launcher.cli.output import Output
from launcher.cli.start_app import about_folder, translate
from launcher.config import load
from launcher.errors import ConfigError


def test_old_flags_become_settings() -> None:
    done = translate(
        ["--port", "7861", "--host=127.0.0.1", "--gpu", "1", "--model_dir", "checkpoints", "--fp16", "--verbose"]
    )
    assert done.settings == {
        "LAUNCHER_PORT": "7861",
        "LAUNCHER_HOST": "127.0.0.1",
        "LAUNCHER_DEVICE": "cuda:1",
        "LAUNCHER_MODEL_DIR": "checkpoints",
        "LAUNCHER_PRECISION": "fp16",
        "LAUNCHER_LOG_LEVEL": "debug",
    }
    load({**done.settings, "LAUNCHER_DATA_DIR": "/nonexistent"}, None, {})  # all of them are settings


@pytest.mark.parametrize(
    ("flags", "device"),
    [(["--gpu"], "cuda:0"), (["--gpu=2"], "cuda:2"), (["--gpu", "--fp16"], "cuda:0"), (["--cpu"], "cpu")],
)
def test_gpu_with_and_without_a_number(flags: list[str], device: str) -> None:
    assert translate(flags).settings["LAUNCHER_DEVICE"] == device


def test_what_has_no_meaning_any_more_is_named() -> None:
    done = translate(["--deepspeed", "--gui_seg_tokens", "120", "--cuda_kernel"])
    assert not done.settings
    assert [remark.split()[0] for remark in done.remarks] == ["--deepspeed", "--gui_seg_tokens", "--cuda_kernel"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prot", "1"], "'--prot'"),
        (["--port"], "needs a value"),
        (["--port", "--cpu"], "needs a value"),
        (["--share"], "internet"),
    ],
)
def test_what_is_wrong_is_refused(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        translate(flags)


def test_a_folder_with_a_page_of_its_own_is_named(tmp_path: Path) -> None:
    (tmp_path / "indextts").mkdir()
    for name in ("webui.py", "indextts/infer_v2_5.py"):
        (tmp_path / name).touch()
    output = Output(json=False, stdout=io.StringIO(), stderr=io.StringIO(), stdin=io.StringIO())
    context = Context(output, {"LAUNCHER_DATA_DIR": str(tmp_path / "data")})
    assert ["start --app index-tts" in text for text in about_folder(context, {}, tmp_path)] == [True]
    assert about_folder(context, {"LAUNCHER_APP": "heygem"}, tmp_path) == []
    assert about_folder(context, {}, tmp_path / "indextts") == []
