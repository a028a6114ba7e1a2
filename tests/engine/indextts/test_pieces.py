"""The parts of the IndexTTS engines that need no package of theirs."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from launcher.errors import EngineError, SpeechError, StorageError
from launcher.hub.catalog import lookup
from tests.engine.indextts.process import write_recording
from webui.emotion import EmotionVector
from webui.engine.base import GenerationParameters, SpeechRequest
from webui.engine.glossary import apply_glossary
from webui.engine.indextts.files import INDEXTTS_2, INDEXTTS_2_5, ModelFiles, check_file, find_files, lay_out
from webui.engine.indextts.guidance import emotion_of, generation_arguments
from webui.engine.indextts.options import Options, place
from webui.engine.indextts.plan import plan_segments, tokens
from webui.engine.indextts.recordings import find_recording, stored_voices
from webui.engine.indextts.samples import SAMPLES
from webui.engine.indextts.text_emotion import LazyTextEmotion, limited_scores


def test_segments_begin_short_join_to_the_text_and_fit() -> None:
    text = "你好。今天天气很好，我们去公园看花，然后回家吃饭。The weather was fine and we walked for hours. " * 8
    segments = plan_segments(text, 120)
    assert "".join(segments) == text
    assert tokens(segments[0]) <= 24 < max(map(tokens, segments)) <= 120 * 0.8
    assert plan_segments("你好。") == ["你好。"]
    assert "".join(plan_segments("。。。好！！！ ")) == "。。。好！！！ "


def test_a_glossary_takes_the_longest_term_and_looks_at_nothing_twice() -> None:
    glossary = (("PCIe", "P C I E"), ("PCIe 5.0", "第五代"), ("E", "易"))
    assert apply_glossary("pcie 5.0 和 PCIE", glossary) == "第五代 和 P C I E"
    assert apply_glossary("a.b", (("a.b", "点"),)) == "点"
    assert apply_glossary("axb", (("a.b", "点"),)) == "axb"


def test_scores_of_a_text_are_held_within_upstreams_limit() -> None:
    assert limited_scores({"happy": 1.2}).happy == pytest.approx(0.8)
    assert limited_scores(dict.fromkeys(("happy", "sad", "calm"), 1.2)).total == pytest.approx(0.8)
    assert limited_scores({"calm": 0.3, "sad": -1.0}) == EmotionVector(calm=0.3)


def test_a_model_for_text_is_made_when_it_is_asked_and_once() -> None:
    made = []

    class Reader:
        def __init__(self, folder: str) -> None:
            made.append(folder)

        def inference(self, text: str) -> dict[str, float]:
            return {"happy": float(len(text))}

    lazy = LazyTextEmotion("a folder", Reader)
    assert made == []
    assert (lazy.inference("ab"), lazy.inference("a")) == ({"happy": 2.0}, {"happy": 1.0})
    assert made == ["a folder"]


def test_guidance_follows_the_source() -> None:
    vector = emotion_of(SpeechRequest("a", emotion=EmotionVector(happy=1), intensity=0.5, random_emotion=True))
    assert vector.arguments() == {"emo_vector": [0.8, *[0.0] * 7], "emo_alpha": 0.5, "use_random": True}
    assert emotion_of(SpeechRequest("a", emotion_reference="b", intensity=0.3)).arguments() == {"emo_alpha": 0.3}
    assert emotion_of(SpeechRequest("a", intensity=0.3)).arguments() == {"emo_alpha": 1.0}


def test_generation_has_upstreams_names() -> None:
    given = GenerationParameters(segment_tokens=80, cfg_rate=0.5, top_k=5)
    expected = {"max_text_tokens_per_segment": 80, "inference_cfg_rate": 0.5, "top_k": 5}
    assert generation_arguments(given, spectrum=True) == expected
    certain = GenerationParameters(do_sample=False, temperature=0.5)
    assert generation_arguments(certain, spectrum=True) == {"temperature": 0.5, "top_k": 1}
    with pytest.raises(SpeechError, match="cfg_rate"):
        generation_arguments(given, spectrum=False)


@pytest.mark.parametrize("needed", [INDEXTTS_2, INDEXTTS_2_5])
def test_the_files_are_those_of_the_catalog(needed: ModelFiles) -> None:
    included: dict[str, list[tuple[str, ...]]] = {}
    for part in lookup(needed.model).parts:
        included.setdefault(part.repo, []).append(part.include)
    assert set(needed.repos()) == set(included)
    for repo, names in needed.repos().items():
        everything = () in included[repo]
        assert everything or set(names) <= {name for part in included[repo] for name in part}, repo


def _hub(folder: Path, needed: ModelFiles, commit: str = "a" * 40) -> Path:
    for repo, names in needed.repos().items():
        place = folder / f"models--{repo.replace('/', '--')}"
        for name in names:
            path = place / "snapshots" / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".pth", ".pt", ".bin"):
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr("data.pkl", b"x" * 100)
            elif path.suffix == ".safetensors":
                path.write_bytes(struct.pack("<Q", 2) + b"{}")
            else:
                path.write_text("{}")
        (place / "refs").mkdir(exist_ok=True)
        (place / "refs" / "main").write_text(commit)
    return folder


def test_files_are_found_laid_out_and_laid_out_again(tmp_path: Path) -> None:
    hub = _hub(tmp_path / "hub", INDEXTTS_2)
    found = find_files(INDEXTTS_2, hub, None)
    assert found.qwen_dir is None
    layout = lay_out(found, tmp_path / "layout")
    assert lay_out(found, tmp_path / "layout") == layout
    for name in INDEXTTS_2.own:
        assert (layout / name).resolve() == (found.folder / name).resolve()
    assert (layout / "hf_cache" / "w2v-bert-2.0" / "model.safetensors").is_file()
    assert (layout / "hf_cache" / "campplus_cn_common.bin").is_file()


def test_a_snapshot_that_lacks_something_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    hub = _hub(_hub(tmp_path / "hub", INDEXTTS_2, "b" * 40), INDEXTTS_2)
    folder = hub / "models--IndexTeam--IndexTTS-2"
    (folder / "snapshots" / ("a" * 40) / "gpt.pth").unlink()
    assert find_files(INDEXTTS_2, hub, None).commits["IndexTeam/IndexTTS-2"] == "b" * 40
    (folder / "snapshots" / ("b" * 40) / "gpt.pth").unlink()
    with pytest.raises(EngineError, match=r"IndexTeam/IndexTTS-2/gpt.pth of indextts-2 is not in"):
        find_files(INDEXTTS_2, hub, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", b"PK\x03\x04 and no end"),
        ("a.pth", b"<html>not found</html>"),
        ("a.bin", b""),
        ("a.safetensors", struct.pack("<Q", 900) + b"{"),
        ("a.safetensors", struct.pack("<Q", 60) + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}      '),
        ("config.yaml", b""),
    ],
)
def test_a_damaged_file_is_known_by_its_ends(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"damaged or was cut short") as caught:
        check_file(path, INDEXTTS_2)
    assert "launcher fetch indextts-2" in caught.value.fix


def test_voices_are_files_and_paths_stay_in_their_folders(tmp_path: Path) -> None:
    voices, uploads = tmp_path / "voices", tmp_path / "uploads"
    write_recording(voices / "Lin.wav", 200)
    upload = write_recording(uploads / "mine.wav", 150)
    (voices / "notes.txt").write_text("no voice")
    assert [voice.id for voice in stored_voices(voices, ("zh",))] == ["lin", "lian", "yun", "ping", "ming", "xue"]
    first = find_recording("", voices, (voices,), "reference")
    assert find_recording("lin", voices, (voices,), "reference") == first
    assert find_recording(str(upload), voices, (voices, uploads), "reference").digest != first.digest
    for name in (str(upload), "../uploads/mine.wav", "mine"):
        with pytest.raises(SpeechError, match="no stored voice"):
            find_recording(name, voices, (voices,), "reference")
    write_recording(voices / "short.wav", 150, 0.2)
    with pytest.raises(SpeechError, match=r"lasts 0\.20 s"):
        find_recording("short", voices, (voices,), "reference")


def test_voices_come_with_the_engine_and_own_ones_take_their_place(tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    for voice in stored_voices(voices, ("zh",)):
        assert 3 <= soundfile.info(find_recording(voice.id, voices, (), "reference").path).duration <= 15
    assert voice.id == "xue" and voice.languages == ("zh",)
    assert find_recording("", voices, (), "reference") == find_recording("lian", voices, (), "reference")
    mine = write_recording(voices / "Lian.wav", 200)
    assert find_recording("lian", voices, (), "reference").path == mine.resolve()
    assert [voice.title["en"] for voice in stored_voices(voices, ("zh",))][:2] == ["Lian", "Yun, deep"]


def test_the_voices_are_those_of_the_embedded_engine() -> None:
    from webui.engine.kokoro.voices import RECIPES

    shown = [(voice.id, voice.title, voice.gender) for voice in SAMPLES]
    assert shown == [(one.voice.id, one.voice.title, one.voice.gender) for one in RECIPES]


def test_options_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    options = Options.read({"precision": "fp16", "qwen": "", "voices_dir": "/v"}, tmp_path)
    assert (options.precision, options.qwen, options.reference_dirs) == ("fp16", "auto", (Path("/v"),))
    with pytest.raises(EngineError, match="qwen='maybe'"):
        Options.read({"qwen": "maybe"}, tmp_path)


class _Card:
    """The part of torch that says what card there is."""

    __version__ = "2.10.0"
    version = SimpleNamespace(cuda="12.8")

    def __init__(self, *sizes_gb: float) -> None:
        sizes = [SimpleNamespace(total_memory=size * 1e9) for size in sizes_gb]
        self.cuda = SimpleNamespace(
            is_available=lambda: bool(sizes),
            device_count=lambda: len(sizes),
            get_device_properties=lambda device: sizes[int(device.partition(":")[2])],
        )


@pytest.mark.parametrize(
    ("size_gb", "options", "half", "text_emotion"),
    [
        (24, {}, False, True),
        (12, {}, True, True),
        (8, {}, True, False),
        (8, {"qwen": "yes", "precision": "fp32"}, False, True),
        (24, {"qwen": "no", "precision": "fp16"}, True, False),
    ],
)
def test_the_card_decides_precision_and_text_emotions(
    size_gb: float, options: dict[str, str], half: bool, text_emotion: bool
) -> None:
    placed = place(_Card(size_gb), "auto", Options.read(options, Path("/c")), "fp16")
    assert (placed.device, placed.half, placed.text_emotion) == ("cuda:0", half, text_emotion)


@pytest.mark.parametrize(
    ("sizes", "device", "said"),
    [((), "cuda:0", "no usable GPU"), ((8,), "cuda:1", "there is 1 GPU"), ((8, 8), "cuda:2", "there are 2 GPUs")],
)
def test_a_card_that_is_not_there_is_an_error(sizes: tuple[float, ...], device: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        place(_Card(*sizes), device, Options(), "fp16")
