"""One side of bench_preload.py, in a process and interpreter of its own: builds IndexTTS-2 and says what that cost.

    ENGINE_PYTHON scripts/bench_preload_side.py upstream|preload HUB_FOLDER [OPTION...]

Prints one JSON object. Invariants: both sides call the package's own constructor with the same arguments; what is
done to compare them (hashes, speech) is done after every clock has stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import struct
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from webui.engine.preload import construct, importing, warm_files  # noqa: E402 - found beside this folder

REPO = "models--IndexTeam--IndexTTS-2"
WEIGHTS = (".pth", ".pt", ".bin", ".safetensors")
TEXT = "你好世界，这是一个测试。"


def weight_files(hub: Path, *, qwen: bool) -> list[Path]:
    """The files with weights in the order of their use; the largest come first."""
    order = ("gpt.pth", "w2v-bert", "MaskGCT", "s2mel.pth", "campplus", "bigvgan", "qwen")
    found = [path for path in hub.glob("models--*/snapshots/**/*") if path.suffix in WEIGHTS and path.is_file()]
    found = [path for path in found if qwen or "qwen" not in str(path)]
    return sorted(found, key=lambda path: next((i for i, word in enumerate(order) if word in str(path)), len(order)))


def load_package() -> Any:
    """The package's module, imported."""
    import warnings

    warnings.simplefilter("ignore")
    from indextts import infer_v2

    return infer_v2


def builder(module: Any, hub: Path, device: str, *, eager_qwen: bool) -> Callable[[], Any]:
    """The package's own constructor; without ``eager_qwen`` the emotion model is made when it is first used."""
    model_dir = next((hub / REPO / "snapshots").iterdir())

    def build() -> Any:
        original = module.QwenEmotion
        if not eager_qwen:
            module.QwenEmotion = lambda folder: LaterQwen(original, folder)
        try:
            return module.IndexTTS2(model_dir=str(model_dir), device=device, use_cuda_kernel=False, language="zh")
        finally:
            module.QwenEmotion = original

    return build


class LaterQwen:
    """The emotion model, made at its first use."""

    def __init__(self, kind: Callable[[str], Any], folder: str) -> None:
        self.make = lambda: kind(folder)

    def __getattr__(self, name: str) -> Any:
        self.__dict__["made"] = self.__dict__.get("made") or self.make()
        return getattr(self.made, name)


def run(mode: str, hub: Path, device: str, *, eager_qwen: bool) -> tuple[dict[str, Any], Any]:
    """Imports and builds; the figures and the engine."""
    files = weight_files(hub, qwen=eager_qwen or mode == "upstream")
    fast = mode != "upstream"
    warm_up = warm_files(files) if fast else None
    with importing(device) if fast else nullcontext():
        module = load_package()
    imported = time.perf_counter()
    figures: dict[str, Any] = {"mode": mode, "imports_s": imported - STARTED}
    figures.update(build_once(mode, builder(module, hub, device, eager_qwen=eager_qwen), files, device, warm_up))
    engine = figures.pop("engine")
    figures["ready_s"] = time.time() - process_started()
    figures["read_bytes"] = warm_up.read_bytes if warm_up else 0
    return figures, engine


def build_once(
    mode: str, build: Callable[[], Any], files: list[Path], device: str, warm_up: Any = None
) -> dict[str, Any]:
    """Builds one engine and touches every byte of it; ``engine`` is among the figures."""
    started, processor = time.perf_counter(), time.process_time()
    figures: dict[str, Any] = {}
    if mode == "upstream":
        engine = build()
    else:
        made = construct(build, files=files, device=device, warm_up=warm_up)
        engine = made.value
        figures["stages"] = dict(made.stages)
        figures["fast"], figures["why_not"], figures["filled"] = made.fast, made.why_not, made.filled
    wait_for_device(device)
    figures["construct_cpu_s"] = time.process_time() - processor
    figures["construct_s"] = time.perf_counter() - started
    figures["anonymous_mb"] = anonymous_mb()
    started = time.perf_counter()
    figures["weight_bytes"] = touch(engine)
    figures["touch_s"] = time.perf_counter() - started
    if device.startswith("cuda"):
        figures["pinned_copy_s"] = pinned_copy_s(figures["weight_bytes"], device)
    figures["engine"] = engine
    return figures


def pinned_copy_s(size_bytes: int, device: str) -> float:
    """Seconds in which the device takes as many bytes from one pinned buffer: the floor."""
    import torch

    buffer = torch.empty(256 << 20, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(buffer, device=device)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(4):
        target.copy_(buffer, non_blocking=True)
    torch.cuda.synchronize()
    return (time.perf_counter() - started) * size_bytes / (4 * buffer.numel())


def touch(engine: Any) -> int:
    """Reads every page of every tensor, as a first synthesis does; returns their bytes."""

    total = 0
    for _, tensor in tensors_of(engine):
        size = tensor.numel() * tensor.element_size()
        total += size
        if tensor.device.type == "cpu" and size > 4096:
            # One value of each page: the page is brought in, and the processor does no work for it.
            tensor.detach().as_strided((size // 4096,), (4096 // tensor.element_size(),)).sum()
    return total


def wait_for_device(device: str) -> None:
    """Waits until the device has done what it was asked for."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def tensors_of(engine: Any) -> Iterator[tuple[str, Any]]:
    """Every parameter, buffer and plain tensor of the engine, by a name that both sides share."""
    import torch

    for name, value in sorted(vars(engine).items()):
        if isinstance(value, torch.nn.Module):
            for path, module in value.named_modules():
                own = {**module._parameters, **module._buffers, **vars(module)}
                for key, tensor in own.items():
                    if isinstance(tensor, torch.Tensor):
                        yield f"{name}.{path}.{key}", tensor
        elif isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}.{i}", item) for i, item in enumerate(value) if isinstance(item, torch.Tensor))


def digests(engine: Any) -> dict[str, str]:
    """A digest of each tensor's type, shape and bytes; normalised weights are recomputed as their hooks would do."""
    import torch

    result = {}
    for module in [m for v in vars(engine).values() if isinstance(v, torch.nn.Module) for m in v.modules()]:
        for hook in module._forward_pre_hooks.values():
            if type(hook).__name__ == "WeightNorm":
                hook(module, None)
    for name, tensor in tensors_of(engine):
        plain = tensor.detach().cpu().contiguous()
        digest = hashlib.blake2b(f"{plain.dtype}{tuple(plain.shape)}".encode(), digest_size=16)
        digest.update(plain.view(-1).view(torch.uint8).numpy() if plain.numel() else b"")
        result[name] = digest.hexdigest()
    return result


def speak(engine: Any, folder: Path) -> str:
    """A digest of a seeded sentence in the voice of a made-up recording."""
    import torch

    recording = folder / "recording.wav"
    noise = random.Random(3)
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", noise.randint(-9000, 9000)) for _ in range(2 * 22050)))
    torch.manual_seed(11)
    random.seed(11)
    _, samples = engine.infer(str(recording), TEXT, None, max_mel_tokens=40, num_beams=1)
    sound = samples.tobytes()
    return f"{len(sound) // 2} samples {hashlib.sha256(sound).hexdigest()}"


def anonymous_mb() -> float:
    """Memory of this process that is no file's, in 10^6 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon:"))


def process_started() -> float:
    """When the system started this process, in seconds since 1970."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["upstream", "preload"])
    parser.add_argument("hub", type=Path)
    parser.add_argument("--eager-qwen", action="store_true", help="make the emotion model at once in preload, too")
    parser.add_argument("--hash", action="store_true", help="afterwards hash every tensor")
    parser.add_argument("--speak", action="store_true", help="afterwards speak a seeded sentence")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    STARTED = time.perf_counter()
    given = options()
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(given.hub), TRANSFORMERS_VERBOSITY="error")
    result, built = run(given.mode, given.hub, given.device, eager_qwen=given.eager_qwen)
    if given.hash:
        result["digests"] = digests(built)
    if given.speak:
        result["speech"] = speak(built, given.hub.parent)
    sys.stdout.write("\nRESULT " + json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)
