"""A first sound from an environment without any weights: ``python -I trial.py indextts2`` (or ``indextts2.5``).

The package's own classes, a layer deep and with random numbers, turn symbols into codes by the same kind of generation
that speech needs, and frames into sound. It ends with 0 when both came out; what fails is the exception that ends it.

Invariant: needs the engine's package and nothing of ours, so that it can judge any interpreter.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

#: Sizes as small as the classes bear; the numbers of symbols and codes only have to be told apart.
_ENCODER: dict[str, Any] = {
    "output_size": 16,
    "linear_units": 16,
    "attention_heads": 2,
    "num_blocks": 1,
    "input_layer": "conv2d2",
    "perceiver_mult": 0.1,
}
_LANGUAGE_MODEL: dict[str, Any] = {
    "layers": 1,
    "model_dim": 64,
    "heads": 4,
    "max_text_tokens": 20,
    "max_mel_tokens": 20,
    "number_text_tokens": 12,
    "number_mel_codes": 34,
    "start_mel_token": 32,
    "stop_mel_token": 33,
    "condition_type": "conformer_perceiver",
    "condition_module": _ENCODER,
    "emo_condition_module": _ENCODER,
}
_VOCODER: dict[str, Any] = {
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
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": None,
}
#: As both packages generate by default: beams, and every kind of filter.
_GENERATION: dict[str, Any] = {
    "num_beams": 3,
    "do_sample": True,
    "top_p": 0.8,
    "top_k": 30,
    "temperature": 0.8,
    "repetition_penalty": 10.0,
    "length_penalty": 0.0,
    "max_generate_length": 8,
}
_FEATURE_WIDTH, _SPEAKER_WIDTH, _FRAMES = 1024, 192, 12


def main(engine: str) -> None:
    """Speaks once.

    Raises:
        RuntimeError: when what comes out is no speech; whatever the package raises, too.
    """
    torch.manual_seed(1)
    with torch.no_grad():
        codes, vocoder = _try_2_5() if engine == "indextts2.5" else _try_2()
        if codes.shape[0] != 1 or not 1 <= codes.shape[1] <= _GENERATION["max_generate_length"]:
            raise RuntimeError(f"the language model made codes of the shape {tuple(codes.shape)}")
        sound = vocoder(torch.randn(1, _VOCODER["num_mels"], _FRAMES))
    if sound.numel() != _FRAMES * _VOCODER["hop_size"] or not bool(torch.isfinite(sound).all()):
        raise RuntimeError(f"the vocoder made {sound.numel()} samples of {_FRAMES} frames")


def _symbols() -> torch.Tensor:
    return torch.arange(2, 8)[None]


def _try_2() -> tuple[torch.Tensor, torch.nn.Module]:
    from indextts.gpt.model_v2 import UnifiedVoice
    from indextts.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts.s2mel.modules.bigvgan.env import AttrDict

    model = UnifiedVoice(**_LANGUAGE_MODEL).eval()
    model.post_init_gpt2_config(use_deepspeed=False, kv_cache=True, half=False)
    spoken = torch.randn(1, 24, _FEATURE_WIDTH)
    codes, _ = model.inference_speech(
        spoken,
        _symbols(),
        cond_lengths=torch.tensor([24]),
        emo_vec=torch.zeros(1, _LANGUAGE_MODEL["model_dim"]),
        num_return_sequences=1,
        **_GENERATION,
    )
    return codes, BigVGAN(AttrDict(_VOCODER), use_cuda_kernel=False).eval()


def _try_2_5() -> tuple[torch.Tensor, torch.nn.Module]:
    from indextts25.gpt.model_v2 import UnifiedVoice
    from indextts25.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts25.s2mel.modules.bigvgan.env import AttrDict

    model = UnifiedVoice(**_LANGUAGE_MODEL).eval()
    model.post_init_gpt2_config()
    codes = model.inference_speech(
        _symbols(),
        torch.tensor([1]),
        torch.zeros(1, _LANGUAGE_MODEL["model_dim"]),
        torch.randn(1, _SPEAKER_WIDTH),
        **_GENERATION,
    )
    return codes, BigVGAN(AttrDict(_VOCODER)).eval()


if __name__ == "__main__":
    main(sys.argv[1])
