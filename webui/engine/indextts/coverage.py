"""What a checkpoint that does not fit does to a model, in one sentence.

Invariant: upstream drops tensors of another shape from one file silently; here that is an error.
"""

from __future__ import annotations

import logging
from typing import Any

from launcher.errors import EngineError, LauncherError
from webui.engine.indextts.files import BIGVGAN, CAMPPLUS, MASKGCT, W2V_BERT, FoundFiles
from webui.engine.indextts.upstream import Upstream

_log = logging.getLogger(__name__)

#: Which file fills which class.
_FILLED_FROM = {
    "UnifiedVoice": "gpt.pth",
    "RepCodec": f"{MASKGCT}/semantic_codec/model.safetensors",
    "EnhancedCodec": "codec.pth",
    "CAMPPlus": f"{CAMPPLUS}/campplus_cn_common.bin",
    "BigVGAN": f"{BIGVGAN}/bigvgan_generator.pt",
    "Wav2Vec2BertModel": f"{W2V_BERT}/model.safetensors",
    "CFM": "s2mel.pth",
    "InterpolateRegulator": "s2mel.pth",
}


def explain(error: Exception, files: FoundFiles, upstream: Upstream) -> LauncherError:
    """The error of a constructor as one sentence with the file that does not fit, where that can be told."""
    text = str(error)
    first = text.splitlines()[0][:200] if text else type(error).__name__
    source = upstream.distribution or "the checkout"
    file = next((file for name, file in _FILLED_FROM.items() if f"for {name}" in text or f"{file}:" in text), "")
    if "out of memory" in text:
        return EngineError(
            f"{files.needed.model} does not fit into the memory that is free: {first}.",
            fix="Close what else uses the card, or set LAUNCHER_PRECISION to half precision.",
        )
    if file:
        detail = next((line.strip() for line in text.splitlines()[1:] if line.strip()), first)[:200]
        return EngineError(
            f"{file} of {files.needed.model} does not fit {source}: {detail}",
            fix=f"Fetch the model anew: tts-launcher fetch {files.needed.model}.",
        )
    return EngineError(
        f"{files.needed.model} cannot be built by {source} ({type(error).__name__}: {first}).",
        fix="The log has the details: tts-launcher logs.",
    )


def check_shapes(instance: Any, files: FoundFiles) -> None:
    """Compares the mel decoder with its file, because upstream leaves out what has another shape.

    Raises:
        EngineError: naming the first tensor whose shape differs.
    """
    import torch

    path = files.folder / "s2mel.pth"
    try:
        nets = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["net"]
    except RuntimeError:  # a file of before torch 1.6 cannot be mapped
        nets = torch.load(path, map_location="cpu", weights_only=True)["net"]
    absent = []
    for net, module in instance.s2mel.models.items():
        stored = {key.removeprefix("module."): tensor for key, tensor in nets.get(net, {}).items()}
        for name, parameter in module.named_parameters():
            tensor = stored.get(name)
            if tensor is None:
                absent.append(f"{net}.{name}")
            elif tensor.shape != parameter.shape:
                raise EngineError(
                    f"s2mel.pth of {files.needed.model} does not fit: {net}.{name} is {list(tensor.shape)}, "
                    f"not {list(parameter.shape)}.",
                    fix=f"Fetch the model anew: tts-launcher fetch {files.needed.model}.",
                )
    if absent and not any("weight_g" in key for net in nets.values() for key in net):
        _log.warning("s2mel.pth has no %s and %d more; upstream's initial values stand", absent[0], len(absent) - 1)
