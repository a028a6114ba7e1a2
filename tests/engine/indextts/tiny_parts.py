"""Pieces of the tiny checkpoints that IndexTTS-2 and 2.5 share; run in the engine's interpreter.

Invariants: real classes make the tensors, so every key and every shape that the package fixes is there; tensors that
must be large share their storage between rows (``torch.save`` keeps the storage) or are holes in a sparse file, so a
whole set takes a few MB on disk; everything comes from one seed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

#: Widths that the packages fix: speech features, speaker vector, mel bands.
FEATURES, SPEAKER, MELS = 1024, 192, 80
#: How many recordings each emotion has in ``feat1.pt`` and ``feat2.pt``; 73 in all.
EMOTION_COUNTS = (3, 17, 2, 8, 4, 5, 10, 24)
#: Semantic codes, then the codes that start and end a segment.
CODES, START_CODE, STOP_CODE = 64, 64, 65

S2MEL: dict[str, Any] = {
    "preprocess_params": {
        "sr": 22050,
        "spect_params": {
            "n_fft": 1024,
            "win_length": 1024,
            "hop_length": 256,
            "n_mels": MELS,
            "fmin": 0,
            "fmax": "None",
        },
    },
    "dit_type": "DiT",
    "reg_loss_type": "l1",
    "style_encoder": {"dim": SPEAKER},
    "length_regulator": {
        "channels": 16,
        "is_discrete": False,
        "in_channels": FEATURES,
        "content_codebook_size": 8,
        "sampling_ratios": [1, 1],
        "vector_quantize": False,
        "n_codebooks": 1,
        "quantizer_dropout": 0.0,
        "f0_condition": False,
        "n_f0_bins": 512,
    },
    "DiT": {
        "hidden_dim": 16,
        "num_heads": 2,
        "depth": 2,
        "class_dropout_prob": 0.1,
        "block_size": 8192,
        "in_channels": MELS,
        "style_condition": True,
        "final_layer_type": "wavenet",
        "target": "mel",
        "content_dim": 16,
        "content_codebook_size": 8,
        "content_type": "discrete",
        "f0_condition": False,
        "n_f0_bins": 512,
        "content_codebooks": 1,
        "is_causal": False,
        "long_skip_connection": True,
        "zero_prompt_speech_token": False,
        "time_as_token": False,
        "style_as_token": False,
        "uvit_skip_connection": True,
        "add_resblock_in_transformer": False,
    },
    "wavenet": {
        "hidden_dim": 16,
        "num_layers": 1,
        "kernel_size": 3,
        "dilation_rate": 1,
        "p_dropout": 0.2,
        "style_condition": True,
    },
}
BIGVGAN: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "num_mels": MELS,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": None,
}
#: At least 17 layers and the full width, because the packages read the output of layer 17.
W2V_BERT: dict[str, Any] = {
    "hidden_size": FEATURES,
    "num_hidden_layers": 17,
    "num_attention_heads": 4,
    "intermediate_size": 16,
    "feature_projection_input_dim": 160,
    "conv_depthwise_kernel_size": 3,
    "left_max_position_embeddings": 4,
    "right_max_position_embeddings": 2,
    "add_adapter": False,
    "layerdrop": 0.0,
}


class HubFolder:
    """A Hub cache that is being filled: blobs, links and references, as a download leaves them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def commit(self, repo: str) -> str:
        """The commit under which the files of ``repo`` lie."""
        return hashlib.sha1(repo.encode(), usedforsecurity=False).hexdigest()

    def add(self, repo: str, path: str) -> Path:
        """Where to write the bytes of a file; its link is there already."""
        folder = self.root / f"models--{repo.replace('/', '--')}"
        blob = folder / "blobs" / hashlib.sha256(path.encode()).hexdigest()
        link = folder / "snapshots" / self.commit(repo) / path
        for made in (blob.parent, link.parent, folder / "refs"):
            made.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(self.commit(repo))
        depth = len(link.relative_to(folder).parts) - 1
        link.symlink_to(Path(*[".."] * depth) / "blobs" / blob.name)
        return blob


def overlapping(tensor: Tensor) -> Tensor:
    """A large tensor's like, whose rows overlap in storage: the real shape and scale in a few kB, no two rows equal."""
    if tensor.dim() < 2 or tensor.numel() <= 20_000:
        return tensor.clone()
    strides = list(range(2 * tensor.dim() - 1, 0, -2))
    length = sum(stride * (size - 1) for stride, size in zip(strides, tensor.shape, strict=True)) + 1
    scale = float(tensor.std()) or 0.02
    return (torch.randn(length) * scale).as_strided(tensor.shape, strides)


def save_torch(value: object, path: Path, *, small: bool = True) -> None:
    """Writes a checkpoint; tensors in it become `overlapping` when ``small``, but not those of the codes."""

    def shrink(item: Any, name: str = "") -> Any:
        if isinstance(item, dict):
            return {key: shrink(inner, key) for key, inner in item.items()}
        whole = not small or name.startswith("mel_")
        return item if whole or not isinstance(item, Tensor) else overlapping(item.detach())

    torch.save(shrink(value), path)


def save_sparse(tensors: dict[str, Tensor], path: Path) -> None:
    """A safetensors file in which all-zero tensors are holes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        start = file.tell()
        for name, tensor in tensors.items():
            if tensor.any():
                file.seek(start + header[name]["data_offsets"][0])
                file.write(tensor.contiguous().float().numpy().tobytes())
        file.truncate(start + offset)


def split_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with each convolution's weight as ``weight_g`` and ``weight_v``, as training leaves it."""
    result = {}
    for key, value in state.items():
        if key.endswith(".weight") and value.dim() == 3:
            norm = value.flatten(1).norm(dim=1).view(-1, 1, 1)
            result[f"{key}_g"], result[f"{key}_v"] = norm, value
        else:
            result[key] = value
    return result


def end_after(head: nn.Linear, positions: nn.Embedding, *, spread: float, length: int = 20) -> None:
    """Makes a language model say ``length`` codes, drawn nearly at random, and then end.

    One dimension of the positions is negative before ``length`` and positive from there; the head reads it for the
    code that ends. Ending is impossible before, because a search by beams would prefer to say nothing. ``spread`` is
    how much the text and the emotion decide.
    """
    nn.init.normal_(head.weight, std=spread)
    nn.init.normal_(head.bias, std=0.5)
    with torch.no_grad():
        positions.weight[:, 0] = 30.0
        positions.weight[:length, 0] = -30.0
        head.weight[STOP_CODE] = 0.0
        head.weight[:, 0] = 0.0
        head.weight[STOP_CODE, 0] = 30.0
        head.bias[START_CODE] = -1e4


def add_shared(hub: HubFolder, campplus: nn.Module, bigvgan_state: dict[str, Tensor]) -> None:
    """Writes what both engines read: w2v-bert, CAMPPlus and BigVGAN."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    repo = "facebook/w2v-bert-2.0"
    config = Wav2Vec2BertConfig(**W2V_BERT)
    with torch.device("meta"):
        shapes = Wav2Vec2BertModel(config).state_dict()
    state = {name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}
    for name, tensor in state.items():
        if name.endswith("layer_norm.weight") or name.endswith("norm.weight"):
            tensor.fill_(1.0)
        elif name.startswith("feature_projection") and tensor.dim() == 2:
            tensor.normal_(std=0.2)
    save_sparse(state, hub.add(repo, "model.safetensors"))
    hub.add(repo, "config.json").write_text(json.dumps({**config.to_dict(), "architectures": ["Wav2Vec2BertModel"]}))
    extractor = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2)
    hub.add(repo, "preprocessor_config.json").write_text(extractor.to_json_string())

    save_torch(campplus.state_dict(), hub.add("funasr/campplus", "campplus_cn_common.bin"))
    vocoder = "nvidia/bigvgan_v2_22khz_80band_256x"
    hub.add(vocoder, "config.json").write_text(json.dumps(BIGVGAN))
    save_torch({"generator": bigvgan_state}, hub.add(vocoder, "bigvgan_generator.pt"), small=False)


def add_matrices(hub: HubFolder, repo: str, model_dim: int) -> None:
    """Writes the speaker and emotion matrices and the statistics of the features."""
    total = sum(EMOTION_COUNTS)
    save_torch(torch.randn(total, SPEAKER), hub.add(repo, "feat1.pt"), small=False)
    save_torch(torch.randn(total, model_dim) * 0.1, hub.add(repo, "feat2.pt"), small=False)
    statistics = {"mean": torch.zeros(FEATURES), "var": torch.ones(FEATURES)}
    save_torch(statistics, hub.add(repo, "wav2vec2bert_stats.pt"))
