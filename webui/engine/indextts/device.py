"""How a device that is full or has failed shows itself, and what memory can be given back.

Invariant: torch is asked only when something else has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from webui.engine.base import EngineLostError

#: How torch's allocator for the processor, and CUDA's libraries, say that there is no memory left.
_FULL_WORDS = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
#: After these nothing can be computed in this process any more: CUDA answers every later call with the same error.
_LOST_WORDS = ("CUDA error", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR")


def is_full(error: Exception) -> bool:
    """Whether the GPU's memory, or the computer's, was not enough."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL_WORDS)


def give_back() -> None:
    """Gives the driver back what torch keeps and does not use."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def losses_named() -> Iterator[None]:
    """Turns an error after which the device computes nothing more in this process into `EngineLostError`."""
    try:
        yield
    except RuntimeError as error:
        if is_full(error) or not any(words in str(error) for words in _LOST_WORDS):
            raise
        reason = str(error).split("\n", 1)[0][:200]
        raise EngineLostError(f"The GPU has failed ({reason}).", fix="The engine starts again by itself.") from error
