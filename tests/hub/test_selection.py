"""Which files are wanted, and how people name models."""

from __future__ import annotations

import pytest

from launcher.errors import ConfigError
from launcher.hub.catalog import catalog, lookup, needed_by
from launcher.hub.remote_files import RemoteFile, is_safe_path
from launcher.hub.selection import Selection, select

ASSETS = (
    *("config.json", "model.safetensors", "gpt.pth", "tokenizer.model", "README.md", "examples/voice_01.wav"),
    *("voices/af_heart.pt", "code/train.py", "semantic_codec/model.safetensors", "iterator/notes.txt", "logo.png"),
    *("scheduler/scheduler_config.json", "blog.md", "step_by_step.md", "model_step2.safetensors.index.json"),
)
LEFTOVERS = (
    *("events.out.tfevents.17", "runs/Jan/events.out.tfevents.1", "optimizer.pt", "a/optimizer_state.bin"),
    *("checkpoint-500/model.bin", "step_1000.pt", "logs/train.log", "training_args.bin", "rng_state_0.pth"),
    *("trainer_state.json", "global_step100/mp_rank_00.pt", "wandb/run/x.yaml", "epoch_3.ckpt"),
)


def chosen(paths: tuple[str, ...], **selection: tuple[str, ...]) -> list[str]:
    files = [RemoteFile(path, 1, "0" * 40) for path in paths]
    return [file.path for file in select(files, Selection(**selection)).files]


def test_release_assets_stay_and_leftovers_go() -> None:
    assert chosen(ASSETS) == list(ASSETS)
    assert chosen(LEFTOVERS) == []


def test_what_is_asked_for_by_name_comes() -> None:
    assert chosen(LEFTOVERS, include=("optimizer.pt", "wandb/")) == ["optimizer.pt", "wandb/run/x.yaml"]
    assert chosen(ASSETS, include=("*.json",), exclude=("scheduler/",)) == [
        "config.json",
        "model_step2.safetensors.index.json",
    ]


@pytest.mark.parametrize(
    ("name", "repo", "revision", "patterns"),
    [
        ("org/name", "org/name", "main", ()),
        ("org/name@v1.0", "org/name", "v1.0", ()),
        ("org/name@v1:*.json, voices/", "org/name", "v1", ("*.json", "voices/")),
        ("org/name:a.bin", "org/name", "main", ("a.bin",)),
    ],
)
def test_a_repository_by_its_name(name: str, repo: str, revision: str, patterns: tuple[str, ...]) -> None:
    (part,) = lookup(name).parts
    assert (part.repo, part.revision, part.include) == (repo, revision, patterns)


def test_a_name_that_is_nearly_right_gets_a_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        lookup("index-tts-3")
    assert "indextts-2" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "name"),
    [("index-tts-2.5", "indextts-2.5"), ("IndexTTS2.5", "indextts-2.5"), ("Index_TTS 2", "indextts-2")],
)
def test_a_name_is_found_however_it_is_spelled(written: str, name: str) -> None:
    assert lookup(written).name == name


def test_an_engine_needs_its_models_and_no_part_twice() -> None:
    assert [entry.name for entry in needed_by("indextts2")] == ["indextts-2"]
    assert [entry.name for entry in needed_by("indextts2.5")] == ["indextts-2.5"]
    assert needed_by("kokoro") == ()


def test_the_catalog_is_sound() -> None:
    entries = catalog()
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.parts and (entry.engines or entry.extends) and entry.title
        for part in entry.parts:
            assert part.licence
            assert all(is_safe_path(path) and size > 0 for path, size in part.sizes.items())
            files = [RemoteFile(path, size, "0" * 40) for path, size in part.sizes.items()]
            assert not select(files, Selection(part.include)).skipped
    by_name = {entry.name: entry for entry in entries}
    assert {part.repo for part in by_name["w2v-bert"].parts} < {part.repo for part in by_name["indextts-2"].parts}


@pytest.mark.parametrize("path", ["../x", "a/../b", "/a", "a//b", "C:/x", "a\\b", "", ".", "a/\0", "a/"])
def test_a_path_that_leaves_its_folder_is_none(path: str) -> None:
    assert not is_safe_path(path)
