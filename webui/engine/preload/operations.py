"""What an operation of torch does to its tensors, read from its schema.

Invariant: an operation that is not understood is ``other``, which every caller treats as one that reads and writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

#: Random fills that overwrite all of their tensor and read nothing.
_FILLS = {"normal_", "uniform_", "random_", "exponential_", "log_normal_", "cauchy_", "geometric_"}
#: Operations whose result on a promised tensor is promised too: torch.nn.utils.weight_norm at construction.
_DERIVED = {"norm", "linalg_vector_norm", "_weight_norm_interface", "clone"}
#: They exchange a tensor's memory, which is more than a view.
_EXCHANGING = {"resize_", "set_"}


@cache
def kind_of(operation: Any) -> str:
    """What ``operation`` (an `OpOverload`) does.

    Returns:
        ``look``: it reads and writes no data (views); ``fill``: it fills its first argument with random numbers;
        ``copy``: `copy_`; ``change``: it changes its first argument alone; ``derive``: it computes something small
        from weights; ``other``.
    """
    schema = operation._schema
    name = schema.name.removeprefix("aten::")
    if name in _EXCHANGING or torch.Tag.inplace_view in operation.tags:
        return "other" if name in _EXCHANGING else "look"
    written = [item for item in schema.arguments if item.alias_info is not None and item.alias_info.is_write]
    if not written and any(item.alias_info is not None for item in schema.returns):
        return "look"
    if not written:
        return "derive" if name in _DERIVED else "other"
    if len(written) > 1 or written[0].name != schema.arguments[0].name:
        return "other"
    if name == "copy_":
        return "copy"
    return "fill" if name in _FILLS else "change"


def tensors_among(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors among an operation's arguments, also those in lists."""
    for item in (*args, *kwargs.values()):
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (list, tuple)):
            yield from (inner for inner in item if isinstance(inner, Tensor))
