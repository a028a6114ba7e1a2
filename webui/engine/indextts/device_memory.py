"""Memory that is full: how it shows, and what can be given back.

Invariant: torch is asked only when something else has imported it.
"""

from __future__ import annotations

import sys

#: How torch's allocator for the processor, and CUDA's libraries, say that there is no memory left.
_FULL_WORDS = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


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
