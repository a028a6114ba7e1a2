"""Heavy imports, with what can be done meanwhile: no search for garbage, the device's context opened by a thread.

Invariants: the collector is as it was afterwards, also after an error; nothing touches CUDA unless a CUDA device is
asked for, because a forkserver must not.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def importing(device: str = "cpu") -> Iterator[None]:
    """Around the imports of an engine: they make a million objects and no garbage.

    Args:
        device: ``cuda:N`` opens that device's context in a thread as soon as torch is there.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        if device.startswith("cuda"):
            threading.Thread(target=_open_device, args=(device,), name="open-device", daemon=True).start()
        yield
        # What imports made lives as long as the process: later searches need not look at it.
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def _open_device(device: str) -> None:
    """Makes the context, the allocator's first block and the stream; whoever loads later reports what is wrong."""
    import torch

    try:
        if torch.cuda.is_available():
            torch.empty(1 << 20, dtype=torch.uint8, device=device)
            torch.cuda.synchronize(device)
    except RuntimeError as error:
        _log.warning("the device %s could not be opened beforehand: %s", device, error)
