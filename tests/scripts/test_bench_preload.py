"""The benchmark of loading: what it compares and what it reads."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.bench_preload import differences, drop, read_all
from scripts.bench_preload_side import weight_files


def test_every_difference_is_named() -> None:
    ours = {"digests": {"gpt.a": "1", "gpt.b": "2"}, "speech": "5 samples x"}
    assert differences(ours, {"digests": {"gpt.a": "1", "gpt.b": "2"}, "speech": "5 samples x"}) == []
    upstream = {"digests": {"gpt.a": "1", "gpt.b": "3", "gpt.c": "4"}, "speech": "5 samples y"}
    assert differences(ours, upstream) == ["gpt.b", "gpt.c", "speech"]


def test_weights_are_read_in_the_order_of_their_use(tmp_path: Path) -> None:
    names = [
        "models--a--w2v-bert-2.0/snapshots/1/model.safetensors",
        "models--a--IndexTTS-2/snapshots/1/gpt.pth",
        "models--a--IndexTTS-2/snapshots/1/config.yaml",
        "models--a--IndexTTS-2/snapshots/1/qwen0.6/model.safetensors",
        "models--a--bigvgan/snapshots/1/bigvgan_generator.pt",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(5000))
    found = [path.name for path in weight_files(tmp_path, qwen=False)]
    assert found == ["gpt.pth", "model.safetensors", "bigvgan_generator.pt"]
    files = weight_files(tmp_path, qwen=True)
    assert len(files) == 4
    if hasattr(os, "posix_fadvise"):
        drop(files)
    assert read_all(files) > 0
