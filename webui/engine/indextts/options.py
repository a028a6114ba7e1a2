"""What IndexTTS may be told (`webui.settings.WorkerSettings.options`), and what that means on this machine.

Invariants: a value that is not known is an error with the values that are; the decisions about device and precision
are made once, when the engine loads, and said in the log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import EngineError

_log = logging.getLogger(__name__)

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
CHOICES = ("auto", "yes", "no")
#: A card with less holds no language model for emotions unless it is asked for (upstream's own limit).
SMALL_CARD_BYTES = 10 * 1024**3
#: From here on everything fits at full size: 8.9 GB of weights (IndexTTS-2 with the language model), 2 GB to compute.
ROOMY_CARD_BYTES = 13 * 10**9


@dataclass(frozen=True)
class Options:
    """The options, read.

    Attributes:
        precision: one of `PRECISIONS`.
        qwen: whether emotions may be read from text: ``yes``, ``no``, or ``auto``: where the card has room.
        cuda_kernel: whether BigVGAN's own kernel is compiled and used on a GPU: ``auto`` or ``no``.
        warm_up: whether to speak once while loading; ``auto``: on a GPU.
        model_dir: a folder that holds the model as upstream lays it out, in place of the Hub cache.
        engine_dir: an upstream checkout to import, in place of the installed package.
        voices_dir: recordings that are voices, by file name.
        reference_dirs: folders whose recordings a request may name.
    """

    precision: str = "auto"
    qwen: str = "auto"
    cuda_kernel: str = "auto"
    warm_up: str = "auto"
    model_dir: Path | None = None
    engine_dir: Path | None = None
    voices_dir: Path = Path()
    reference_dirs: tuple[Path, ...] = ()

    @classmethod
    def read(cls, options: Mapping[str, str], cache_dir: Path) -> Options:
        """The options from text; ``voices_dir`` is ``<cache_dir>/voices`` when it is not given.

        Raises:
            EngineError: naming the option, the value and the values there are.
        """
        given = {name: value.strip() for name, value in options.items() if value and value.strip()}
        known = {"precision": PRECISIONS, "qwen": CHOICES, "warm_up": CHOICES, "cuda_kernel": ("auto", "no")}
        for name, choices in known.items():
            if given.get(name, "auto") not in choices:
                raise EngineError(f"{name}={given[name]!r:.40} is not known.", fix=f"Use one of {', '.join(choices)}.")
        voices_dir = Path(given["voices_dir"]) if "voices_dir" in given else cache_dir / "voices"
        named = tuple(Path(part) for part in given.get("reference_dirs", "").split(os.pathsep) if part)
        return cls(
            precision=given.get("precision", "auto"),
            qwen=given.get("qwen", "auto"),
            cuda_kernel=given.get("cuda_kernel", "auto"),
            warm_up=given.get("warm_up", "auto"),
            model_dir=Path(given["model_dir"]) if "model_dir" in given else None,
            engine_dir=Path(given["engine_dir"]) if "engine_dir" in given else None,
            voices_dir=voices_dir,
            reference_dirs=(voices_dir, *named),
        )


@dataclass(frozen=True)
class Placement:
    """Where and how the weights are held.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        half: whether in half precision.
        vram_bytes: of the card; 0 on a CPU.
        text_emotion: whether a language model for emotions may be loaded.
    """

    device: str
    half: bool = False
    vram_bytes: int = 0
    text_emotion: bool = True


def place(torch: Any, device: str, options: Options, half_name: str) -> Placement:
    """Decides device, precision and whether there is room for the language model that reads emotions.

    Args:
        torch: the module, or what answers like it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        options: of the engine.
        half_name: the half precision that the package has: ``fp16`` or ``bf16``.

    Raises:
        EngineError: when the device is not there, or the package has not that precision.
    """
    device = _device(torch, device)
    other = {"fp16", "bf16"} - {half_name}
    if options.precision in other:
        raise EngineError(
            f"precision={options.precision} is not one that this model computes in.",
            fix=f"Use LAUNCHER_PRECISION=auto, fp32 or {half_name}.",
        )
    if device == "cpu":
        if options.precision == half_name:
            _log.warning("precision %s needs a GPU; computing in fp32", half_name)
        return Placement(device, text_emotion=options.qwen != "no")
    vram_bytes = int(torch.cuda.get_device_properties(device).total_memory)
    small = vram_bytes < SMALL_CARD_BYTES
    half = options.precision == half_name or (options.precision == "auto" and vram_bytes < ROOMY_CARD_BYTES)
    text_emotion = options.qwen == "yes" or (options.qwen == "auto" and not small)
    _log.info("%s with %.1f GB: %s", device, vram_bytes / 1e9, half_name if half else "fp32")
    return Placement(device, half, vram_bytes, text_emotion)


def _device(torch: Any, device: str) -> str:
    available = bool(torch.cuda.is_available())
    if device == "auto":
        return "cuda:0" if available else "cpu"
    if device == "cpu":
        return device
    kind, _, number = device.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise EngineError(f"device {device!r:.40} is not known.", fix="Use auto, cpu, cuda or cuda:N.")
    if not available:
        build = "is built for the CPU" if torch.version.cuda is None else "finds no usable GPU or driver"
        raise EngineError(
            f"device {device} was asked for, but torch {torch.__version__} {build}.",
            fix="Use --device auto or cpu, or mend the driver, then: tts-launcher engine install NAME --reinstall",
        )
    index = int(number or 0)
    count = torch.cuda.device_count()
    if index >= count:
        raise EngineError(
            f"device {device} was asked for, but there {'is 1 GPU' if count == 1 else f'are {count} GPUs'}.",
            fix=f"Use cuda:0 to cuda:{count - 1}." if count > 1 else "Use cuda:0.",
        )
    return f"cuda:{index}"
