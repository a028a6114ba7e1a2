"""What must be so for the fast way to be taken, and what must be so after it.

Invariant: a guard says in one sentence what is wrong, and leaves the decision to its caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm
from torch.nn.utils.weight_norm import WeightNorm

from webui.engine.preload.checkpoints import Checkpoints, GuardTrippedError, mapped_checkpoints
from webui.engine.preload.deferral import MIN_ELEMENTS, Deferral

#: Objects inside an engine that are looked into for modules; an engine has a few hundred outside of its modules.
_MAX_OBJECTS = 20_000


def check_behaviour() -> None:
    """Tries on a small model whether this version of torch does what the fast way rests on; takes milliseconds.

    Raises:
        GuardTrippedError: when it does not.
    """
    width = MIN_ELEMENTS
    state = {"weight_g": torch.ones(width, 1), "weight_v": torch.ones(width, 2), "bias": torch.ones(width)}
    checkpoints = Checkpoints()
    checkpoints.learn(state)
    deferral = Deferral()
    checkpoints.supersede = deferral.supersede
    with mapped_checkpoints(checkpoints), deferral:
        covered = weight_norm(nn.Linear(2, width))
        covered.load_state_dict(state)
        uncovered = nn.Linear(2, width)
        read = nn.Linear(2, width)
        total = float(read.weight.detach().sum())
    put_off = deferral.promised(uncovered.weight) and not deferral.promised(read.weight)
    finish_weight_norm([covered], deferral)
    deferral.settle_rest()
    checks = {
        "random initialisation cannot be put off": put_off and deferral.put_off >= 3,
        "what was put off is not filled when it is read": total == float(read.weight.detach().sum()) and total != 0.0,
        "what was put off is not filled in the end": bool(uncovered.weight.std() > 0),
        "load_state_dict does not assign": covered.weight_v.data_ptr() == state["weight_v"].data_ptr(),
        "weight normalisation works differently": bool((covered.weight - 0.5**0.5).abs().max() < 1e-6),
    }
    for sentence, holds in checks.items():
        if not holds:
            raise GuardTrippedError(f"{sentence} (torch {torch.__version__})")


def modules_in(value: object) -> Iterator[nn.Module]:
    """Every module that can be reached from ``value`` through attributes, dicts, lists and tuples, each once."""
    seen: set[int] = set()
    waiting: list[object] = [value]
    while waiting and len(seen) < _MAX_OBJECTS:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, (str, bytes, int, float, Tensor, type)) or item is None:
            continue
        seen.add(id(item))
        if isinstance(item, nn.Module):
            fresh = [module for module in item.modules() if module is item or id(module) not in seen]
            seen.update(id(module) for module in fresh)
            yield from fresh
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple, set)):
            waiting.extend(item)
        else:
            waiting.extend(getattr(item, "__dict__", {}).values())


def finish_weight_norm(modules: list[nn.Module], deferral: Deferral) -> int:
    """Computes the weights that normalisation hooks keep beside their parameters, as their first use would do.

    Returns how many parameters no checkpoint had covered; they are initialised first.
    """
    filled = 0
    for module in modules:
        for hook in module._forward_pre_hooks.values():
            weight = getattr(module, hook.name, None) if isinstance(hook, WeightNorm) else None
            if not isinstance(weight, Tensor) or not deferral.promised(weight):
                continue
            for name in (f"{hook.name}_v", f"{hook.name}_g"):
                filled += deferral.settle(getattr(module, name))
            with torch.no_grad():
                setattr(module, hook.name, hook.compute_weight(module))
    return filled


def check_result(modules: list[nn.Module]) -> None:
    """Whether every parameter and buffer has memory.

    Raises:
        GuardTrippedError: naming the first that has none.
    """
    for module in modules:
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor.device.type == "meta":
                raise GuardTrippedError(f"{type(module).__name__}.{name} has no memory (meta device)")
