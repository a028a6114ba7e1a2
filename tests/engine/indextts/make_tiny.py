"""Writes a Hub cache with a tiny but structurally real IndexTTS-2: ``python make_tiny.py HUB_FOLDER``.

Run it with an interpreter that has ``indextts2-inference``; with ``indextts25-inference`` it adds IndexTTS-2.5.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from omegaconf import OmegaConf
from tiny_parts import (
    BIGVGAN,
    CODES,
    EMOTION_COUNTS,
    FEATURES,
    S2MEL,
    SPEAKER,
    START_CODE,
    STOP_CODE,
    HubFolder,
    add_matrices,
    add_shared,
    end_after,
    save_torch,
)

REPO, CODEC_REPO = "IndexTeam/IndexTTS-2", "amphion/MaskGCT"
QWEN = "qwen0.6bemo4-merge"
#: Fixed by the package: ``gpt_layer`` takes 1280 inputs.
MODEL_DIM = 1280
_ENCODER: dict[str, Any] = {
    "output_size": 16,
    "linear_units": 16,
    "attention_heads": 2,
    "num_blocks": 1,
    "input_layer": "conv2d2",
    "perceiver_mult": 0.02,
}
CODEC: dict[str, Any] = {
    "codebook_size": CODES,
    "hidden_size": FEATURES,
    "codebook_dim": 8,
    "vocos_dim": 16,
    "vocos_intermediate_dim": 16,
    "vocos_num_layers": 1,
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CHINESE = "你好世界这是一个测试请说慢点我们今天去公园起看花天气很好他她在不有人大上来到时中国年月日二三四五"


def main(folder: Path) -> None:
    """Writes the whole set."""
    torch.manual_seed(7)
    hub = HubFolder(folder)
    text_tokens = add_tokenizer(hub)
    config = {
        "dataset": {"bpe_model": "bpe.model", "sample_rate": 24000},
        "gpt": gpt_config(text_tokens),
        "semantic_codec": CODEC,
        "s2mel": S2MEL,
        "gpt_checkpoint": "gpt.pth",
        "w2v_stat": "wav2vec2bert_stats.pt",
        "s2mel_checkpoint": "s2mel.pth",
        "emo_matrix": "feat2.pt",
        "spk_matrix": "feat1.pt",
        "emo_num": list(EMOTION_COUNTS),
        "qwen_emo_path": f"{QWEN}/",
        "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"},
        "version": 2.0,
    }
    hub.add(REPO, "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    add_networks(hub, OmegaConf.create(config))
    add_matrices(hub, REPO, MODEL_DIM)
    add_qwen(hub)
    if importlib.util.find_spec("indextts25"):
        from make_tiny25 import add_model

        add_model(hub)


def gpt_config(text_tokens: int) -> dict[str, Any]:
    """The language model's part of ``config.yaml``: one layer, the real width."""
    return {
        "model_dim": MODEL_DIM,
        "max_mel_tokens": 120,
        "max_text_tokens": 150,
        "heads": 4,
        "use_mel_codes_as_input": True,
        "mel_length_compression": 1024,
        "layers": 1,
        "number_text_tokens": text_tokens,
        "number_mel_codes": CODES + 2,
        "start_mel_token": START_CODE,
        "stop_mel_token": STOP_CODE,
        "start_text_token": 0,
        "stop_text_token": 1,
        "train_solo_embeddings": False,
        "condition_type": "conformer_perceiver",
        "condition_module": _ENCODER,
        "emo_condition_module": _ENCODER,
    }


def add_tokenizer(hub: HubFolder) -> int:
    """Trains a tokenizer of single characters; returns how many symbols it has."""
    import sentencepiece

    symbols = [*_LETTERS.upper(), *_CHINESE, *",.!?'-…"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(symbols) for _ in range(20)),
        model_writer=model,
        model_type="char",
        vocab_size=len(set(symbols)) + 4,
        character_coverage=1.0,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    hub.add(REPO, "bpe.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return int(processor.GetPieceSize())


def add_networks(hub: HubFolder, config: Any) -> None:
    """Writes the language model, the codec, the mel decoder and what both engines share."""
    from indextts.gpt.model_v2 import UnifiedVoice
    from indextts.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts.s2mel.modules.bigvgan.env import AttrDict
    from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
    from indextts.s2mel.modules.commons import MyModel
    from indextts.utils.maskgct_utils import build_semantic_codec
    from safetensors.torch import save_model

    gpt = UnifiedVoice(**config.gpt)
    end_after(gpt.mel_head, gpt.mel_pos_embedding.emb, spread=0.02)
    save_torch(gpt.state_dict(), hub.add(REPO, "gpt.pth"))
    s2mel = MyModel(config.s2mel, use_gpt_latent=True)
    nets = {name: dict(module.state_dict()) for name, module in s2mel.models.items()}
    save_torch({"net": nets}, hub.add(REPO, "s2mel.pth"))
    codec = build_semantic_codec(SimpleNamespace(**CODEC))
    save_model(codec, str(hub.add(CODEC_REPO, "semantic_codec/model.safetensors")))
    vocoder = BigVGAN(AttrDict(BIGVGAN), use_cuda_kernel=False)
    add_shared(hub, CAMPPlus(feat_dim=80, embedding_size=SPEAKER), dict(vocoder.state_dict()))


def add_qwen(hub: HubFolder) -> None:
    """Writes a language model of one layer that ends its answer at once: no emotion is found, so calm it is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|end|>": 0, **{symbol: index + 1 for index, symbol in enumerate(alphabet)}}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        eos_token_id=0,
        bos_token_id=0,
        pad_token_id=0,
    )
    model = Qwen3ForCausalLM(config).half()
    torch.nn.init.zeros_(model.model.norm.weight)
    scratch = hub.root / "scratch"
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    for file in sorted(scratch.iterdir()):
        file.rename(hub.add(REPO, f"{QWEN}/{file.name}"))
    scratch.rmdir()


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"made": sys.argv[1]}) + "\n")
