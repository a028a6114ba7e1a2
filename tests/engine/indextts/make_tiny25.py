"""Adds a tiny but structurally real IndexTTS-2.5 to a Hub cache; needs ``indextts25-inference``.

What it shares with IndexTTS-2 (w2v-bert, CAMPPlus, BigVGAN) is written by `make_tiny`, as on the real Hub.
"""

from __future__ import annotations

import base64
from typing import Any

import torch
from omegaconf import OmegaConf
from tiny_parts import (
    CODES,
    EMOTION_COUNTS,
    FEATURES,
    S2MEL,
    START_CODE,
    STOP_CODE,
    HubFolder,
    add_matrices,
    end_after,
    save_torch,
    split_weight_norm,
)

REPO, TOKENIZER = "IndexTeam/IndexTTS-2.5", "multilingual_zh_ja_yue_char_del"
MODEL_DIM = 64
CODEC: dict[str, Any] = {
    "codebook_size": CODES,
    "hidden_size": FEATURES,
    "codebook_dim": 8,
    "vocos_dim": 16,
    "vocos_intermediate_dim": 16,
    "vocos_num_layers": 1,
}


def add_model(hub: HubFolder) -> None:
    """Writes the model's own repository."""
    from indextts25.codec.models import EnhancedCodec
    from indextts25.gpt.model_v2 import UnifiedVoice
    from indextts25.s2mel.modules.commons import MyModel

    config = OmegaConf.create(_config(_add_tokenizer(hub)))
    hub.add(REPO, "config.yaml").write_text(OmegaConf.to_yaml(config))
    gpt = UnifiedVoice(**config.gpt)
    end_after(gpt.mel_head, gpt.mel_pos_embedding.emb, spread=0.5)
    for name, parameter in gpt.gpt.named_parameters():
        if "attn" in name or "mlp" in name:
            parameter.data.mul_(10)  # so narrow a network would hardly hear what it is conditioned on
        if "c_proj" in name:
            parameter.data[..., 0] = 0.0  # the dimension that says when it ends
    # The published checkpoint also has the head that training used; the package leaves it out.
    state = {**gpt.state_dict(), "text_head.weight": torch.zeros(8, MODEL_DIM), "text_head.bias": torch.zeros(8)}
    save_torch(state, hub.add(REPO, "gpt.pth"))
    s2mel = MyModel(config.s2mel)
    nets = {name: split_weight_norm(dict(module.state_dict())) for name, module in s2mel.models.items()}
    save_torch({"net": nets}, hub.add(REPO, "s2mel.pth"), small=False)
    codec = EnhancedCodec(**CODEC)
    save_torch({"model": split_weight_norm(dict(codec.state_dict()))}, hub.add(REPO, "codec.pth"))
    add_matrices(hub, REPO, MODEL_DIM)


def _config(text_tokens: int) -> dict[str, Any]:
    encoder = {
        "output_size": 16,
        "linear_units": 16,
        "attention_heads": 2,
        "num_blocks": 1,
        "input_layer": "conv2d2",
        "perceiver_mult": 1,
    }
    return {
        "gpt": {
            "model_dim": MODEL_DIM,
            "max_mel_tokens": 120,
            "max_text_tokens": 300,
            "heads": 4,
            "layers": 1,
            "number_text_tokens": text_tokens,
            "number_mel_codes": CODES + 2,
            "start_mel_token": START_CODE,
            "stop_mel_token": STOP_CODE,
            "start_text_token": 0,
            "stop_text_token": 1,
            "emo_condition_module": encoder,
        },
        "semantic_codec": CODEC,
        "s2mel": S2MEL,
        "gpt_checkpoint": "gpt.pth",
        "w2v_stat": "wav2vec2bert_stats.pt",
        "s2mel_checkpoint": "s2mel.pth",
        "emo_matrix": "feat2.pt",
        "spk_matrix": "feat1.pt",
        "emo_num": list(EMOTION_COUNTS),
        "version": 2.5,
    }


def _add_tokenizer(hub: HubFolder) -> int:
    """Writes a tokenizer of single bytes; returns how many symbols it has with the special ones."""
    from indextts25.utils.tokenizer import get_encoding

    lines = [f"{base64.b64encode(bytes([byte])).decode()} {byte}" for byte in range(256)]
    path = hub.add(REPO, f"{TOKENIZER}.tiktoken")
    path.write_text("\n".join(lines))
    link = hub.root / f"models--{REPO.replace('/', '--')}" / "snapshots" / hub.commit(REPO)
    return int(get_encoding(TOKENIZER, model_dir=str(link)).n_vocab)
