"""A full-size IndexTTS-2 with random weights, in the layout of the Hub's cache; run by bench_preload.py --make.

    ENGINE_PYTHON scripts/bench_preload_files.py HUB_FOLDER

Invariants: the package's own classes make every tensor, so keys, shapes and dtypes are those of the real checkpoints;
every byte is written (no holes), so that reading costs what it costs; about 8 GB.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "engine" / "indextts")]

import make_tiny as tiny  # noqa: E402 - found beside the tests
import torch  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from tiny_parts import BIGVGAN, EMOTION_COUNTS, S2MEL, HubFolder, add_matrices, end_after  # noqa: E402

REPO, QWEN = tiny.REPO, tiny.QWEN
CODES, START_CODE, STOP_CODE = 8192, 8192, 8193
#: Sizes of the published config.yaml.
GPT: dict[str, Any] = {
    "max_mel_tokens": 1815,
    "max_text_tokens": 600,
    "heads": 20,
    "layers": 24,
    "number_text_tokens": 12000,
    "number_mel_codes": CODES + 2,
    "start_mel_token": START_CODE,
    "stop_mel_token": STOP_CODE,
    "condition_module": {
        "output_size": 512,
        "linear_units": 2048,
        "attention_heads": 8,
        "num_blocks": 6,
        "input_layer": "conv2d2",
        "perceiver_mult": 2,
    },
    "emo_condition_module": {
        "output_size": 512,
        "linear_units": 1024,
        "attention_heads": 4,
        "num_blocks": 4,
        "input_layer": "conv2d2",
        "perceiver_mult": 2,
    },
}
CODEC = {
    "codebook_size": CODES,
    "hidden_size": 1024,
    "codebook_dim": 8,
    "vocos_dim": 384,
    "vocos_intermediate_dim": 2048,
    "vocos_num_layers": 12,
}
VOCODER = "nvidia/bigvgan_v2_22khz_80band_256x"


def main(folder: Path) -> None:
    """Writes the whole set."""
    torch.manual_seed(7)
    hub = HubFolder(folder)
    tiny.add_tokenizer(hub)
    config = OmegaConf.create(
        {
            "dataset": {"bpe_model": "bpe.model", "sample_rate": 24000},
            "gpt": {**tiny.gpt_config(GPT["number_text_tokens"]), **GPT},
            "semantic_codec": CODEC,
            "s2mel": s2mel_config(),
            "gpt_checkpoint": "gpt.pth",
            "w2v_stat": "wav2vec2bert_stats.pt",
            "s2mel_checkpoint": "s2mel.pth",
            "emo_matrix": "feat2.pt",
            "spk_matrix": "feat1.pt",
            "emo_num": list(EMOTION_COUNTS),
            "qwen_emo_path": f"{QWEN}/",
            "vocoder": {"type": "bigvgan", "name": VOCODER},
            "version": 2.0,
        }
    )
    hub.add(REPO, "config.yaml").write_text(OmegaConf.to_yaml(config))
    add_matrices(hub, REPO, tiny.MODEL_DIM)
    for add in (add_gpt, add_s2mel, add_codec, add_vocoder, add_campplus, add_w2v_bert, add_qwen):
        add(hub, config)
        gc.collect()


def s2mel_config() -> dict[str, Any]:
    """The mel decoder's part of config.yaml."""
    return {
        **S2MEL,
        "length_regulator": {**S2MEL["length_regulator"], "channels": 512, "sampling_ratios": [1, 1, 1, 1]},
        "DiT": {**S2MEL["DiT"], "hidden_dim": 512, "num_heads": 8, "depth": 13, "content_dim": 512},
        "wavenet": {**S2MEL["wavenet"], "hidden_dim": 512, "num_layers": 8, "kernel_size": 5},
    }


def add_gpt(hub: HubFolder, config: Any) -> None:
    """Writes the language model; it says 20 codes and ends."""
    from indextts.gpt.model_v2 import UnifiedVoice

    gpt = UnifiedVoice(**config.gpt)
    end_after_codes(gpt)
    torch.save(gpt.state_dict(), hub.add(REPO, "gpt.pth"))


def end_after_codes(gpt: Any) -> None:
    """The tiny set's way to end, with this size's code numbers."""
    import tiny_parts

    tiny_parts.STOP_CODE, tiny_parts.START_CODE = STOP_CODE, START_CODE
    end_after(gpt.mel_head, gpt.mel_pos_embedding.emb)


def add_s2mel(hub: HubFolder, config: Any) -> None:
    """Writes the mel decoder."""
    from indextts.s2mel.modules.commons import MyModel

    s2mel = MyModel(config.s2mel, use_gpt_latent=True)
    nets = {name: dict(module.state_dict()) for name, module in s2mel.models.items()}
    torch.save({"net": nets}, hub.add(REPO, "s2mel.pth"))


def add_codec(hub: HubFolder, config: Any) -> None:
    """Writes the semantic codec."""
    from indextts.utils.maskgct_utils import build_semantic_codec
    from safetensors.torch import save_model

    codec = build_semantic_codec(SimpleNamespace(**CODEC))
    save_model(codec, str(hub.add("amphion/MaskGCT", "semantic_codec/model.safetensors")))


def add_vocoder(hub: HubFolder, config: Any) -> None:
    """Writes the vocoder."""
    from indextts.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts.s2mel.modules.bigvgan.env import AttrDict

    sizes = {"resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3}
    parameters = {**BIGVGAN, "upsample_initial_channel": 1536, **sizes}
    hub.add(VOCODER, "config.json").write_text(json.dumps(parameters))
    vocoder = BigVGAN(AttrDict(parameters), use_cuda_kernel=False)
    torch.save({"generator": dict(vocoder.state_dict())}, hub.add(VOCODER, "bigvgan_generator.pt"))


def add_campplus(hub: HubFolder, config: Any) -> None:
    """Writes the speaker encoder."""
    from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus

    network = CAMPPlus(feat_dim=80, embedding_size=192)
    torch.save(network.state_dict(), hub.add("funasr/campplus", "campplus_cn_common.bin"))


def add_w2v_bert(hub: HubFolder, config: Any) -> None:
    """Writes the feature network."""
    from safetensors.torch import save_file
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    repo = "facebook/w2v-bert-2.0"
    # Position keys as published; the rest are the class's own defaults.
    w2v = Wav2Vec2BertConfig(layerdrop=0.0)
    model = Wav2Vec2BertModel(w2v)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, str(hub.add(repo, "model.safetensors")), metadata={"format": "pt"})
    hub.add(repo, "config.json").write_text(json.dumps({**w2v.to_dict(), "architectures": ["Wav2Vec2BertModel"]}))
    extractor = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2)
    hub.add(repo, "preprocessor_config.json").write_text(extractor.to_json_string())


def add_qwen(hub: HubFolder, config: Any) -> None:
    """Writes the language model for emotion from text, at its published size."""
    import transformers

    plain: Callable[..., Any] = transformers.Qwen3Config
    sizes = {
        "vocab_size": 151_936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    }
    transformers.Qwen3Config = lambda **given: plain(**{**given, **sizes})
    try:
        tiny.add_qwen(hub)
    finally:
        transformers.Qwen3Config = plain


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(Path(sys.argv[1]))
